"""Group commit: what many coroutines want done at once is done in one go, in a thread.

A group gathers for a moment, and while the one before it is worked on. Questions take a model a
second or so: waiting a few milliseconds costs nothing, and a transaction of several rows costs
hardly more than one of a single row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _Waiting(NamedTuple, Generic[T, R]):
    item: T
    done: asyncio.Future[R]


class Grouped(Generic[T, R]):
    """Runs a function over groups of items; of one event loop.

    Args:
        work: Does a group; its results in the items' order. Called in a thread, one group at a
            time.
        seconds: How long a group gathers, at least.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R]], *, seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._waiting: list[_Waiting[T, R]] = []
        self._worker: asyncio.Task[None] | None = None

    async def do(self, item: T) -> R:
        """Have one item done with the next group, even if whoever gave it is cancelled.

        Raises:
            Exception: Whatever the function raises; everyone in the group gets it.
        """
        waiting = _Waiting[T, R](item, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work_off())
        return await waiting.done

    async def finish(self) -> None:
        """Wait until everything given is done; for the end of a loop."""
        if self._worker is not None:
            await self._worker

    async def _work_off(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._seconds)
            group, self._waiting = self._waiting, []
            try:
                results = await asyncio.to_thread(self._work, [one.item for one in group])
            except Exception as exc:  # noqa: BLE001 -- goes to everyone who waits
                for one in group:
                    if not one.done.done():
                        one.done.set_exception(exc)
            else:
                for one, result in zip(group, results, strict=True):
                    if not one.done.done():
                        one.done.set_result(result)
