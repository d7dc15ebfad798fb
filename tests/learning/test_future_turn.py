"""A turn that is dated ahead makes no other turn old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gpa_agent.conversations.records import Judgment, Label
from gpa_agent.learning.cases import hear
from gpa_agent.ledger import Ledger, PreferenceRow, turn_input

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def test_one_turn_of_2099_leaves_the_others_their_weight(tmp_path: Path) -> None:
    times = [NOW, NOW - timedelta(days=90), datetime(2099, 1, 1, tzinfo=UTC)]
    with Ledger.open(tmp_path / "l.db", people_key=b"k" * 32, clock=lambda: NOW) as ledger:
        for n, at in enumerate(times):
            speak(ledger, f"c{n}", at)
        heard = hear(ledger, "m", one_intent=True, share=0.5, half_life_days=90)
    parts = (heard.finding, heard.testing)
    turns = [turn for part in parts for some in part.values() for turn in some]
    assert {t.at: t.weight for t in turns} == pytest.approx(
        {times[0]: 1, times[1]: 0.5, times[2]: 1}
    )


def speak(ledger: Ledger, conversation: str, at: datetime) -> None:
    ledger.record_turn(
        conversation=conversation,
        key="0",
        user="Hi",
        assistant="Hello.",
        person=ledger.person(conversation),
        group=Label("novice", 1.0, "context"),
        at=at,
    )
    ledger.add_explicit(conversation, 0, Judgment.SAT, at=at)
    said = PreferenceRow(conversation, "conversation", conversation, 0, 1, "steps", "", (), "m")
    ledger.add_preferences([said], source="m", seen=[turn_input(conversation, 0)])
