"""Fault F4: events that come twice, late or in another order have one effect.

A worker that is killed half-way is in `tests/learning/test_kills.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from gpa_agent import GPAMiddleware, Judgment, Workspace
from gpa_agent.cli.answering import Talk
from gpa_agent.learning.worker import Worker
from gpa_agent.testing.tailoring_model import TailoringChatModel
from tests.faults.support import OUTSPOKEN, App, learned, rows

Open = Callable[[Path], Workspace]


class Delivery(NamedTuple):
    """One thing the app records: a turn, or a thumb on it."""

    conversation: str
    idx: int
    turn: dict[str, Any] | None
    judgment: Judgment | None


def deliveries(tmp_path: Path, open_here: Open, visits: int) -> list[Delivery]:
    """What an app records, in the order it does, as learned from in a workspace of its own."""
    ws = open_here(tmp_path / "source")
    recorded: list[Delivery] = []
    record = ws.record_turn

    def spy(**turn: Any) -> None:
        at = sum(d.conversation == turn["conversation"] and d.turn is not None for d in recorded)
        recorded.append(Delivery(turn["conversation"], at, turn, None))
        record(**turn)

    ws.record_turn = spy  # type: ignore[method-assign]
    graph: Any = GPAMiddleware(ws, learn="off").wrap(TailoringChatModel())
    for visit in islice(OUTSPOKEN.visits(), visits):
        talk = Talk(
            graph,
            thread=visit.thread,
            user=visit.person.id,
            group=visit.person.group,
            intent=visit.intent,
        )
        turns = list(visit.talk(lambda said, talk=talk: talk.say(said).text))  # type: ignore[misc]
        if visit.thumb:
            last = len(turns) - 1
            recorded.append(Delivery(visit.thread, last, None, turns[last].judgment))
    return recorded


def deliver(ws: Workspace, one: Delivery) -> None:
    if one.turn is not None:
        ws.record_turn(**one.turn)
    if one.judgment is not None:
        ws.feedback(conversation=one.conversation, turn=one.idx, judgment=one.judgment)


def interleaved(sent: list[Delivery], rng: Random) -> Iterator[Delivery]:
    """The same deliveries in another order; within a conversation turns keep theirs."""
    waiting: dict[str, list[Delivery]] = {}
    for one in sent:
        waiting.setdefault(one.conversation, []).append(one)
    while waiting:
        conversation = rng.choice(sorted(waiting))
        yield waiting[conversation].pop(0)
        if not waiting[conversation]:
            del waiting[conversation]


def test_what_is_delivered_three_times_has_one_effect(tmp_path: Path, open_here: Open) -> None:
    sent = deliveries(tmp_path, open_here, 90)
    once, thrice = open_here(tmp_path / "once"), open_here(tmp_path / "thrice")
    for one in sent:
        deliver(once, one)
        for _ in range(3):
            deliver(thrice, one)
    once.catch_up()
    thrice.catch_up()
    assert learned(thrice) == learned(once)
    assert learned(once)["live"], "nothing was learned: the test could not fail"
    assert thrice.stats() == once.stats()
    assert rows(thrice, "SELECT state, count(*) FROM events GROUP BY state") == [
        ("done", len({(d.conversation, d.idx, d.turn is None) for d in sent}))
    ]


def test_another_order_and_handling_everything_again_change_nothing(
    tmp_path: Path, open_here: Open
) -> None:
    sent = deliveries(tmp_path, open_here, 90)
    straight, mixed = open_here(tmp_path / "straight"), open_here(tmp_path / "mixed")
    for one in sent:
        deliver(straight, one)
    straight.catch_up()
    for number, one in enumerate(interleaved(sent, Random(3))):
        deliver(mixed, one)
        if number % 40 == 0:
            Worker(mixed).handle()
    mixed.catch_up()
    assert learned(mixed) == learned(straight)

    before, versions = learned(mixed), [r.version for r in mixed.rubrics()]
    for _ in range(2):
        # Delivered again, newest first: as after a worker that died before it said "done".
        rows(mixed, "UPDATE events SET state = 'waiting', seq = -seq")
        assert mixed.catch_up().waiting == 0
    assert learned(mixed) == before
    assert [r.version for r in mixed.rubrics()] == versions


def test_a_turn_sent_again_is_answered_and_stored_once(
    tmp_path: Path, open_here: Open, app_of: Callable[..., App]
) -> None:
    ws = open_here(tmp_path / "ws")
    app = app_of(ws)
    for _ in range(3):
        assert app.ask("How do I stop a loop?").degraded is None
    assert ws.stats()["turns"] == 1
    assert rows(ws, "SELECT count(*) FROM events") == [(1,)]
