"""Where requests wait, up to so many, until a batch has room for them; first come, first served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from gpa_agent.alignment.serving.asking import EngineBusy, EngineClosed
from gpa_agent.alignment.serving.handles import Job


class Line:
    """The line before an engine.

    Args:
        most: How many may wait; those being answered are not counted.
        batch: How many are answered together.
        context: Tokens the longest prompt and the longest answer of a batch may have together.
            Their sum counts, not each row's own: a batch is as wide as its longest prompt and
            runs until its longest answer ends, and a model must not see places it does not know.
        linger: Seconds to wait for company once somebody is there: people who ask at the same
            moment arrive some milliseconds apart.
    """

    def __init__(self, *, most: int, batch: int, context: int, linger: float) -> None:
        self._most = most
        self._batch = batch
        self._context = context
        self._linger = linger
        self._waiting: deque[Job] = deque()
        self._taken: Sequence[Job] = ()
        self._closed = False
        self._changed = threading.Condition()

    def join(self, job: Job) -> None:
        """Stand at the end.

        Args:
            job: What waits; its prompt and its limit together fit the context.

        Raises:
            EngineBusy: The line is full.
            EngineClosed: It is closed.
        """
        with self._changed:
            if self._closed:
                raise EngineClosed
            if len(self._waiting) >= self._most:
                self._waiting = deque(job for job in self._waiting if not job.done)
            if len(self._waiting) >= self._most:
                raise EngineBusy(len(self._waiting))
            self._waiting.append(job)
            self._changed.notify()

    def take(self) -> Sequence[Job]:
        """Wait for the next batch.

        Returns:
            Those to be answered together; none once the line is closed and empty.
        """
        with self._changed:
            self._taken = ()
            while not self._taken:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    break
                self._changed.wait_for(
                    lambda: len(self._waiting) >= self._batch or self._closed, self._linger
                )
                self._taken = self._next_batch()
            return self._taken

    def close(self) -> None:
        """Let nobody join any more; who waits is still served."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def abandon(self) -> None:
        """Close it, and serve nobody any more, not even those being answered."""
        self.close()
        with self._changed:
            for job in (*self._waiting, *self._taken):
                job.fail(EngineClosed())
            self._waiting.clear()

    def _next_batch(self) -> list[Job]:
        batch: list[Job] = []
        longest = limit = 0
        while self._waiting and len(batch) < self._batch:
            job = self._waiting[0]
            if not job.done:
                longest, limit = max(longest, len(job.prompt)), max(limit, job.limit)
                if batch and longest + limit > self._context:
                    break
                batch.append(job)
            self._waiting.popleft()
        return batch
