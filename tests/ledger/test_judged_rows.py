"""Judged rows say when they were answered and what they were served."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gpa_agent.conversations.records import Conversation, Judgment, Turn

if TYPE_CHECKING:
    from gpa_agent.ledger import Ledger

AT = datetime(2026, 4, 2, 10, 30, tzinfo=UTC)
SERVED = {"mode": "context", "arm": "tailored", "rubric_version": 2, "aspects": ["lists"]}


def two_turns(ledger: Ledger) -> None:
    """One answered through us, one from a log without times."""
    ledger.record_turn(
        conversation="a",
        key="0",
        user="u",
        assistant="x",
        person=ledger.person("ann"),
        served=SERVED,
        at=AT,
    )
    ledger.add_explicit("a", 0, Judgment.SAT)
    outside = Conversation(id="b", turns=(Turn(user="u", assistant="x", judgment=Judgment.SAT),))
    with ledger.ingesting("log") as batch:
        batch.add_all([outside])


def test_of_measured_answers(ledger: Ledger) -> None:
    two_turns(ledger)
    ledger.add_stage_results("s", "1", [("t:a:0", b"1"), ("t:b:0", b"2")])
    rows = list(ledger.judged_rows("s", "1"))
    assert [(r.value, r.at, r.served) for r in rows] == [(b"1", AT, SERVED), (b"2", None, None)]


def test_of_explained_turns(ledger: Ledger) -> None:
    two_turns(ledger)
    ledger.add_preferences([], source="cues", seen=["t:a:0", "t:b:0"])
    rows = list(ledger.heard("cues"))
    assert [(r.at, r.served) for r in rows] == [(AT, SERVED), (None, None)]
