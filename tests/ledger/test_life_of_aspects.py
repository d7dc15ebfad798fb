"""What runs and versions say of an intent's aspects over time, oldest first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gpa_agent.ledger import AspectRow, RunRow

if TYPE_CHECKING:
    from gpa_agent.ledger import Ledger


def saw(day: int, *aspects: AspectRow) -> RunRow:
    began = datetime(2026, 1, day, 1, tzinfo=UTC)
    return RunRow(f"run-{9 - day}", began, began.replace(hour=2), {}, {}, (), aspects)


def aspect(intent: str, name: str, reason: str | None) -> AspectRow:
    return AspectRow(intent, "novice", "*", name, "candidate", {"name": name, "reason": reason})


def test_sightings_are_those_of_the_intent_in_the_order_of_runs(ledger: Ledger) -> None:
    ledger.save_run(
        saw(1, aspect("debugging", "steps", "too few"), aspect("planning", "tone", "too few"))
    )
    ledger.save_run(saw(2, aspect("debugging", "steps", None)))
    seen = ledger.sightings("debugging")
    assert [(s.began.day, s.at.hour, s.name, s.reason) for s in seen] == [
        (1, 2, "steps", "too few"),
        (2, 2, "steps", None),
    ]
    assert ledger.sightings("cooking") == []


def test_versions_are_those_of_every_contrast_of_the_intent(ledger: Ledger) -> None:
    for intent, group in (
        ("debugging", "novice"),
        ("debugging", "child"),
        ("planning", "novice"),
        ("debugging", "novice"),
    ):
        body = {"intent": intent, "contrast": {"group": group, "other": "*"}, "aspects": []}
        ledger.publish(body, reason="learned")
    found = [(v.group, v.version, v.status) for v in ledger.versions("debugging")]
    assert found == [("novice", 1, "retired"), ("child", 1, "live"), ("novice", 2, "live")]
