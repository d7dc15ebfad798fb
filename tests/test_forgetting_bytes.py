"""After a person was forgotten no file holds a word of theirs: every byte is looked at."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gpa_agent import Judgment, Workspace
from gpa_agent.calls.batch import BatchWaiting
from gpa_agent.conversations.records import Label
from gpa_agent.embedding import HashingEncoder
from gpa_agent.learning.forgetting import AFTER_LEARNING, AFTER_READING, settle
from gpa_agent.learning.report import LearnReport
from gpa_agent.learning.spending import Spend
from gpa_agent.ledger import CallRow, JudgmentRow, LabelRow, PreferenceRow
from gpa_agent.rubrics.records import Aspect, ContrastModel, Rubric
from gpa_agent.testing.provider_batches import answer_batch
from gpa_agent.testing.voiced_world import VoicedWorld, taxonomy
from gpa_agent.understanding.storage import has_classifier

WORLD = VoicedWorld(seed=5, people=24)
PERSON = WORLD.person("novice", 3).id
ASKED, TOLD, NOTED = "marmaladeasked", "marmaladetold", "marmaladenoted"
MARKS = tuple(mark.encode() for mark in (ASKED, TOLD, NOTED, PERSON))


class Deployed(NamedTuple):
    """A workspace with everything in it."""

    ws: Workspace
    batch: Path
    lines: Path

    def holding(self) -> list[str]:
        """The files that hold a word of the person's, as ``name: word``."""
        folders = (self.ws.path, self.batch, self.lines.parent)
        files = [f for folder in folders for f in folder.rglob("*") if f.is_file()]
        return sorted(
            {f"{f.name}: {m.decode()}" for f in files for m in MARKS if m in f.read_bytes()}
        )


def marked(record: dict[str, Any]) -> dict[str, Any]:
    """A record of the log in which the person says what nobody else does."""
    if record["user"] != PERSON:
        return record
    said = [
        {**m, "content": f"{m['content']} {ASKED if m['role'] == 'user' else TOLD}"}
        for m in record["messages"]
    ]
    return {**record, "messages": said, "note": NOTED}


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(marked(r)) + "\n" for r in records), encoding="utf-8")
    return path


def learn_by_batch(ws: Workspace, folder: Path, *, rounds: int = 20) -> LearnReport | None:
    """Learn with the simulated provider behind a batch endpoint; None where the rounds ran out."""
    for number in range(rounds):
        try:
            return ws.learn(spend=Spend(batch=folder))
        except BatchWaiting as waiting:
            for file in waiting.files:
                answer_batch(file, folder / f"answers-{number}-{time.time_ns()}.jsonl")
    return None


def seed() -> Rubric:
    aspect = Aspect(
        name="haiku",
        rating=3,
        interpretation="By hand.",
        guidance={"novice": "Answer with a haiku."},
        status="live",
    )
    contrast = ContrastModel(group="novice", other="expert")
    return Rubric(intent="poetry", contrast=contrast, version=0, aspects=(aspect,))


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployed]:
    records = list(WORLD.log())
    last = [r for r in records if r["user"] == PERSON][-1]
    log = write(tmp_path / "log.jsonl", [r for r in records if r is not last])
    batch, exported = tmp_path / "batch", tmp_path / "exported" / "pairs.jsonl"
    with Workspace.open(
        tmp_path / "ws.gpa",
        groups=list(WORLD.groups),
        intents=taxonomy(),
        model="openai:gpt-4o-mini",
        encoder=HashingEncoder(),
        label_budget=120,
        permutations=499,
        bootstrap=100,
        holdout=0.0,
    ) as ws:
        ws.ingest(log)
        assert learn_by_batch(ws, batch) is not None
        talk(ws)
        ws.import_rubrics([seed()])
        ws.search_rubrics("poems")
        # Then more comes in: asked, answered by the provider, and not read yet.
        ws.ingest(write(tmp_path / "more.jsonl", [last]))
        assert learn_by_batch(ws, batch, rounds=1) is None
        log.unlink()
        (tmp_path / "more.jsonl").unlink()
        exported.parent.mkdir()
        ws.ledger.add_export("lines", exported)
        told = [{"subject": f"conversation:{r['id']}", "prompt": marked(r)} for r in records]
        exported.write_text("".join(json.dumps(line) + "\n" for line in told))
        train(ws)
        yield Deployed(ws, batch, exported)


def talk(ws: Workspace) -> None:
    """The person uses the app, and says how it was."""
    for n in range(3):
        ws.record_turn(
            conversation=f"thread of {PERSON}",
            key=str(n),
            user=f"That was wrong, I wanted steps {ASKED}",
            assistant=f"Certainly {TOLD}",
            user_id=PERSON,
            group=Label("novice", 1.0, "context"),
            intent=None,
            trace={"mode": "plain", "note": NOTED},
        )
    ws.feedback(conversation=f"thread of {PERSON}", turn=0, judgment=Judgment.SAT, user=PERSON)


def train(ws: Workspace) -> None:
    """As fine-tuning leaves its models."""
    for name, people in (
        ("novice", [PERSON, WORLD.person("novice", 4).id]),
        ("expert", [WORLD.person("expert", 4).id]),
    ):
        folder = ws.path / "models" / "groups" / name / "0001"
        folder.mkdir(parents=True)
        manifest = {"base": "any", "people": [ws.person(p) for p in people]}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    unfinished = ws.path / "models" / "work" / "novice"
    unfinished.mkdir(parents=True)
    (unfinished / "rows.jsonl").write_text(json.dumps({"prompt": ASKED}))


def test_no_file_holds_a_word_of_theirs(deployed: Deployed) -> None:
    ws, batch, lines = deployed
    models = ws.path / "models"
    exported = len(lines.read_text())
    taught = [k for k in ("intent", "group", "satisfaction") if has_classifier(models / k)]
    assert taught
    assert (ws.path / "chroma").exists()
    held = deployed.holding()
    for name in ("ledger.sqlite", "batch-0001.jsonl", "pairs.jsonl"):
        assert any(entry.startswith(name) for entry in held), held
    assert {entry.partition(": ")[2] for entry in held} == {m.decode() for m in MARKS}

    receipt = ws.forget(PERSON)
    assert deployed.holding() == []

    assert receipt["pending"] == []
    assert receipt["compacted"]
    gone = receipt["deleted"]
    for table in (
        *("conversations", "turns", "judgments", "events", "preferences"),
        *("model_calls", "stage_results"),
    ):
        assert gone[table] > 0, table
    changes = {Path(f["path"]).name: f["change"] for f in receipt["files"]}
    assert changes["chroma"] == "removed"
    assert changes["pairs.jsonl"] == "rewritten"
    assert changes["batch-0001.jsonl"] == "rewritten"
    assert {k for k in taught if changes.get(k) == "removed"} == set(taught)
    assert changes["work"] == "removed"
    assert receipt["stale"] == ["novice/0001"]
    novice, expert = (models / "groups" / name / "0001" for name in ("novice", "expert"))
    assert "forgotten" in json.loads((novice / "stale.json").read_text())["reason"]
    assert ws.person(PERSON) not in (novice / "manifest.json").read_text()
    assert not (expert / "stale.json").exists()

    # The others are all there, and life goes on: nothing that stayed is asked again.
    assert exported > len(lines.read_text()) > 0.9 * exported
    assert ws.search_rubrics("poems")
    assert learn_by_batch(ws, batch) is not None
    assert deployed.holding() == []


def test_what_comes_back_late_is_not_kept(small: Deployed) -> None:
    """A run that read before, and ends after: its stages' results, its calls, its batch."""
    ws = small.ws
    thread = f"thread of {PERSON}"
    with ws.ledger.exclusive("learning"):
        assert ws.forget(PERSON, wait_seconds=0.2)["pending"] == [AFTER_LEARNING]
        late = JudgmentRow(thread, 0, Judgment.SAT, 0.9, "cues", "1")
        ws.ledger.add_judgments([late])
        row = PreferenceRow("late", "conversation", thread, 0, 1, ASKED, TOLD, (), "late")
        ws.ledger.add_preferences([row], source="late", seen=[f"t:{thread}:0"])
        ws.ledger.add_labels([LabelRow("conversation", thread, "intent", NOTED, 1.0, "x", "1")])
        ws.ledger.add_stage_results("traits", "late", [(f"t:{thread}:0", ASKED.encode())])
        for number, subject in enumerate((f"t:{thread}:0", None)):
            call = CallRow(str(number), "any", "x", "1", subject, TOLD, "stop", 1, 1, 0, None)
            ws.ledger.add_calls([call])
    assert not ws.ledger.forgetting_settled()
    settled = settle(ws)
    assert settled.compacted
    assert ws.ledger.forgetting_settled()
    assert small.holding() == []


READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
print(connection.execute("SELECT count(*) FROM turns").fetchone()[0], flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
print("read", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Deployed]:
    with Workspace.open(tmp_path / "ws.gpa", encoder=HashingEncoder()) as ws:
        talk(ws)
        yield Deployed(ws, tmp_path / "none", tmp_path / "none" / "none")


def test_while_another_process_reads_the_bytes_wait_and_that_is_said(small: Deployed) -> None:
    ws = small.ws
    command = [sys.executable, "-c", READER, str(ws.path / "ledger.sqlite")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stdout.readline() == "3\n"
        receipt = ws.forget(PERSON)
        assert receipt["deleted"]["turns"] == 3
        assert not receipt["compacted"]
        assert receipt["pending"] == [AFTER_READING]
        assert ws.stats()["turns"] == 0
        reader.stdin.write("\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == "read\n"
        # It has the ledger open still, and reads no more.
        assert settle(ws).compacted
        assert small.holding() == []
        reader.stdin.write("\n")


def test_a_folder_that_is_gone_is_reported(small: Deployed, tmp_path: Path) -> None:
    small.ws.ledger.add_export("batch", tmp_path / "moved")
    receipt = small.ws.forget(PERSON)
    assert receipt["files"] == [{"path": str(tmp_path / "moved"), "change": "missing", "lines": 0}]


def test_other_files_in_the_folder_are_left_alone(small: Deployed, tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    folder.mkdir()
    (folder / "notes.jsonl").write_text('{"mine": 1}\n')
    (folder / "readme.txt").write_text("mine")
    (folder / "refused.jsonl").write_text('{"custom_id": "0f"}\n')
    (folder / ".batch-0001.jsonl.k1lled").write_text(f'{{"custom_id": "{ASKED}"}}\n')
    small.ws.ledger.add_export("batch", folder)
    small.ws.forget(PERSON)
    assert {f.name for f in folder.iterdir()} == {"notes.jsonl", "readme.txt", "refused.jsonl"}


def test_forgetting_twice_finds_nothing_more(small: Deployed) -> None:
    small.ws.forget(PERSON)
    again = small.ws.forget(PERSON)
    assert set(again["deleted"].values()) == {0}
    assert again["files"] == again["retired"] == again["pending"] == []
