"""Run a piece of our own work beside the turn and give it up when its time is over.

A Python thread cannot be stopped, so giving up means no longer waiting: the work ends by
itself, its result is dropped, and the turn goes on plain. Each piece gets a daemon thread
(a stuck one must not keep the process from exiting, as a pool's would), and their number is
bounded: once that many are stuck the next piece is refused at once, which makes the bound a
circuit breaker. The thread starts with an empty context, so that a model that a classifier
may call never shows up in the user's stream or token count.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_IN_FLIGHT: Final = 32
"""Pieces of work at a time in the process; classification takes milliseconds."""

_slots = threading.BoundedSemaphore(MAX_IN_FLIGHT)


class BudgetError(Exception):
    """Our own work took too long, or could not even be started."""


def _start(work: Callable[[], Any]) -> Future[Any]:
    slots = _slots
    if not slots.acquire(blocking=False):
        raise BudgetError("too much work of ours is still running")
    future: Future[Any] = Future()
    # A running future cannot be cancelled: giving up on it leaves it alone.
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(Context().run(work))
        except BaseException as error:  # noqa: BLE001 -- handed to whoever waits
            future.set_exception(error)
        finally:
            slots.release()

    threading.Thread(target=run, name="gpa-turn", daemon=True).start()
    return future


def run_within(work: Callable[[], Any], seconds: float) -> Any:  # noqa: ANN401 -- the work's own result
    """Run the work in a thread and wait for it.

    Args:
        work: What to do.
        seconds: How long to wait.

    Returns:
        The work's result.

    Raises:
        BudgetError: If it took longer, or too much is in flight already.
        Exception: Whatever the work raised.
    """
    future = _start(work)
    try:
        return future.result(max(seconds, 0.0))
    except TimeoutError:
        if future.done():  # the work itself raised it
            raise
        raise BudgetError("over budget") from None


async def arun_within(work: Callable[[], Any], seconds: float) -> Any:  # noqa: ANN401 -- the work's own result
    """Run the work in a thread and wait for it without blocking the event loop.

    Args:
        work: What to do.
        seconds: How long to wait.

    Returns:
        The work's result.

    Raises:
        BudgetError: If it took longer, or too much is in flight already.
        Exception: Whatever the work raised.
    """
    future = _start(work)
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), max(seconds, 0.0))
    except TimeoutError:
        if future.done():
            raise
        raise BudgetError("over budget") from None
