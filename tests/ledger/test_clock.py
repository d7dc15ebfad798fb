"""The clock is set forward or back a day: what is stored keeps the order in which it was stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gpa_agent.conversations import Judgment
from gpa_agent.ledger import Busy, Ledger, RunRow

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = b"k" * 32
DAY = timedelta(days=1)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(where: str, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(where, people_key=KEY, clock=clock) as opened:
        yield opened


@pytest.fixture(params=[DAY, -DAY], ids=["forward", "back"])
def jump(request: pytest.FixtureRequest) -> timedelta:
    found: timedelta = request.param
    return found


def body(name: str) -> dict[str, Any]:
    return {
        "intent": "debugging",
        "contrast": {"group": "novice", "other": "*"},
        "version": 0,
        "aspects": [{"name": name, "status": "live"}],
    }


def run(run_id: str, at: datetime) -> RunRow:
    return RunRow(id=run_id, started=at, finished=at, settings={}, summary={"run": run_id})


def say(ledger: Ledger, number: int) -> int:
    return ledger.record_turn(conversation="c", key=f"k{number}", user=f"u{number}", assistant="a")


def test_turns_and_events_follow_each_other(timed: Ledger, clock: Clock, jump: timedelta) -> None:
    assert [say(timed, n) for n in range(2)] == [0, 1]
    timed.add_explicit("c", 0, Judgment.SAT)
    clock.now += jump
    assert [say(timed, n) for n in range(2, 4)] == [2, 3]
    timed.add_explicit("c", 0, Judgment.DSAT)
    clock.now -= 2 * jump
    assert say(timed, 4) == 4
    waiting = [(event.kind, event.idx) for event in timed.waiting_events()]
    turns = [("turn", n) for n in range(5)]
    assert waiting == [*turns[:4], ("feedback", 0), turns[4]]
    assert timed.counts()["judgments"] == 1


def test_the_last_published_version_is_live(timed: Ledger, clock: Clock, jump: timedelta) -> None:
    timed.publish(body("lists"), reason="learned")
    clock.now += jump
    timed.publish(body("code"), reason="learned more")
    clock.now -= 2 * jump
    timed.restore(intent="debugging", group="novice", version=1)
    history = timed.history(intent="debugging", group="novice")
    assert [(row.version, row.status) for row in history] == [
        (1, "retired"),
        (2, "retired"),
        (3, "live"),
    ]
    assert [row.version for row in timed.live_rubrics()] == [3]


def test_the_last_saved_run_is_the_latest(timed: Ledger, clock: Clock, jump: timedelta) -> None:
    timed.save_run(run("first", clock.now))
    timed.save_run(run("second", clock.now + jump))
    assert timed.last_summary() == {"run": "second"}
    timed.save_run(run("third", clock.now - jump))
    assert timed.last_summary() == {"run": "third"}


def test_a_lock_neither_expires_nor_sticks(timed: Ledger, clock: Clock, jump: timedelta) -> None:
    with timed.exclusive("learning"):
        clock.now += jump
        with pytest.raises(Busy), timed.exclusive("learning"):
            pass
    clock.now -= 2 * jump
    with timed.exclusive("learning"):
        pass
