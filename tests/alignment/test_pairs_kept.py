"""Pairs of a log that was really learned from; killed half-way; and people who are forgotten."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gpa_agent import Workspace
from gpa_agent.alignment.pair import read_pairs
from gpa_agent.alignment.pairs.exporting import export_pairs
from gpa_agent.alignment.pairs.formats import format_named
from gpa_agent.alignment.pairs.making import PairsConfig, make_pairs, pairs_file
from gpa_agent.ledger import Busy
from gpa_agent.testing.answers import measure
from gpa_agent.testing.openai_server import OpenAIServer
from tests.alignment.pairs_support import (
    ingest,
    marked,
    open_workspace,
    record,
    recorded_pair,
    rubric,
    twin_of,
)

MODEL = "openai:simulated-writer"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer(reply=marked) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        yield running


def test_pairs_of_a_learned_log_differ_in_what_was_learned(
    chat_log: Path, tmp_path: Path, server: OpenAIServer
) -> None:
    server.reply = twin_of
    with open_workspace(tmp_path / "ws") as ws:
        ws.ingest(chat_log)
        ws.learn()
        live = {r.intent: {a.name for a in r.aspects} for r in ws.export_rubrics()}
    with open_workspace(tmp_path / "ws", model=MODEL, store=False) as ws:
        report = make_pairs(ws, config=PairsConfig(per_person=2))
        pairs = [p for g in report.groups for p in read_pairs(pairs_file(ws, g))]
    assert {pair.intent for pair in pairs} == set(live) <= {"debugging", "explanation"}
    assert {pair.judgment for pair in pairs} == {1, -1}
    assert report.skipped["no_rubric"] > 0
    looked = report.judged + report.recorded
    assert looked == report.pairs + sum(report.skipped.values()) + sum(report.sifted.values())
    assert report.pairs >= 0.9 * report.calls
    shares = {
        (group, side): _share(pairs, group, side, "code_blocks")
        for group in ("novice", "expert")
        for side in ("chosen", "rejected")
    }
    assert "code_blocks" in live["debugging"]  # planted: experts want them, novices do not
    assert shares["expert", "chosen"] > shares["expert", "rejected"] + 0.2, shares
    assert shares["novice", "rejected"] > shares["novice", "chosen"] + 0.2, shares


def _share(pairs: list[Any], group: str, side: str, feature: str) -> float:
    texts = [
        getattr(p, side)[0].content for p in pairs if (p.group, p.intent) == (group, "debugging")
    ]
    return sum(measure(text)[feature] for text in texts) / len(texts)


def test_killed_half_way_it_goes_on_and_asks_nothing_that_was_answered(
    tmp_path: Path, server: OpenAIServer
) -> None:
    flights = 4

    def slowly(request: Mapping[str, Any]) -> str:
        time.sleep(0.05)
        return marked(request)

    server.reply = slowly
    log = [record(f"c{n}", f"Why does it loop? ({n})", (f"So, {n}.", 1)) for n in range(60)]
    with open_workspace(tmp_path / "ws", model=MODEL, concurrency=flights) as ws:
        ws.import_rubrics([rubric()])
        ingest(ws, tmp_path / "log", *log)
    command = [sys.executable, "-m", "tests.alignment.run_pairs", str(tmp_path / "ws")]
    running = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while len(server.requests) < 20:
        assert running.poll() is None
        time.sleep(0.01)
    running.kill()
    running.wait()
    with open_workspace(tmp_path / "ws") as ws:
        assert not pairs_file(ws, "novice").exists()
        report = make_pairs(ws)
    asked = Counter(json.dumps(request["messages"]) for request in server.requests)
    assert len(asked) == report.pairs == 60
    # Those in flight when it was killed are asked again, and no other.
    assert sum(asked.values()) - len(asked) <= flights
    assert 0 < report.calls <= 60 - 20 + flights


def test_a_forgotten_persons_lines_go_wherever_they_were_written(
    tmp_path: Path, server: OpenAIServer
) -> None:
    log = [
        record("c1", "Why does it loop?", ("So.", 1), "And now?", ("Thus.", -1), user="anna"),
        record("c2", "Why does it end?", ("Because.", 1), user="ben"),
        recorded_pair("p1", user="anna"),
        recorded_pair("p2", user="ben"),
        record("c3", "Why not?", ("No.", -1), user="anna", group="expert"),
    ]
    with open_workspace(tmp_path / "ws", model=MODEL) as ws:
        ws.import_rubrics([rubric()])
        ingest(ws, tmp_path / "log", *log)
        make_pairs(ws)
        for to in ("trl", "llama-factory", "axolotl"):
            export_pairs(ws, format_named(to), tmp_path / to)
        assert _subjects(ws.path, tmp_path) == {"c1", "c2", "c3", "p1", "p2"}
        receipt = ws.forget("anna")
        assert _subjects(ws.path, tmp_path) == {"c2", "p2"}
        removed = {f["path"] for f in receipt["files"] if f["change"] == "removed"}
        assert str(pairs_file(ws, "expert")) in removed  # all of it was hers
        assert not receipt["pending"]
        # What was asked about her is gone with her, what was not is still known.
        asked = len(server.requests)
        assert make_pairs(ws).calls == 0
        assert len(server.requests) == asked
        assert _subjects(ws.path, tmp_path) == {"c2", "p2"}


def test_a_copy_forgets_in_its_own_pairs_and_nobody_elses(
    tmp_path: Path, server: OpenAIServer
) -> None:
    log = [
        record("c1", "Why does it loop?", ("So.", 1), user="anna"),
        record("c2", "Why does it end?", ("Because.", 1), user="ben"),
    ]
    with open_workspace(tmp_path / "ws", model=MODEL) as ws:
        ws.import_rubrics([rubric()])
        ingest(ws, tmp_path / "log", *log)
        make_pairs(ws)
        (ws.path / "pairs" / ".novice.jsonl.x7").write_text(pairs_file(ws, "novice").read_text())
    shutil.copytree(tmp_path / "ws", tmp_path / "copy")
    with open_workspace(tmp_path / "copy") as copy:
        assert copy.forget("anna")["pending"] == []
    assert _subjects(tmp_path / "copy") == {"c2"}
    assert [path.name for path in (tmp_path / "copy" / "pairs").glob(".*")] == []
    assert _subjects(tmp_path / "ws") == {"c1", "c2"}


def _subjects(*folders: Path) -> set[str]:
    """Conversations and pairs that any file of lines is about."""
    lines = [
        line
        for folder in folders
        for file in folder.rglob("*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    return {json.loads(line)["subject"].split(":")[1] for line in lines}


def test_a_person_who_is_forgotten_meanwhile_does_not_come_back(
    tmp_path: Path, server: OpenAIServer
) -> None:
    with open_workspace(tmp_path / "ws", model=MODEL) as ws:
        ws.import_rubrics([rubric()])
        log = [
            record("c1", "Why does it loop?", ("So.", 1), user="anna"),
            record("c2", "Why does it end?", ("Because.", 1), user="ben"),
        ]
        ingest(ws, tmp_path / "log", *log)
        receipts = []

        def forgetting(request: Mapping[str, Any]) -> str:
            if "Why does it loop?" in request["messages"][1]["content"]:
                receipts.append(_forget(tmp_path / "ws"))
            return marked(request)

        server.reply = forgetting
        report = make_pairs(ws)
        assert receipts[0]["pending"]  # pairs are being made: the rest is left to who comes next
        assert report.skipped == {"forgotten": 1}
        assert [pair.subject for pair in read_pairs(pairs_file(ws, "novice"))] == ["t:c2:0"]


def _forget(path: Path) -> dict[str, Any]:
    with open_workspace(path) as other:
        return other.forget("anna", wait_seconds=0.0)


def test_while_somebody_learns_no_pairs_are_made(tmp_path: Path) -> None:
    with (
        open_workspace(tmp_path / "ws", model=MODEL) as ws,
        Workspace.open(ws.path) as other,
        other.ledger.exclusive("learning"),
        pytest.raises(Busy, match="learning"),
    ):
        make_pairs(ws, wait_seconds=0.0)
