"""The worker: what waits is learned from once, whoever does it and however often."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpa_agent import Judgment, Workspace
from gpa_agent.conversations.records import Label
from gpa_agent.embedding import HashingEncoder
from gpa_agent.errors import ModelError
from gpa_agent.learning.worker import Worker
from gpa_agent.ledger import Busy
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.understanding.satisfaction import EmbeddedSatisfaction

PLEASED = "Perfect, that fixed it, thank you!"


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(
        tmp_path / "w.gpa",
        groups=["novice", "expert"],
        encoder=HashingEncoder(),
        refine_after_turns=4,
        refine_seconds=0,
        work_seconds=0.05,
    ) as opened:
        yield opened


def say(ws: Workspace, n: int, said: str = PLEASED, *, conversation: str = "t") -> None:
    ws.record_turn(
        conversation=conversation,
        key=str(n),
        user=said,
        assistant="Use sorted().",
        user_id="u",
        group=Label("novice", 1.0, "context"),
        intent=None,
        trace={"mode": "plain"},
    )


def test_a_turn_and_its_feedback_wait_until_they_are_handled(ws: Workspace) -> None:
    say(ws, 0)
    say(ws, 1)
    ws.feedback(conversation="t", turn=1, judgment=Judgment.DSAT)
    assert ws.ledger.count_events() == {"waiting": 3, "done": 0, "shed": 0, "failed": 0}
    assert [e.kind for e in ws.ledger.waiting_events()] == ["turn", "turn", "feedback"]
    handled = Worker(ws).handle()
    assert (handled.events, handled.judged, handled.explained) == (3, 1, 2)
    assert ws.ledger.count_events() == {"waiting": 0, "done": 3, "shed": 0, "failed": 0}
    assert ws.stats()["preferences"] > 0


def test_what_was_handled_is_not_handled_again_and_feedback_again_is(ws: Workspace) -> None:
    say(ws, 0)
    ws.feedback(conversation="t", turn=0, judgment=Judgment.SAT)
    worker = Worker(ws)
    assert worker.drain().events == 2
    say(ws, 0)
    assert worker.drain().events == 0
    ws.feedback(conversation="t", turn=0, judgment=Judgment.DSAT)
    assert worker.handle().events == 1
    assert worker.drain().refined


def test_many_turns_are_one_refinement(ws: Workspace) -> None:
    worker = Worker(ws)
    refined: list[bool] = []
    for n in range(8):
        say(ws, n)
        refined.append(worker.run_once().refined)
    assert refined == [False, False, False, True] * 2


def test_refinements_keep_their_distance(ws: Workspace) -> None:
    ws.settings = ws.settings.model_copy(update={"refine_seconds": 3600.0})
    worker = Worker(ws)
    for n in range(4):
        say(ws, n)
    assert worker.run_once().refined
    for n in range(4, 12):
        say(ws, n)
    assert not worker.run_once().refined
    assert Worker(ws).run_once().refined  # another worker has its own clock


def test_one_conversation_can_be_handled_alone(ws: Workspace) -> None:
    for conversation in ("a", "b"):
        say(ws, 0, conversation=conversation)
    assert Worker(ws).handle(conversation="b").events == 1
    assert [e.conversation for e in ws.ledger.waiting_events()] == ["a"]


def test_a_run_over_everything_leaves_nothing_waiting_and_nothing_shed(ws: Workspace) -> None:
    ws.settings = ws.settings.model_copy(update={"queue_limit": 3})
    for n in range(5):
        say(ws, n)
    assert ws.ledger.count_events() == {"waiting": 3, "done": 0, "shed": 2, "failed": 0}
    assert ws.stats()["turns"] == 5
    ws.learn()
    assert ws.ledger.count_events() == {"waiting": 0, "done": 5, "shed": 0, "failed": 0}
    assert ws.stats()["judgments"] == 4
    assert ws.ledger.events_since_refined() == 0


def test_a_thread_works_until_it_is_closed(ws: Workspace) -> None:
    ws.work_in_background()
    ws.work_in_background()
    named = [t for t in threading.enumerate() if t.name == "gpa-worker"]
    assert len(named) == 1
    for n in range(5):
        say(ws, n)
    until = time.monotonic() + 20
    while ws.ledger.count_events()["waiting"] and time.monotonic() < until:
        time.sleep(0.02)
    assert ws.ledger.count_events()["done"] == 5
    ws.close()
    assert not named[0].is_alive()


def test_a_thread_says_once_why_it_pauses_and_goes_on(
    ws: Workspace, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ModelError("the provider is down")

    monkeypatch.setattr(ws, "learn", fail)
    for n in range(4):
        say(ws, n)
    ws.work_in_background()
    until = time.monotonic() + 20
    while not caplog.records and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.5)
    said = [r.message for r in caplog.records]
    assert said == ["learning pauses, and tries again: the provider is down"]
    monkeypatch.undo()
    until = time.monotonic() + 20
    while ws.ledger.events_since_refined() and time.monotonic() < until:
        time.sleep(0.02)
    assert ws.ledger.events_since_refined() == 0


def test_while_one_works_another_is_told(ws: Workspace) -> None:
    say(ws, 0)
    with ws.ledger.exclusive("work"), pytest.raises(Busy, match="this very process"):
        Worker(ws).run_once()
    with ws.ledger.exclusive("learning"), pytest.raises(Busy):
        ws.learn(wait_seconds=0)
    assert ws.catch_up().events == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_gets_a_thread_of_its_own(ws: Workspace) -> None:
    ws.work_in_background()
    child = os.fork()
    if child == 0:
        ws.work_in_background()
        alive = any(t.name == "gpa-worker" and t.is_alive() for t in threading.enumerate())
        os._exit(0 if alive else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_model_is_asked_within_the_day_s_budget(tmp_path: Path) -> None:
    model = ScriptedChatModel(script=["{}"] * 500)
    with Workspace.open(
        tmp_path / "m.gpa",
        groups=["novice", "expert"],
        encoder=HashingEncoder(),
        model=model,
        daily_calls=3,
    ) as ws:
        for n in range(12):
            say(ws, n)
        with pytest.raises(ModelError, match="calls"):
            ws.catch_up()
        assert ws.ledger.count_calls() <= 3
        assert ws.ledger.count_events()["waiting"] == 0
        assert ws.ledger.events_since_refined() > 0  # left for tomorrow


def test_of_equal_runs_the_first_and_the_last_are_kept(ws: Workspace) -> None:
    for n in range(4):
        say(ws, n)
    first = [ws.learn() and ws.ledger.last_runs(9)[-1][0] for _ in range(5)]
    assert len(set(first)) == 1
    assert len(ws.ledger.last_runs(9)) == 2


def test_what_is_handled_while_everything_is_weighed_is_news(ws: Workspace) -> None:
    say(ws, 0)
    mark = ws.ledger.last_event()
    say(ws, 1)
    Worker(ws).handle()
    ws.ledger.events_learned(mark)
    assert ws.ledger.events_since_refined() == 2
    ws.ledger.events_learned(ws.ledger.last_event())
    assert ws.ledger.events_since_refined() == 0


def test_forgetting_somebody_learns_from_nothing_that_waits(ws: Workspace) -> None:
    say(ws, 0)
    ws.record_turn(
        conversation="other",
        key="0",
        user="Hi",
        assistant="Hello.",
        user_id="another",
        group=None,
        intent=None,
        trace={},
    )
    ws.forget("another")
    assert ws.ledger.count_events()["waiting"] == 1
    assert ws.catch_up().events == 1


def test_a_look_reads_only_what_waits(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    say(ws, 0)

    def fail() -> None:
        raise AssertionError("every event there ever was is read at every look")

    monkeypatch.setattr(ws.ledger, "count_events", fail)
    assert Worker(ws).run_once().waiting == 0


def test_where_forgetting_cannot_be_settled_learning_goes_on(
    ws: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    say(ws, 0)
    say(ws, 0, conversation="other")
    in_the_way = ws.path / "chroma"
    in_the_way.write_text("no folder")
    unsettle(ws)
    worker = Worker(ws)
    assert worker.run_once().events == 2
    worker.run_once()
    assert [r.getMessage()[:43] for r in caplog.records] == [
        "forgetting pauses, and tries again: cannot "
    ]
    in_the_way.unlink()
    worker.run_once()
    assert ws.ledger.forgetting_settled()


def unsettle(ws: Workspace) -> None:
    """Somebody was forgotten by a process that was killed then."""
    ws.record_turn(
        conversation="gone",
        key="0",
        user="Hi",
        assistant="Hello.",
        user_id="gone",
        group=None,
        intent=None,
        trace={},
    )
    ws.ledger.forget(ws.person("gone"))


def test_a_worker_that_is_closed_writes_nothing_more(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, closed = threading.Event(), threading.Event()
    judge = EmbeddedSatisfaction.judge

    def slow(reader: EmbeddedSatisfaction, turns: Any) -> Any:
        reading.set()
        closed.wait(20)
        return judge(reader, turns)

    monkeypatch.setattr(EmbeddedSatisfaction, "judge", slow)
    for n in range(5):
        say(ws, n)
    worker = Worker(ws)
    worker.start()
    assert reading.wait(20)
    worker.close()
    thread = next(t for t in threading.enumerate() if t.name == "gpa-worker")
    closed.set()
    thread.join(20)
    assert ws.ledger.count_events()["waiting"] == 5
    assert ws.stats()["preferences"] == 0
