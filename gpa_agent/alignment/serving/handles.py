"""A request on its way: the engine's side of it, and the asker's, for threads and for event loops.

Whoever is first ends it: the engine when the answer is whole or broken, the asker by cancelling,
the clock. An asker who cancels, or whose time is over, does not wait for the model's next token;
the engine notices at that token.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

from gpa_agent.alignment.serving.asking import Answer, DeadlinePassed, FinishReason, Request
from gpa_agent.alignment.serving.transcript import Transcript
from gpa_agent.errors import GPAError

Event = str | Answer | GPAError
"""A piece of the answer's text; then, last, the whole answer or what went wrong."""


class Job:
    """The engine's side of a request.

    Args:
        request: What is wanted.
        prompt: Token ids of the rendered conversation.
        limit: Tokens the answer may have.
        decode: Text of token ids.
        deliver: Where events go; called by any thread, never by two at a time.
    """

    def __init__(
        self,
        request: Request,
        *,
        prompt: list[int],
        limit: int,
        decode: Callable[[list[int]], str],
        deliver: Callable[[Event], None],
    ) -> None:
        self.request = request
        self.prompt = prompt
        self.limit = limit
        self.done = False
        self._transcript = Transcript(decode, stop=request.stop, live=request.stream)
        self._made = 0
        self._deliver = deliver
        self._turn = threading.Lock()
        self._due = None if request.seconds is None else time.monotonic() + request.seconds

    def take(self, token: int, *, ends: bool) -> None:
        """Take the next token.

        Args:
            token: Its id.
            ends: Whether it is an end of text.
        """
        if self.left() == 0:
            self.expire()
        with self._turn:
            if self.done:
                return
            self._made += 1
            if ends:
                self._finish("stop")
                return
            self._say(self._transcript.add(token))
            if self._transcript.stopped:
                self._finish("stop")
            elif self._made >= self.limit:
                self._finish("length")

    def cancel(self) -> None:
        """End it with what there is."""
        with self._turn:
            if not self.done:
                self._finish("cancelled")

    def fail(self, error: GPAError) -> None:
        """End it with an error.

        Args:
            error: What went wrong.
        """
        with self._turn:
            if not self.done:
                self.done = True
                self._send(error)

    def expire(self) -> None:
        """End it because its time is over."""
        self.fail(DeadlinePassed(self.request.seconds or 0.0))

    def left(self) -> float | None:
        """Seconds until its deadline, at least 0; None where it has none or is over already."""
        if self._due is None or self.done:
            return None
        return max(0.0, self._due - time.monotonic())

    def _finish(self, reason: FinishReason) -> None:
        self.done = True
        rest = self._transcript.finish()
        stopped = self._transcript.stopped and reason == "length"
        text = self._transcript.text
        self._say(rest)
        if not self.request.stream and text:
            self._send(text)
        self._send(Answer(text, "stop" if stopped else reason, len(self.prompt), self._made))

    def _say(self, text: str) -> None:
        if self.request.stream and text:
            self._send(text)

    def _send(self, event: Event) -> None:
        with suppress(RuntimeError):  # the event loop that waited is closed: nobody listens
            self._deliver(event)


class Handle:
    """What the asker holds; for one thread at a time, `cancel` for any.

    Args:
        job: The request's other side.
        events: Where it delivers to.
    """

    def __init__(self, job: Job, events: queue.SimpleQueue[Event]) -> None:
        self._job = job
        self._events = events
        self._end: Answer | GPAError | None = None

    def __iter__(self) -> Iterator[str]:
        """The answer's text: as it comes where the request streams, else in one piece.

        Raises:
            GPAError: What went wrong.
        """
        while self._end is None:
            try:
                event = self._events.get(timeout=self._job.left())
            except queue.Empty:
                self._job.expire()
                continue
            if isinstance(event, str):
                yield event
            else:
                self._end = event
        if isinstance(self._end, GPAError):
            raise self._end

    def result(self) -> Answer:
        """Wait for the whole answer.

        Returns:
            It; what was made of it, where it was cancelled.

        Raises:
            GPAError: What went wrong.
        """
        for _ in self:
            pass
        assert isinstance(self._end, Answer)  # noqa: S101 -- iterating raised anything else
        return self._end

    def cancel(self) -> None:
        """Want no more of it; nothing happens where it is over."""
        self._job.cancel()


class AsyncHandle:
    """The same for an event loop, which is never blocked.

    Args:
        job: The request's other side.
        events: Where it delivers to, through the loop.
    """

    def __init__(self, job: Job, events: asyncio.Queue[Event]) -> None:
        self._job = job
        self._events = events
        self._end: Answer | GPAError | None = None

    async def __aiter__(self) -> AsyncIterator[str]:
        """As `Handle.__iter__`.

        Raises:
            GPAError: What went wrong.
        """
        while self._end is None:
            try:
                event = await asyncio.wait_for(self._events.get(), self._job.left())
            except TimeoutError:
                self._job.expire()
                continue
            if isinstance(event, str):
                yield event
            else:
                self._end = event
        if isinstance(self._end, GPAError):
            raise self._end

    async def result(self) -> Answer:
        """As `Handle.result`.

        Returns:
            The whole answer.

        Raises:
            GPAError: What went wrong.
        """
        async for _ in self:
            pass
        assert isinstance(self._end, Answer)  # noqa: S101 -- iterating raised anything else
        return self._end

    def cancel(self) -> None:
        """As `Handle.cancel`."""
        self._job.cancel()
