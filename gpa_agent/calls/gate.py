"""The one way to the provider: a free place, the pace, the budget, then the call's own time.

It is LangChain's rate limiter, which a chat model waits for after it has looked an answer up
and before it asks for one: an answer from the ledger takes no place and costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from langchain_core.rate_limiters import BaseRateLimiter
from typing_extensions import override

from gpa_agent.calls.budget import Budget
from gpa_agent.calls.limits import Limits
from gpa_agent.calls.pacing import Clock, Pace


@dataclass(kw_only=True)
class Passage:
    """One call's way through the gate."""

    tokens: float
    """What it will take by estimate, input and output."""
    cost: float
    """What it will cost by estimate, in US dollars."""
    made: Callable[[], None]
    """Called when the call is let through."""
    timer: asyncio.Timeout | None = None
    """Ends the call; set when it begins."""
    unstored: bool = False
    """Whether a kill would cost it: it was let through, and its answer is not stored yet."""
    placed: bool = False
    """Whether the provider is working on it, so that it holds a place."""
    began: float | None = None
    """When it was let through, on the monotonic clock; None where no call was made."""
    used_tokens: float | None = None
    """What it took, where the provider said so."""
    paid: float = 0.0
    """What it cost, in US dollars."""


_PASSAGE: ContextVar[Passage] = ContextVar("gpa_passage")


class Gate(BaseRateLimiter):
    """Lets calls through to one provider; of one event loop.

    Args:
        limits: Places, pace and budget.
        clock: Where time comes from.
        budget: What the run may spend.
        inner: The model's own rate limiter, waited for as well.
    """

    def __init__(
        self, limits: Limits, clock: Clock, budget: Budget, inner: BaseRateLimiter | None = None
    ) -> None:
        self.pace = Pace(limits, clock)
        """When the next call may start."""
        self._places = asyncio.Semaphore(limits.concurrency)
        self._unstored = asyncio.Semaphore(limits.unstored)
        self._call_seconds = limits.call_seconds
        self._clock = clock
        self._budget = budget
        self._inner = inner

    @asynccontextmanager
    async def passing(self, passage: Passage) -> AsyncGenerator[None]:
        """Make one call in this block; its place is given back at the end.

        Args:
            passage: The call; whoever makes it writes what it really used into it.

        Raises:
            TimeoutError: The call took longer than a call may.
        """
        token = _PASSAGE.set(passage)
        try:
            async with asyncio.timeout(None) as passage.timer:
                yield
        finally:
            _PASSAGE.reset(token)
            self._leave(passage)

    @override
    async def aacquire(self, *, blocking: bool = True) -> bool:
        """Wait until the call of this context may be made.

        Raises:
            BudgetSpent: It may not be made in this run.
        """
        passage = _PASSAGE.get()
        await self._unstored.acquire()
        passage.unstored = True
        await self._places.acquire()
        passage.placed = True
        await self.pace.turn(passage.tokens, until=self._budget.until)
        if self._inner is not None:
            await self._inner.aacquire(blocking=blocking)
        self._budget.admit(passage.cost)
        passage.made()
        passage.began = self._clock.monotonic()
        if passage.timer is not None:
            passage.timer.reschedule(asyncio.get_running_loop().time() + self._call_seconds)
        return True

    @override
    def acquire(self, *, blocking: bool = True) -> bool:
        """Refuse: calls are made on an event loop."""
        raise NotImplementedError("calls through a gate are asynchronous")

    def answered(self) -> None:
        """Give the place of this context's call to the next: what is left is to store its answer.

        Storing takes a twentieth of the time of a call, in which the provider would have nothing
        to do.
        """
        self._vacate(_PASSAGE.get())

    def _vacate(self, passage: Passage) -> None:
        if passage.placed:
            passage.placed = False
            self._places.release()

    def _leave(self, passage: Passage) -> None:
        self._vacate(passage)
        if passage.unstored:
            self._unstored.release()
        if passage.began is not None:
            self._budget.settle(expected=passage.cost, cost=passage.paid)
            if passage.used_tokens is not None:
                self.pace.settle(estimated=passage.tokens, used=passage.used_tokens)
