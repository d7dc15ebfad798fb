"""After a restart what waits is learned from before anybody talks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from gpa_agent.turn.middleware import GPAMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpa_agent.workspace import Workspace


def say(ws: Workspace, user: str) -> None:
    ws.record_turn(
        conversation=f"of {user}",
        key="0",
        user="Hi",
        assistant="Hello.",
        user_id=user,
        group=None,
        intent=None,
        trace={},
    )


@pytest.fixture
def learning() -> Callable[[], bool]:
    """Whether a worker's thread has started since; other tests may have left theirs."""
    before = set(threading.enumerate())
    return lambda: any(t.name == "gpa-worker" for t in set(threading.enumerate()) - before)


def test_nothing_waits_and_nothing_starts(ws: Workspace, learning: Callable[[], bool]) -> None:
    GPAMiddleware(ws)
    assert not learning()


@pytest.mark.parametrize("forgotten", [False, True])
def test_what_an_earlier_process_left_is_worked_on_at_once(
    ws: Workspace, forgotten: bool, learning: Callable[[], bool]
) -> None:
    say(ws, "ann")
    if forgotten:
        ws.ledger.forget(ws.person("ann"))
        assert not ws.ledger.count_waiting()
    GPAMiddleware(ws, learn="off")
    GPAMiddleware(ws, record=False)
    assert not learning()
    GPAMiddleware(ws)
    assert learning()
