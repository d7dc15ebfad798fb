"""``gpa pairs``: a real client and a simulated writer on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from gpa_agent.cli.pairs import register
from gpa_agent.testing.openai_server import OpenAIServer
from tests.alignment.pairs_support import (
    ingest,
    marked,
    open_workspace,
    record,
    recorded_pair,
    rubric,
)

MODEL = "openai:simulated-writer"
HERE = ("--workspace", "ws", "--quiet")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer(reply=marked) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        yield running


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A workspace with judged answers, pairs of the log and a live rubric, in an own folder."""
    monkeypatch.chdir(tmp_path)
    with open_workspace(tmp_path / "ws") as ws:
        ws.import_rubrics([rubric()])
        log = [record(f"c{n}", f"Why? ({n})", (f"So, {n}.", 1)) for n in range(6)]
        log += [
            record(f"d{n}", f"Why not? ({n})", (f"So, {n}.", -1), group="expert") for n in range(6)
        ]
        ingest(ws, tmp_path / "log", *log, recorded_pair("p"))
    return tmp_path


def invoke(*args: str) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["pairs", *args])


def report_of(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_it_makes_pairs_and_says_what_became_of_everything(
    ready: Path, server: OpenAIServer
) -> None:
    report = report_of(invoke(*HERE, "--model", MODEL, "--json"))
    assert (report["pairs"], report["calls"], report["judged"], report["recorded"]) == (
        13,
        12,
        12,
        1,
    )
    assert {g: f["pleased"] for g, f in report["groups"].items()} == {"expert": 0, "novice": 6}
    assert Path(report["groups"]["novice"]["file"]).exists()
    told = invoke(*HERE, "--model", MODEL)
    assert told.exit_code == 0
    words = " ".join(told.stdout.split())  # long paths wrap
    assert "13 pairs of 12 judged answers and 1 pairs of the log" in words
    assert "0 calls, 12 answers known already" in words
    assert "6 answers that pleased" in words


def test_the_model_of_this_time_is_not_kept(ready: Path, server: OpenAIServer) -> None:
    assert invoke(*HERE, "--model", MODEL).exit_code == 0
    settings = json.loads(Path("ws/settings.json").read_text())
    assert settings.get("model") is None
    without = invoke(*HERE)
    assert without.exit_code == 0
    assert "12 no model" in without.stdout
    assert "no chat model is configured" in without.stderr


def test_a_dry_run_asks_nobody(ready: Path, server: OpenAIServer) -> None:
    expected = report_of(invoke(*HERE, "--model", MODEL, "--dry-run", "--json", "--price", "1,2"))
    assert (expected["calls"], expected["by_prompt"]["twin"]["calls"]) == (12, 12)
    assert expected["cost"] > 0
    told = invoke(*HERE, "--model", MODEL, "--dry-run")
    assert "expected: 12 calls" in told.stdout
    assert "comes on top" in " ".join(told.stdout.split())
    assert "no chat model is configured" in invoke(*HERE, "--dry-run").stdout
    assert server.requests == []
    assert not Path("ws/pairs").exists()


def test_a_limit_ends_in_exit_code_4_and_the_next_run_goes_on(
    ready: Path, server: OpenAIServer
) -> None:
    stopped = invoke(*HERE, "--model", MODEL, "--max-calls", "5", "--concurrency", "2")
    assert stopped.exit_code == 4
    assert "max_calls" in stopped.stderr
    assert not Path("ws/pairs").exists()
    assert report_of(invoke(*HERE, "--model", MODEL, "--json"))["calls"] == 7
    assert len(server.requests) == 12


def test_options_reach_the_pairs(ready: Path, server: OpenAIServer) -> None:
    options = ("--groups", "novice", "--holdout", "0", "--balance-lengths", "0.5", "--json")
    report = report_of(invoke(*HERE, "--model", MODEL, *options))
    assert [*report["groups"]] == ["novice"]
    assert report["groups"]["novice"]["holdout"] == 0
    assert report["skipped"] == {"other_group": 6, "unbalanced": 6}  # twins are far longer


def test_misuse_is_exit_code_2_and_says_what_to_do(ready: Path, server: OpenAIServer) -> None:
    for args, said in [
        (("--groups", "robots"), "no group 'robots'"),
        (("--holdout", "1"), "holdout=1.0"),
        (("--export", "excel", "--out", "x"), "no format"),
        (("--export", "trl"), "--out DIR"),
        (("--export", "trl", "--out", "x"), "gpa pairs"),
        (("--export", "trl", "--out", "x", "--model", MODEL), "leave --model out"),
        (("--export", "trl", "--out", "x", "--balance-lengths", "1", "--dry-run"), "leave --bal"),
        (("--export", "trl", "--out", "x", "--holdout", "0.2"), "leave --holdout out"),  # as usual
        (("--model", MODEL, "--max-cost", "1"), "needs the price"),
    ]:
        refused = invoke(*HERE, *args)
        assert refused.exit_code == 2, (args, refused.output)
        assert said in refused.stderr
    assert server.requests == []
    assert invoke("--workspace", "nowhere").exit_code == 2


def test_without_a_key_it_says_which(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    refused = invoke(*HERE, "--model", MODEL)
    assert refused.exit_code == 2
    assert "OPENAI_API_KEY" in refused.stderr


@pytest.mark.parametrize("to", ["trl", "llama-factory", "axolotl"])
def test_what_was_made_is_written_for_other_tools(
    ready: Path, server: OpenAIServer, to: str
) -> None:
    assert invoke(*HERE, "--model", MODEL).exit_code == 0
    asked = len(server.requests)
    exported = report_of(invoke(*HERE, "--export", to, "--out", "data", "--json"))
    assert sum(exported["files"].values()) == 13
    assert all(Path(file).exists() for file in exported["files"])
    told = invoke(*HERE, "--export", to, "--out", "data")
    assert "data/novice-train.jsonl: " in told.stdout
    assert ("dataset: gpa_" in told.stdout) == (to == "llama-factory")
    assert len(server.requests) == asked
