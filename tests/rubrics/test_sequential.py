"""Shares over people and intervals that hold at any number of looks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from gpa_agent.rubrics.sequential import Counts, Estimate, R, difference, half_width, share


def counts(pleased: list[float], judged: list[float]) -> Counts:
    return Counts(np.array(pleased), np.array(judged))


def strangers(pleased: int, people: int) -> Counts:
    return counts([1.0] * pleased + [0.0] * (people - pleased), [1.0] * people)


def test_of_strangers_it_is_the_textbooks_share() -> None:
    found = share(strangers(60, 100))
    assert found.value == pytest.approx(0.6)
    # Laplace: 61/102; sqrt(61/102 * 41/102 / 100) = 0.0490
    assert found.error == pytest.approx(math.sqrt(61 / 102 * 41 / 102 / 100))
    assert found.freedom == pytest.approx(99)


def test_people_who_always_say_the_same_count_once_each() -> None:
    stubborn = counts([10.0] * 12 + [0.0] * 8, [10.0] * 20)
    once = strangers(12, 20)
    assert share(stubborn).value == share(once).value
    assert share(stubborn).error == pytest.approx(share(once).error, rel=0.05)
    assert share(stubborn).freedom == share(once).freedom


def test_turns_of_people_who_are_not_alike_count_each() -> None:
    mixed = counts([6.0] * 20, [10.0] * 20)
    assert share(mixed).error == pytest.approx(share(strangers(120, 200)).error, rel=0.01)


def test_a_difference_turns_around_with_its_arms() -> None:
    a, b = counts([8, 5, 9], [10, 10, 10]), counts([3, 4], [10, 5])
    there, back = difference(a, b), difference(b, a)
    assert there.value == pytest.approx(22 / 30 - 7 / 15)
    assert there.value == pytest.approx(-back.value)
    assert there.error == pytest.approx(back.error)


def test_samples_along_leading_axes_are_taken_each_for_itself() -> None:
    pleased, judged = np.array([[8.0, 5, 9], [1, 2, 3]]), np.array([[10.0, 10, 10], [4, 4, 4]])
    both = share(Counts(pleased, judged))
    for row in (0, 1):
        assert both.error[row] == share(Counts(pleased[row], judged[row])).error


def test_the_half_width_is_the_papers() -> None:
    many = Estimate(np.array(0.1), np.array(0.05), np.array(1e9))
    # I = 400, r = 400 / (5.991 + 1.790 + 1) = 45.55; log(445.55 / (45.55 * 0.0025)) = 8.272;
    # sqrt(445.55 * 8.272) / 400 = 0.1518
    assert abs(R - 45.55) < 0.01
    assert half_width(many) == pytest.approx(0.1518, abs=1e-4)
    assert half_width(many) / (1.96 * 0.05) == pytest.approx(1.549, abs=1e-3)


def test_few_people_widen_it_and_one_says_nothing() -> None:
    few, many = (Estimate(np.array(0.1), np.array(0.05), np.array(n)) for n in (5.0, 1e9))
    assert half_width(few) > 1.5 * half_width(many)
    assert np.isinf(half_width(share(counts([3], [10]))))


def test_looking_again_and_again_finds_nothing_where_there_is_nothing() -> None:
    rng = np.random.default_rng(0)
    runs = [missed(rng) for _ in range(200)]
    assert np.mean([sequential for sequential, _ in runs]) <= 0.05
    # The same looks with an interval made for one of them.
    assert np.mean([naive for _, naive in runs]) >= 0.15


def missed(rng: np.random.Generator) -> tuple[bool, bool]:
    """Whether 0 is ever excluded: 100 people with moods, 20 held out, a look every 25 turns."""
    turns, people, every = 2000, 100, 25
    activity = np.exp(rng.normal(0, 0.7, people))
    who = rng.choice(people, turns, p=activity / activity.sum())
    pleased = rng.random(turns) < 1 / (1 + np.exp(-(0.4 + rng.normal(0, 0.5, people))))[who]
    looks = np.arange(turns) // every

    def so_far(what: NDArray[np.bool_]) -> NDArray[np.float64]:
        sums = np.zeros((turns // every, people))
        np.add.at(sums, (looks, who), what)
        return sums.cumsum(axis=0)

    said, asked = so_far(pleased), so_far(np.ones(turns, bool))
    found = difference(Counts(said[:, 20:], asked[:, 20:]), Counts(said[:, :20], asked[:, :20]))
    enough = (asked[:, :20].sum(axis=1) >= 15) & ((asked[:, :20] > 0).sum(axis=1) >= 5)
    apart = np.abs(found.value)[enough]
    sequential = (apart > half_width(found)[enough]).any()
    return bool(sequential), bool((apart > 1.96 * found.error[enough]).any())
