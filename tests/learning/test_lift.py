"""The lift: tailored people against the held-out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from gpa_agent.conversations import Judgment
from gpa_agent.learning.lift import Enough, lift
from gpa_agent.ledger.served import OutcomeRow

SAT, DSAT, NEITHER = Judgment.SAT, Judgment.DSAT, Judgment.NEITHER


def row(person: str | None, judgment: Judgment | None, *, arm: str = "tailored") -> OutcomeRow:
    return OutcomeRow(
        conversation="c",
        idx=0,
        person=person,
        arm=arm,
        group="novice",
        intent="debugging",
        own_intent=None,
        mode="context",
        version=1,
        aspects=("steps",),
        degraded=None,
        judgment=judgment,
        at=datetime(2026, 5, 4, tzinfo=UTC),
    )


def rows(arm: str, pleased: int, of: int) -> Iterator[OutcomeRow]:
    for n in range(of):
        yield row(f"{arm}{n % 10}", SAT if n < pleased else DSAT, arm=arm)


def test_the_lift_is_the_difference_of_the_shares_that_pleased() -> None:
    found = lift([*rows("tailored", 80, 100), *rows("holdout", 24, 40)])
    assert (found.tailored.satisfaction, found.holdout.satisfaction) == (0.8, 0.6)
    assert found.lift == pytest.approx(0.2)
    assert found.interval is not None
    low, high = found.interval
    assert low < 0.2 < high
    assert found.untold is None
    assert (found.tailored.people, found.tailored.judged, found.tailored.pleased) == (10, 100, 80)


def test_turns_without_a_judgment_are_left_out_and_counted() -> None:
    silent = [row("tailored1", NEITHER), row("tailored1", None), row("new", None)]
    without = lift([*rows("tailored", 80, 100), *rows("holdout", 24, 40)])
    found = lift([*rows("tailored", 80, 100), *silent, *rows("holdout", 24, 40)])
    assert (found.lift, found.interval) == (without.lift, without.interval)
    assert (found.tailored.neither, found.tailored.unjudged, found.tailored.people) == (1, 2, 10)


def test_turns_of_nobody_known_are_left_out() -> None:
    anonymous = [row(None, DSAT) for _ in range(50)]
    known = [*rows("tailored", 80, 100), *rows("holdout", 24, 40)]
    assert lift([*known, *anonymous]) == lift(known)


def test_too_few_people_give_a_reason_and_no_number() -> None:
    found = lift(
        [*rows("tailored", 80, 100), *[row(f"h{n % 4}", SAT, arm="holdout") for n in range(30)]]
    )
    assert found.untold == "30 judged turns of 4 held-out people; 15 turns of 5 people are needed"
    assert (found.lift, found.interval) == (None, None)
    assert (found.holdout.satisfaction, found.holdout.pleased) == (None, None)
    assert found.tailored.satisfaction == 0.8
    strict = lift([*rows("tailored", 80, 100), *rows("holdout", 24, 40)], enough=Enough(people=50))
    assert strict.untold is not None


def test_without_a_holdout_it_cannot_be_told() -> None:
    assert lift(rows("tailored", 80, 100)).untold == (
        "nobody is held out: what serving does cannot be told"
    )
