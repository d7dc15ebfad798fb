"""What became of served turns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gpa_agent.conversations import Conversation, Judgment, Label, Turn
from gpa_agent.ledger import JudgmentRow, LabelRow, Ledger
from gpa_agent.ledger.served import OutcomeRow

START = datetime(2026, 5, 4, tzinfo=UTC)
TRACE = {
    "intent": "debugging",
    "group": "novice",
    "arm": "tailored",
    "mode": "context",
    "rubric_version": 2,
    "aspects": ["steps", "warmth"],
    "degraded": None,
}


def serve(ledger: Ledger, conversation: str, number: int = 0, **given: Any) -> None:
    served: dict[str, Any] = {**TRACE, **given}
    ledger.record_turn(
        conversation=conversation,
        key=str(number),
        user="u",
        assistant="a",
        person=f"p-{conversation}",
        intent=Label(served["intent"], 0.8, served.pop("intent_by", "classifier")),
        served=served,
        at=START + timedelta(hours=number),
    )


def label(conversation: str, intent: str) -> LabelRow:
    return LabelRow("conversation", conversation, "intent", intent, 0.9, "classifier", "later")


def test_a_served_turn_is_told_with_its_trace_and_its_judgment(ledger: Ledger) -> None:
    serve(ledger, "c")
    ledger.add_judgments([JudgmentRow("c", 0, Judgment.DSAT, 0.7, "cues", "1")])
    (row,) = ledger.outcomes()
    assert row == OutcomeRow(
        conversation="c",
        idx=0,
        person="p-c",
        arm="tailored",
        group="novice",
        intent="debugging",
        own_intent=None,
        mode="context",
        version=2,
        aspects=("steps", "warmth"),
        degraded=None,
        judgment=Judgment.DSAT,
        at=START,
    )
    ledger.add_explicit("c", 0, Judgment.SAT)
    assert [r.judgment for r in ledger.outcomes()] == [Judgment.SAT]


def test_turns_of_logs_are_not_served_turns_and_unknown_is_nothing(ledger: Ledger) -> None:
    with ledger.ingesting("log") as ingest:
        ingest.add(Conversation(id="log", turns=(Turn(user="u", assistant="a"),)))
    serve(ledger, "c", group="unknown", intent="unknown", rubric_version=None, aspects=[])
    (row,) = ledger.outcomes()
    assert (row.group, row.intent, row.version, row.aspects) == (None, None, None, ())
    assert row.judgment is None


@pytest.mark.parametrize(
    ("stated_by", "later", "own"),
    [
        ("context", None, "debugging"),
        ("context", "planning", "debugging"),
        ("classifier", "planning", "planning"),
        ("classifier", "unknown", None),
        ("classifier", None, None),
    ],
)
def test_the_own_intent_is_stated_or_told_later_and_never_the_one_that_was_served(
    ledger: Ledger, stated_by: str, later: str | None, own: str | None
) -> None:
    serve(ledger, "c", intent_by=stated_by)
    if later is not None:
        ledger.add_labels([label("c", later)])
    assert [(r.intent, r.own_intent) for r in ledger.outcomes()] == [("debugging", own)]


def test_pages_lose_and_double_nothing_and_since_leaves_out_what_was_before(ledger: Ledger) -> None:
    for name in "abc":
        for number in range(4):
            serve(ledger, name, number)
    everything = [(name, number) for name in "abc" for number in range(4)]
    for batch in (1, 5, 12, 100):
        assert [(r.conversation, r.idx) for r in ledger.outcomes(batch=batch)] == everything
    late = ledger.outcomes(since=START + timedelta(hours=2), batch=2)
    assert [(r.conversation, r.idx) for r in late] == [(n, i) for n, i in everything if i >= 2]
