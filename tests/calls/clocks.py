"""A clock that is moved by hand, or by whoever sleeps on it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from gpa_agent.calls.pacing import Clock

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeTime:
    def __init__(self) -> None:
        self.at = 1000.0
        self.slept: list[float] = []
        self.clock = Clock(monotonic=lambda: self.at, sleep=self.sleep, now=self.now)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.at - 1000.0)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until = self.at + seconds
        await asyncio.sleep(0)
        self.at = max(self.at, until)
