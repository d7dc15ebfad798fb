"""Fault F11: the clock is set forward, back, or far into the future.

Order is by sequence and waiting is by a monotonic clock, so a wrong time may make evidence a
little younger or older, and nothing else.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from gpa_agent import GPAMiddleware, Workspace
from gpa_agent.cli.answering import Talk
from gpa_agent.embedding import HashingEncoder
from gpa_agent.ledger import Ledger
from gpa_agent.settings_file import load_settings, people_key
from gpa_agent.testing.living_world import SimulatedClock
from gpa_agent.testing.tailoring_model import TailoringChatModel
from tests.faults.support import OUTSPOKEN, App, rows


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


def open_at(folder: Path, clock: SimulatedClock) -> Workspace:
    """A workspace that lives by a clock that can be set wrongly."""
    given: dict[str, Any] = {
        "groups": ("novice", "expert"),
        "permutations": 999,
        "bootstrap": 100,
        "holdout": 0.0,
    }
    settings = load_settings(folder, given, create=True)
    ledger = Ledger.open(folder / "ledger.sqlite", people_key=people_key(folder), clock=clock)
    return Workspace(folder, settings, ledger, HashingEncoder())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that has learned from what it served."""
    folder, clock = tmp_path_factory.mktemp("served") / "ws", SimulatedClock()
    with open_at(folder, clock) as ws:
        graph: Any = GPAMiddleware(ws, learn="off").wrap(TailoringChatModel())
        for visit in islice(OUTSPOKEN.visits(), 90):
            clock.advance(timedelta(minutes=30))
            who = {"user": visit.person.id, "group": visit.person.group, "intent": visit.intent}
            talk = Talk(graph, thread=visit.thread, **who)
            for number, turn in enumerate(visit.talk(lambda said, t=talk: t.say(said).text)):  # type: ignore[misc]
                ws.feedback(conversation=visit.thread, turn=number, judgment=turn.judgment)
        ws.catch_up()
    return folder


@pytest.mark.parametrize("days", [1, -1, 400, -400])
def test_turns_keep_their_order_and_none_is_stuck(
    tmp_path: Path, clock: SimulatedClock, app_of: Callable[..., App], days: int
) -> None:
    ws = open_at(tmp_path / "ws", clock)
    app = app_of(ws)
    said = [f"Question {number}?" for number in range(4)]
    for number, text in enumerate(said):
        if number == 2:
            clock.advance(timedelta(days=days))
        assert app.ask(text).degraded is None
    stored = [text for (text,) in rows(ws, "SELECT user_text FROM turns ORDER BY idx")]
    assert stored == said
    report = ws.catch_up()
    assert (report.events, report.waiting, report.refined) == (4, 0, True)
    ws.close()


@pytest.mark.parametrize("days", [1, -1, 3650])
def test_one_turn_with_a_wrong_time_does_not_undo_what_was_learned(
    served: Path, tmp_path: Path, clock: SimulatedClock, app_of: Callable[..., App], days: int
) -> None:
    clock.advance(timedelta(days=3))
    with open_at(shutil.copytree(served, tmp_path / "ws"), clock) as ws:
        live = {a.name for r in ws.export_rubrics() for a in r.aspects}
        assert live, "nothing was learned: the test could not fail"
        app = app_of(ws)
        clock.advance(timedelta(days=days))
        app.ask("A question at the wrong time?", thread="wrong")
        app.ask("Thanks, that helped a lot!", thread="wrong")
        clock.advance(timedelta(days=-days))
        app.ask("And a question at the right one?", thread="right")
        ws.catch_up()
        assert {a.name for r in ws.export_rubrics() for a in r.aspects} == live
        assert app.ask("Why?", thread="last").trace["mode"] == "context"
