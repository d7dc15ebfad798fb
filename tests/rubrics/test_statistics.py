from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.rubrics.statistics import benjamini_hochberg, hedges_g, percentile_interval


def test_benjamini_hochberg_by_hand() -> None:
    # Sorted: .01*4/1=.04, .02*4/2=.04, .03*4/3=.04, .5*4/4=.5; from the right the minimum so far.
    assert benjamini_hochberg([0.5, 0.02, 0.01, 0.03]) == pytest.approx([0.5, 0.04, 0.04, 0.04])


def test_benjamini_hochberg_of_nothing() -> None:
    assert benjamini_hochberg([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.randoms())
def test_q_is_at_least_p_and_does_not_depend_on_order(p: list[float], random: object) -> None:
    q = benjamini_hochberg(p)
    order = np.random.default_rng(len(p)).permutation(len(p))
    assert (q >= np.array(p) - 1e-12).all()
    assert (q <= 1).all()
    assert benjamini_hochberg(np.array(p)[order]) == pytest.approx(q[order])


def test_hedges_g_by_hand() -> None:
    first = np.array([[1.0], [2.0], [3.0]])
    second = np.array([[0.0], [1.0], [2.0], [1.0]])
    # Means 2 and 1; variances 1 and 2/3; pooled (2*1 + 3*2/3)/5 = 0.8; J = 1 - 3/(4*7-9) = 16/19.
    assert hedges_g(first, second) == pytest.approx([16 / 19 / np.sqrt(0.8)])


def test_hedges_g_without_spread_or_people_is_zero() -> None:
    same = np.ones((3, 1))
    assert hedges_g(same, same + 1).tolist() == [0.0]
    assert hedges_g(same[:1], same).tolist() == [0.0]


def test_percentile_interval_by_hand() -> None:
    draws = np.arange(101, dtype=float)[:, None]
    # 101 equally spaced draws 0..100: the 2.5th percentile is 2.5, the 97.5th 97.5.
    assert percentile_interval(draws)[0] == pytest.approx([2.5, 97.5])
