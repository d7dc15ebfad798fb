"""``gpa rubrics history``: the life of an item, from runs and versions."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gpa_agent.learning.lives import lives
from gpa_agent.ledger import AspectRow, Ledger, RunRow
from gpa_agent.rubrics.records import Aspect, ContrastModel, Evidence, Rubric
from gpa_agent.settings_file import people_key
from gpa_agent.workspace import Workspace
from tests.cli.support import Invoke, Taught

PLACE = ("debugging", "novice", "expert")
EVIDENCE = Evidence(
    effect=0.5, interval=(0.2, 0.8), p_value=0.001, q_value=0.01, people={}, turns={}
)


class Days:
    """A ledger on which one thing happens a day; a run takes an hour and ends at noon."""

    def __init__(self, folder: Path) -> None:
        Workspace.open(folder, groups=["novice", "expert"]).close()
        self.now = datetime(2026, 1, 1, 11, 30, tzinfo=UTC)
        self.ledger = Ledger.open(
            folder / "ledger.sqlite", people_key=people_key(folder), clock=lambda: self.now
        )

    def run(self, *said: tuple[str, str | None], name: str = "steps") -> None:
        noon = self.now + timedelta(minutes=30)
        rows = (AspectRow(*PLACE, name, status, {"reason": reason}) for status, reason in said)
        self.ledger.save_run(
            RunRow(str(noon), noon - timedelta(hours=1), noon, {}, {}, (), tuple(rows))
        )

    def serve(self, reason: str, *aspects: Aspect) -> None:
        contrast = ContrastModel(group="novice", other="expert")
        rubric = Rubric(intent="debugging", contrast=contrast, version=0, aspects=aspects)
        self.ledger.publish(rubric.model_dump(mode="json"), reason=reason)

    def next(self) -> None:
        self.now += timedelta(days=1)


def steps(*, words: str = "Give steps.", evidence: Evidence | None = EVIDENCE) -> Aspect:
    return Aspect(
        name="steps",
        rating=4,
        interpretation="",
        guidance={"novice": words},
        status="live",
        evidence=evidence,
    )


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Days]:
    made = Days(tmp_path / "ws")
    yield made
    made.ledger.close()


def told(days: Days) -> list[tuple[int, str, int | None, str | None]]:
    """Day, what, version and reason of everything that happened to the item."""
    (life,) = lives(days.ledger, intent="debugging", name="steps")
    return [(m.at.day, m.what, m.version, m.reason) for m in life.moments]


def test_a_life_from_candidate_to_retired(days: Days) -> None:
    days.run(("candidate", "q 0.2 is above 0.05: may well be chance"))
    days.next()
    days.run(("candidate", "q 0.12 is above 0.05: may well be chance"))  # other figures: no news
    days.next()
    days.run(("candidate", "3 people on one side; 5 are needed"))
    days.next()
    days.run(("approved", "quarantined: a large jump"))
    days.next()
    days.serve("approved steps", steps())
    days.next()
    days.run(("live", None))
    days.next()
    days.serve("removed steps")
    days.run(("retired", "was live: q 0.3 is above 0.05: may well be chance"))
    days.next()
    days.run(("candidate", "q 0.3 is above 0.05: may well be chance"))
    assert told(days) == [
        (1, "candidate", None, "q 0.2 is above 0.05: may well be chance"),
        (3, "candidate", None, "3 people on one side; 5 are needed"),
        (4, "approved", None, "quarantined: a large jump"),
        (5, "live", 1, "approved steps"),
        (7, "retired", 2, "was live: q 0.3 is above 0.05: may well be chance"),
        (8, "candidate", None, "q 0.3 is above 0.05: may well be chance"),
    ]


def test_a_seed_is_replaced_by_evidence_and_then_reworded(days: Days) -> None:
    days.serve("imported", steps(evidence=None))
    days.next()
    days.serve("changed steps", steps())
    days.run(("live", None))
    days.next()
    days.serve("changed steps", steps(words="Number the steps."))
    days.next()
    days.serve("added tone", steps(words="Number the steps."))
    assert [moment[:3] for moment in told(days)] == [
        (1, "seed", 1),
        (2, "live", 2),
        (3, "changed", 3),
    ]


def test_what_a_person_took_out_keeps_the_persons_reason(days: Days) -> None:
    days.serve("added steps", steps())
    days.next()
    days.ledger.hold(*PLACE, names=["steps"])
    days.serve("rejected steps")
    days.next()
    days.run(("retired", "a person took it out"))
    assert told(days)[-1] == (2, "retired", 2, "rejected steps")
    assert [life.held for life in lives(days.ledger, intent="debugging")] == [True]


def test_served_items_come_first_and_contrasts_stay_apart(days: Days) -> None:
    days.run(("candidate", "too few"), name="analogies")
    days.serve("added steps", steps())
    there = Rubric(
        intent="debugging",
        contrast=ContrastModel(group="child"),
        version=0,
        aspects=(steps(),),
    )
    days.ledger.publish(there.model_dump(mode="json"), reason="added steps")
    found = [(life.contrast.group, life.name) for life in lives(days.ledger, intent="debugging")]
    assert found == [("child", "steps"), ("novice", "steps"), ("novice", "analogies")]
    assert len(lives(days.ledger, intent="debugging", group="expert")) == 2


def test_the_command_follows_what_people_did(
    invoke: Invoke, taught: Taught, workspace: Path
) -> None:
    name: str = taught.report["rubrics"][0]["aspects"][0]["name"]
    intent: str = taught.report["rubrics"][0]["intent"]
    for command in (["reject", intent, name], ["rollback", intent, "1"], ["reject", intent, name]):
        assert invoke("rubrics", *command, "-w", workspace).exit_code == 0
    done = invoke("rubrics", "history", intent, name, "-w", workspace, "--json")
    assert done.exit_code == 0, done.stderr
    (life,) = json.loads(done.stdout)["history"]
    moments: list[dict[str, Any]] = life["moments"]
    assert [(m["what"], m["version"]) for m in moments] == [
        ("live", 1),
        ("retired", 2),
        ("live", 3),
        ("retired", 4),
    ]
    assert moments[1]["reason"] == f"rejected {name}"
    assert life["held"] is True
    shown = invoke("rubrics", "history", intent, "-w", workspace).stdout
    assert f"{name} ({intent}: novice against expert)" in shown
    assert "version 3: rolled back to version 1" in shown
    assert "a person took it out" in shown


def test_what_is_not_known_is_named(invoke: Invoke, workspace: Path) -> None:
    for command, words in (("gardening", "intent 'gardening'"), ("debugging x", "item 'x'")):
        done = invoke("rubrics", "history", *command.split(), "-w", workspace)
        assert done.exit_code == 2
        assert words in done.stderr
