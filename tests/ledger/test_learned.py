from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from gpa_agent.errors import UsageError
from gpa_agent.ledger import AspectRow, ContrastRow, Ledger, RunRow
from gpa_agent.ledger.learned import ChangedMeanwhile, Standing

KEY = b"k" * 32
PLACE = ("debugging", "novice", "*")


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


def test_restoring_pins_what_it_has_and_holds_what_it_lacks(ledger: Ledger) -> None:
    ledger.publish(body("lists", "tone"), reason="learned")
    ledger.publish(body("code", "tone"), reason="learned")
    ledger.hold(*PLACE, names=["lists"])
    restored = ledger.restore(intent="debugging", group="novice", version=1)
    assert ledger.standing(*PLACE) == Standing(
        restored, held=frozenset({"code"}), pinned=frozenset({"lists", "tone"})
    )


def test_a_restoring_that_is_cut_off_changes_nothing(path: Path, ledger: Ledger) -> None:
    ledger.publish(body("lists"), reason="learned")
    ledger.publish(body("code"), reason="learned")
    before = ledger.standing(*PLACE)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TRIGGER cut BEFORE INSERT ON decisions BEGIN SELECT RAISE(ABORT, 'cut'); END"
        )
    with pytest.raises(IntegrityError):
        ledger.restore(intent="debugging", group="novice", version=1)
    assert ledger.standing(*PLACE) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda ledger: ledger.publish(body("tone"), reason="by hand"),
        lambda ledger: ledger.restore(intent="debugging", group="novice", version=1),
        lambda ledger: ledger.hold(*PLACE, names=["code"]),
    ],
    ids=["published", "restored", "held"],
)
def test_what_was_decided_on_something_else_is_not_published(
    ledger: Ledger, change: Callable[[Ledger], object]
) -> None:
    ledger.publish(body("lists"), reason="learned")
    before = ledger.standing(*PLACE)
    change(ledger)
    after = ledger.standing(*PLACE)
    with pytest.raises(ChangedMeanwhile, match="'debugging' was changed"):
        ledger.publish(body("code"), reason="learned", expected=before)
    assert ledger.standing(*PLACE) == after
    published = ledger.publish(body("code"), reason="learned", expected=after)
    assert ledger.standing(*PLACE).live == published


def test_what_does_harm_is_noted_with_the_version_that_takes_it_out(ledger: Ledger) -> None:
    ledger.publish(body("lists", "code"), reason="learned")
    ledger.restore(intent="debugging", group="novice", version=1)
    stored = ledger.publish(body("code"), reason="removed lists", harmed=["lists"])
    assert ledger.standing(*PLACE).pinned == {"code"}
    assert ledger.turned()[PLACE].keys() == {"lists"}
    assert ledger.turned()[PLACE]["lists"] <= stored.created_at


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
