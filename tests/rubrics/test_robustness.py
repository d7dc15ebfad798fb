"""How many colluders a finding withstands: by hand, and against simulated colluders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpa_agent.rubrics.robustness import withstands


def of_one(scores: list[float], first: int) -> float:
    """Of people with one turn each, the first so many on the first side."""
    return float(
        withstands(np.array(scores)[:, None], np.ones(len(scores)), np.arange(len(scores)) < first)[
            0
        ]
    )


def test_by_hand() -> None:
    # Medians and quantile: said is (1, 1, 1, 1, -1, -1, -1, -1), its bound 1, nobody is cut;
    # gap 2, no spread, so the near end is 2 bounds: more than all of a side.
    assert of_one([1.0] * 4 + [-1.0] * 4, 4) == 1.0
    # Said is (3, 1, 1, 1, -1, -1, -1, -1), bound 1 (the 80% quantile of |said|); cut as above.
    assert of_one([3.0] + [1.0] * 3 + [-1.0] * 4, 4) == 1.0


def test_one_loud_person_carries_nothing() -> None:
    quiet = [0.1, -0.1] * 10
    assert of_one([100.0, *quiet[1:], *quiet], 20) == 0.0


def test_nobody_to_compare_withstands_nothing() -> None:
    assert of_one([1.0, -1.0, -1.0], 1) == 0.0
    assert of_one([0.0] * 8, 4) == 0.0


def test_silent_people_do_not_count() -> None:
    scores = np.array([[1.0], [1.0], [1.0], [-1.0], [-1.0], [-1.0], [9.0]])
    weight = np.array([[1.0]] * 6 + [[0.0]])
    first = np.array([True] * 3 + [False] * 3 + [False])
    assert withstands(scores, weight, first)[0] == 1.0


@given(st.lists(st.floats(-5, 5), min_size=8, max_size=40), st.integers(2, 6), st.floats(0.1, 10))
def test_it_is_a_share_and_has_no_unit(scores: list[float], first: int, unit: float) -> None:
    share = of_one(scores, first)
    assert 0 <= share <= 1
    assert of_one([unit * s for s in scores], first) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("loudness", [2.0, 10.0])
@pytest.mark.parametrize("people", [20, 50, 100])
def test_a_fifth_who_collude_are_seen(people: int, loudness: float) -> None:
    rng = np.random.default_rng(people)
    trials, passed = 300, 0
    for _ in range(trials):
        passed += float(withstands(*_colluding(rng, people, loudness))[0]) > 0.2
    # 1% is promised; 300 trials of exactly 1% exceed 7 once in a hundred times.
    assert passed <= 7


def test_honest_people_who_return_withstand_a_fifth() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(0.0, 0.5, (100, 200)) + np.where(np.arange(100) < 50, 0.5, -0.5)[:, None]
    shares = withstands(scores, np.ones(100), np.arange(100) < 50)
    assert np.mean(shares > 0.2) > 0.95


def _colluding(
    rng: np.random.Generator, people: int, loudness: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Just under a fifth of the first side contributes many deviations, in four times the turns."""
    scores, weight = rng.normal(0.0, 1.0, 2 * people), np.ones(2 * people)
    colluders = int(np.ceil(0.2 * people)) - 1
    scores[:colluders], weight[:colluders] = 4 * loudness, 4.0
    return scores[:, None], weight, np.arange(2 * people) < people
