from __future__ import annotations

import threading
import time
from contextvars import ContextVar

import pytest

from gpa_agent.turn import budget
from gpa_agent.turn.budget import BudgetError, arun_within, run_within

colour: ContextVar[str] = ContextVar("colour", default="none")


def fail() -> None:
    raise LookupError("ours")


def time_out() -> None:
    raise TimeoutError("the work's own")


async def test_result_and_error_of_the_work_come_back() -> None:
    assert run_within(lambda: 7, 1) == 7
    assert await arun_within(lambda: 7, 1) == 7
    with pytest.raises(LookupError, match="ours"):
        run_within(fail, 1)
    with pytest.raises(LookupError, match="ours"):
        await arun_within(fail, 1)


async def test_a_timeout_of_the_work_itself_is_not_the_budgets() -> None:
    with pytest.raises(TimeoutError, match="own"):
        run_within(time_out, 1)
    with pytest.raises(TimeoutError, match="own"):
        await arun_within(time_out, 1)


async def test_slow_work_is_given_up() -> None:
    over = threading.Event()
    start = time.monotonic()
    with pytest.raises(BudgetError):
        run_within(over.wait, 0.02)
    with pytest.raises(BudgetError):
        await arun_within(over.wait, 0.02)
    assert time.monotonic() - start < 5  # it did not wait for the event, which never came
    over.set()


def test_work_runs_in_an_empty_context() -> None:
    colour.set("the user's")
    assert run_within(colour.get, 1) == "none"


def test_stuck_work_trips_the_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_slots", threading.BoundedSemaphore(1))
    over = threading.Event()
    with pytest.raises(BudgetError):
        run_within(over.wait, 0.01)
    with pytest.raises(BudgetError, match="still running"):
        run_within(lambda: 7, 1)
    over.set()
