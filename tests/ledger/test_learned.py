from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gpa_agent.errors import UsageError
from gpa_agent.ledger import AspectRow, ContrastRow, Ledger, RunRow

KEY = b"k" * 32


def body(*names: str, intent: str = "debugging", group: str = "novice") -> dict[str, Any]:
    return {
        "intent": intent,
        "contrast": {"group": group, "other": "*"},
        "version": 0,
        "aspects": [{"name": name, "status": "live"} for name in names],
    }


def run(run_id: str, day: int, *names: str) -> RunRow:
    return RunRow(
        id=run_id,
        started=datetime(2026, 1, day, 1, tzinfo=UTC),
        finished=datetime(2026, 1, day, 2, tzinfo=UTC),
        settings={"seed": 0},
        summary={"tested": 3},
        contrasts=(ContrastRow("debugging", "novice", "*", 3, {}),),
        aspects=tuple(
            AspectRow("debugging", "novice", "*", name, "candidate", {"name": name})
            for name in names
        ),
    )


def test_publishing_adds_a_version_and_retires_the_one_before(ledger: Ledger) -> None:
    assert ledger.revision() == 0
    assert ledger.publish(body("lists"), reason="learned").version == 1
    second = ledger.publish(body("lists", "code"), reason="learned more")
    assert (second.version, second.body["version"]) == (2, 2)
    ledger.publish(body("tone", group="expert"), reason="learned")
    assert ledger.revision() == 3
    history = ledger.history(intent="debugging", group="novice")
    assert [(r.version, r.status, len(r.body["aspects"])) for r in history] == [
        (1, "retired", 1),
        (2, "live", 2),
    ]
    assert [(r.group, r.version) for r in ledger.live_rubrics()] == [("expert", 1), ("novice", 2)]
    assert ledger.counts()["live_aspects"] == 3
    assert ledger.counts()["rubrics"] == 2


def test_a_restored_version_is_a_new_one_with_the_old_body(ledger: Ledger) -> None:
    ledger.publish(body("lists"), reason="learned")
    ledger.publish(body("code"), reason="learned")
    restored = ledger.restore(intent="debugging", group="novice", version=1)
    assert (restored.version, restored.status, restored.reason) == (3, "live", "version 1 restored")
    assert restored.body == body("lists") | {"version": 3}
    assert ledger.live_rubrics() == [restored]
    with pytest.raises(UsageError, match=r"no version 9 .*'debugging'"):
        ledger.restore(intent="debugging", group="novice", version=9)
    assert ledger.revision() == 3


def test_another_process_sees_the_revision_move(where: str, ledger: Ledger) -> None:
    with Ledger.open(where, people_key=KEY) as other:
        assert other.revision() == 0
        published = ledger.publish(body("lists"), reason="learned")
        assert other.revision() == 1
        assert other.live_rubrics() == [published]


def test_the_latest_run_is_the_one_saved_last_whatever_its_clock_said(ledger: Ledger) -> None:
    assert ledger.aspects_of_latest() == []
    ledger.save_run(run("b", 2, "lists", "code"))
    ledger.save_run(run("a", 1, "tone"))
    assert [row.name for row in ledger.aspects_of_latest()] == ["tone"]
    ledger.save_run(run("b", 2, "steps"))  # the same run again: replaced, not added to
    assert [row.name for row in ledger.aspects_of_latest()] == ["steps"]
