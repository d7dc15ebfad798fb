"""When the next call may start: token buckets of our own, and one pause for everybody.

A bucket is taken from at once and may go into debt; whoever takes waits until the debt is
paid. So calls start in the order they asked, evenly spread, and a call costs one sum.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import NamedTuple

from gpa_agent.calls.limits import Limits


def _now() -> datetime:
    return datetime.now(UTC)


class Clock(NamedTuple):
    """Where time comes from; tests bring their own and wait for nothing.

    Attributes:
        monotonic: Seconds that never run backwards.
        sleep: Waits so many seconds.
        now: The date and time, timezone-aware; for a ``Retry-After`` that names one.
    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], datetime] = _now


class Bucket:
    """A token bucket that may go into debt; holds at most one second's worth.

    Args:
        per_minute: What flows in.
        monotonic: Seconds that never run backwards.
    """

    def __init__(self, per_minute: float, monotonic: Callable[[], float]) -> None:
        self._rate = per_minute / 60
        self._capacity = max(1.0, self._rate)
        self._level = self._capacity
        self._monotonic = monotonic
        self._at = monotonic()

    def take(self, amount: float) -> float:
        """Take an amount out.

        Returns:
            Seconds to wait until it is paid for; 0 where it was there.
        """
        now = self._monotonic()
        self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
        self._at = now
        self._level -= amount
        return max(0.0, -self._level / self._rate)

    def give(self, amount: float) -> None:
        """Put back what was taken too much; negative where too little was taken."""
        self._level = min(self._capacity, self._level + amount)


class Pace:
    """Lets calls start at the pace the limits allow.

    Args:
        limits: Requests and tokens a minute.
        clock: Where time comes from.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._clock = clock
        self._requests = _bucket(limits.requests_per_minute, clock)
        self._tokens = _bucket(limits.tokens_per_minute, clock)
        self._open_at = 0.0

    def pause(self, seconds: float) -> None:
        """Let nobody start for so long; pauses at the same time are one pause."""
        self._open_at = max(self._open_at, self._clock.monotonic() + seconds)

    async def turn(self, tokens: float, *, until: float) -> None:
        """Wait until a call may start.

        Args:
            tokens: Estimated input and output tokens of the call.
            until: When waiting is given up, on the monotonic clock; ``math.inf`` is never.
        """
        now = self._clock.monotonic()
        waits = (
            self._requests.take(1) if self._requests else 0.0,
            self._tokens.take(tokens) if self._tokens else 0.0,
        )
        await self._sleep_until(min(now + max(waits), until))
        while self._open_at > self._clock.monotonic() < until:
            await self._sleep_until(min(self._open_at, until))

    def settle(self, *, estimated: float, used: float) -> None:
        """Put right what a call was estimated to take."""
        if self._tokens:
            self._tokens.give(estimated - used)

    async def _sleep_until(self, at: float) -> None:
        rest = at - self._clock.monotonic()
        if rest > 0:
            await self._clock.sleep(rest)


def _bucket(per_minute: float | None, clock: Clock) -> Bucket | None:
    return None if per_minute is None else Bucket(per_minute, clock.monotonic)
