from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpa_agent.conversations.records import Judgment, Label, Message, PreferencePair
from gpa_agent.learning.blocks import block_of
from gpa_agent.learning.observing import Place, observe
from gpa_agent.learning.stages import measure
from gpa_agent.ledger import Ledger
from gpa_agent.rubrics.traits import catalogue

NEWEST = datetime(2026, 5, 1, tzinfo=UTC)
NAMES = [trait.name for trait in catalogue()]
LISTS, STEPS = NAMES.index("lists"), NAMES.index("steps")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(str(tmp_path / "ledger.db"), people_key=b"k" * 32) as opened:
        yield opened


def trace(mode: str = "context", *aspects: str, version: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "intent": "general",
        "group": "novice",
        "arm": "tailored",
        "mode": mode,
        "rubric_version": version,
        "aspects": list(aspects),
        **more,
    }


def answer(
    ledger: Ledger, name: str, *, served: dict[str, Any] | None = None, days_ago: int = 0
) -> None:
    """Record a judged turn of a person of their own."""
    ledger.record_turn(
        conversation=name,
        key="0",
        user="How?",
        assistant=f"1. Open it.\n2. Shut it, {name}.",
        person=ledger.person(name),
        group=Label("novice", 1.0, "context"),
        served=served,
        at=NEWEST - timedelta(days=days_ago),
    )
    ledger.add_explicit(name, 0, Judgment.SAT)


def measured(ledger: Ledger) -> Ledger:
    measure(ledger, lambda *_: None)
    return ledger


def test_rows_that_were_served_alike_share_a_stratum(ledger: Ledger) -> None:
    answer(ledger, "a", served=trace("context", "lists"))
    answer(ledger, "b", served=trace("context", "lists", arm="tailored", degraded=None))
    answer(ledger, "c", served=trace("context", "lists", version=2))
    answer(ledger, "d", served=trace("plain", arm="holdout"))
    answer(ledger, "e")
    rows = observe(measured(ledger), one_intent=True).observations
    one, alike, other, held_out, outside = rows.stratum.tolist()
    assert one == alike != other
    assert 0 not in {one, other}
    assert held_out == outside == 0


def test_a_row_is_silent_of_what_it_was_served(ledger: Ledger) -> None:
    answer(ledger, "a", served=trace("context", "lists"))
    answer(ledger, "b", served=trace("plain", arm="holdout"))
    # A group model's aspects are those of the rubric it stands for; without one it may be anything.
    answer(ledger, "c", served=trace("finetuned", guided=["steps"]))
    answer(ledger, "d", served=trace("finetuned"))
    masked = observe(measured(ledger), one_intent=True).observations.masked
    assert np.flatnonzero(masked[0]).tolist() == [LISTS]
    assert not masked[1].any()
    assert np.flatnonzero(masked[2]).tolist() == [STEPS]
    assert masked[3].all()


def test_rows_age_and_turn(ledger: Ledger) -> None:
    for name, days in (("a", 0), ("b", 90), ("c", 180)):
        answer(ledger, name, days_ago=days)
    with ledger.ingesting("pairs") as batch:
        batch.add_all([pair()])
    place: Place = ("general", "novice", "*")
    moments = {"lists": NEWEST - timedelta(days=100), "no trait of ours": NEWEST}
    observed = observe(
        measured(ledger), one_intent=True, half_life_days=90, turned={place: moments}
    )
    # The pair has no time: it does not age, and is older than any moment.
    assert observed.observations.weight.tolist() == [1.0, 0.5, 0.25, 1.0]
    assert observed.turned[place][:, LISTS].tolist() == [False, False, True, True]
    assert not np.delete(observed.turned[place], LISTS, axis=1).any()
    assert not observed.observations.masked.any()


def pair() -> PreferencePair:
    return PreferencePair(
        id="p", prompt=(Message("user", "Why?"),), chosen="So.", rejected="No idea.", user="z"
    )


def test_nothing_served_is_no_block() -> None:
    assert block_of(None) is None
    assert block_of(trace("plain", "lists", degraded="no rubric in time")) is None
    assert block_of({"mode": "context"}) is not None
