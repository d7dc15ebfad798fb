from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from gpa_agent.rubrics.permutation import (
    Differences,
    bootstrap_people,
    family_p_values,
    p_values,
    permute_people,
)

SCORES = np.array([[4.0], [5.0], [6.0], [1.0], [2.0], [3.0]])
FIRST = np.array([True, True, True, False, False, False])
ONES = np.ones(6)


def test_p_agrees_with_all_permutations_by_hand() -> None:
    # 20 ways to deal 3 of 6; only {4,5,6} and {1,2,3} reach |difference| 3: p = 2/20 = 0.1.
    extreme = sum(
        abs(sum(SCORES[list(c), 0]) / 3 - (21 - sum(SCORES[list(c), 0])) / 3) >= 3
        for c in combinations(range(6), 3)
    )
    assert extreme == 2
    dealt = permute_people(SCORES, ONES, FIRST, permutations=20_000, rng=np.random.default_rng(0))
    assert dealt.effect == pytest.approx([3.0])
    # Each side's mean has variance 3/2 * 2 / 3^2 = 1/3: 3 / sqrt(2/3).
    assert dealt.observed == pytest.approx([3 / np.sqrt(2 / 3)])
    # Standard error of a share of 0.1 over 20,000: 0.002.
    assert p_values(dealt)[0] == pytest.approx(0.1, abs=0.008)


def test_weights_make_a_mean_per_row_not_per_person() -> None:
    weight = np.array([1.0, 1.0, 2.0, 1.0, 1.0, 1.0])
    dealt = permute_people(SCORES, weight, FIRST, permutations=5, rng=np.random.default_rng(0))
    # (4+5+6)/4 - (1+2+3)/3 = 3.75 - 2.
    assert dealt.effect == pytest.approx([1.75])


def test_no_difference_gives_p_of_one() -> None:
    dealt = permute_people(
        np.ones((6, 1)), ONES, FIRST, permutations=99, rng=np.random.default_rng(0)
    )
    assert p_values(dealt).tolist() == [1.0]


def test_p_is_never_zero() -> None:
    nothing = Differences(
        effect=np.array([5.0]), observed=np.array([5.0]), permuted=np.zeros((99, 1))
    )
    assert p_values(nothing).tolist() == [0.01]


def test_swapping_the_sides_changes_the_sign_only() -> None:
    one = permute_people(SCORES, ONES, FIRST, permutations=999, rng=np.random.default_rng(3))
    two = permute_people(SCORES, ONES, ~FIRST, permutations=999, rng=np.random.default_rng(3))
    assert one.observed == pytest.approx(-two.observed)


def test_a_family_of_one_is_its_trait() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(40, 3)) + np.outer(np.repeat([0.6, 0.0], 20), [1, 0, 0])
    first = np.repeat([True, False], 20)
    dealt = permute_people(scores, np.ones(40), first, permutations=999, rng=rng)
    assert family_p_values(dealt, [[0]]) == pytest.approx(p_values(dealt)[:1], abs=0.005)


def test_a_family_finds_what_is_spread_over_its_traits() -> None:
    rng = np.random.default_rng(2)
    shift = np.outer(np.repeat([0.35, 0.0], 60), np.ones(4))
    scores = rng.normal(size=(120, 4)) + shift
    dealt = permute_people(
        scores, np.ones(120), np.repeat([True, False], 60), permutations=1999, rng=rng
    )
    assert family_p_values(dealt, [[0, 1, 2, 3]])[0] < p_values(dealt).min()


def test_bootstrap_is_centred_on_the_difference_with_its_standard_error() -> None:
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(400, 1))
    first = np.repeat([True, False], 200)
    draws = bootstrap_people(scores, np.ones(400), first, resamples=4000, rng=rng)
    observed = scores[:200].mean() - scores[200:].mean()
    assert draws.mean() == pytest.approx(observed, abs=0.01)
    # Standard error of a difference of two means of 200 unit-variance values: 0.1.
    assert draws.std() == pytest.approx(0.1, rel=0.15)


@pytest.mark.parametrize(("few", "many"), [((15, 1), (100, 10)), ((30, 10), (30, 1))])
def test_people_with_many_rows_against_people_with_few_do_not_break_the_null(
    few: tuple[int, int], many: tuple[int, int]
) -> None:
    rng = np.random.default_rng(5)
    people = few[0] + many[0]
    rows = np.repeat([few[1], many[1]], [few[0], many[0]]).astype(float)
    first = np.arange(people) < few[0]
    small = 0
    for _ in range(40):
        taste = rng.normal(size=(people, 5))
        scores = rows[:, None] * taste + np.sqrt(rows)[:, None] * rng.normal(size=(people, 5))
        dealt = permute_people(scores, rows, first, permutations=199, rng=rng)
        small += int((p_values(dealt) <= 0.05).sum())
    # 200 true nulls at 5%: 10 expected; 22 or more in under 1 of 1,000. Unstudentised: 35 to 80.
    assert small <= 22
