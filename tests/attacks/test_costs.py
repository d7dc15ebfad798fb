"""A16: texts and conversations without end, and a model that only babbles."""

from __future__ import annotations

import resource
import sqlite3
import tracemalloc
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from gpa_agent import GPAMiddleware, Workspace
from gpa_agent.calls.budget import BudgetSpent
from gpa_agent.conversations.normalise import MAX_CHARS
from gpa_agent.conversations.records import Label
from gpa_agent.learning.spending import Spend
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.testing.simulated_provider import SimulatedProvider
from gpa_agent.testing.voiced_world import VoicedWorld
from tests.attacks.attack_logs import open_workspace, write
from tests.turn.support import thread

MIB = 1 << 20
WORKERS = 4


def _simulated(messages: list[BaseMessage]) -> str:
    roles = {"human": "user", "ai": "assistant"}
    return SimulatedProvider().answer([(roles.get(m.type, m.type), m.text) for m in messages])


@contextmanager
def _within(mebibytes: float) -> Generator[None]:
    """Python's own memory grows by no more than that, at its highest."""
    tracemalloc.start()
    try:
        yield
        highest = tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()
    assert highest <= mebibytes


def _record(ws: Workspace, number: int, user: str, assistant: str) -> None:
    ws.record_turn(
        conversation="endless",
        key=str(number),
        user=user,
        assistant=assistant,
        user_id="mallory",
        group=Label("novice", 1.0, "context"),
        intent=None,
        trace={},
    )


@pytest.mark.parametrize(
    "text", ["a b c " * 175_000, "\u00e9\u0301\u200b" * 350_000, "ZQ" * 525_000],
    ids=["words", "composed", "unbroken"],
)  # fmt: skip
def test_a_megabyte_that_is_said_and_answered_is_cut_and_read(tmp_path: Path, text: str) -> None:
    assert len(text) > 1_000_000
    with open_workspace(tmp_path / "ws", holdout=0.0) as ws:
        ws.warm()
        upstream = ScriptedChatModel(script=[text])
        chat = GPAMiddleware(ws, learn="off").chat_model(upstream)
        with _within(100):
            for before in ("", "Again: "):
                chat.invoke(before + text, thread("c", user_id="mallory", group="novice"))
            ws.catch_up()
        assert upstream.prompts[0][-1].text == text  # the host's own prompt is not cut
    with sqlite3.connect(tmp_path / "ws" / "ledger.sqlite") as ledger:
        columns = "count(*), max(length(user_text)), max(length(assistant_text))"
        turns, said, answered = ledger.execute(f"SELECT {columns} FROM turns").fetchone()
    assert turns == 2
    assert 1000 < said <= MAX_CHARS
    assert 1000 < answered <= MAX_CHARS


@pytest.mark.slow
def test_ten_thousand_turns_of_one_conversation_are_learned_from(tmp_path: Path) -> None:
    with open_workspace(tmp_path / "ws") as ws:
        ws.warm()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for n in range(10_000):
            _record(ws, n, "That is wrong, once more.", f"Answer {n}.")
        report = ws.catch_up()
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert grown <= 300
        assert report.waiting == 0
        assert ws.stats()["turns"] == 10_000
        assert ws.stats()["live_aspects"] == 0


@pytest.mark.parametrize("most", [0, 25])
def test_an_endless_conversation_costs_no_more_calls_than_a_run_may_make(
    tmp_path: Path, most: int
) -> None:
    model = ScriptedChatModel(script=_simulated)
    with open_workspace(tmp_path / "ws", model=model, concurrency=WORKERS) as ws:
        for n in range(400):
            _record(ws, n, f"That is wrong, attempt {n}.", f"Answer {n}.")
        with suppress(BudgetSpent):
            ws.learn(spend=Spend(max_calls=most))
    assert model.calls == most


def test_the_worker_spends_no_more_than_the_day_allows(tmp_path: Path) -> None:
    model = ScriptedChatModel(script=_simulated)
    with open_workspace(tmp_path / "ws", model=model, concurrency=WORKERS, daily_calls=25) as ws:
        for n in range(200):
            _record(ws, n, f"That is wrong, attempt {n}.", f"Answer {n}.")
        for _ in range(3):
            with suppress(BudgetSpent):
                ws.catch_up()
        assert 1 <= model.calls <= 25 + WORKERS
        assert ws.stats()["turns"] == 200


@pytest.mark.parametrize(
    "babble",
    ["", "banana " * 50, '{"verdict": "delighted"}', '{"verdict": "satisfied"', "[" * 2000],
    ids=["empty", "prose", "enum", "half", "deep"],
)
def test_a_model_that_babbles_is_asked_twice_at_most(tmp_path: Path, babble: str) -> None:
    world = VoicedWorld(seed=3, people=6, conversations=1, intents=("debugging",))
    records: list[dict[str, Any]] = list(world.log())
    model = ScriptedChatModel(script=[babble])
    with open_workspace(tmp_path / "ws", model=model) as ws:
        ws.ingest(write(tmp_path / "log.jsonl", records))
        report = ws.learn()
        assert ws.stats()["live_aspects"] == 0
        assert ws.stats()["judgments"] == ws.stats()["explicit_judgments"]
    asked = Counter((p[0].text, p[1].text) for p in model.prompts)
    assert len(asked) >= len(records)
    assert max(asked.values()) <= 2
    assert report.model is not None
    assert report.model.calls == model.calls
