"""Questions on one event loop in a thread of its own; what every other engine is checked against.

The loop's thread does input and output only. Questions are drawn, flows are stepped and
answers are handed over in the caller's thread, so that a slow page of a ledger or a busy
consumer never holds up the calls in flight, and it works where an event loop runs already.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeVar

from gpa_agent.calls.budget import BudgetSpent
from gpa_agent.calls.caller import Caller, priced
from gpa_agent.calls.connections import connected
from gpa_agent.calls.counts import CallCounts
from gpa_agent.calls.engine import Answered, Flow
from gpa_agent.calls.flows import Drawn, Place, Rounds
from gpa_agent.calls.limits import Limits
from gpa_agent.errors import UsageError
from gpa_agent.models import ChatModelRecipe, close_chat_model, model_name, open_chat_model

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from gpa_agent.calls.prices import Price
    from gpa_agent.ledger import Ledger
    from gpa_agent.prompts.asking import Ask

R = TypeVar("R")

AHEAD: Final = 2
"""Questions under way for each call in flight: while one is called for, the next is looked up."""

SWITCH_SECONDS: Final = 0.0005
"""How long a thread keeps the interpreter from the others while the engine is open. The usual 5 ms
would let a thread that trains or stores hold up the loop at each of its hundreds of steps a
second."""

_CLOSED: Final = "the engine was closed before all its answers came: take them inside its with"


class _Running(NamedTuple):
    """What lives in the loop's thread."""

    thread: int
    loop: asyncio.AbstractEventLoop
    caller: Caller
    stop: asyncio.Event
    tasks: set[asyncio.Task[Answered]]


class AsyncioEngine:
    """Asks on asyncio; `map` and `drive` may be used from several threads.

    Example:
        ```python
        recipe = ChatModelRecipe(model="openai:gpt-4o-mini")
        with AsyncioEngine(recipe, ledger, Limits(concurrency=64)) as engine:
            for answered in engine.map(asks):
                print(answered.ask.subject, answered.value)
        print(engine.counts.model_dump())
        ```

    Args:
        model: A chat model, or how to open one; one opened here is closed here.
        ledger: Where calls are kept.
        limits: How fast and how far, for all that this engine asks.
        price: What the model costs; by default as on the list, where it is there.
        counts: Where to count; a fresh one by default.
        progress: Called with the counts after each answer, in the thread that asked.

    Raises:
        UsageError: A cost limit is set and no price is known.
    """

    def __init__(
        self,
        model: BaseChatModel | ChatModelRecipe,
        ledger: Ledger,
        limits: Limits,
        *,
        price: Price | None = None,
        counts: CallCounts | None = None,
        progress: Callable[[CallCounts], None] | None = None,
    ) -> None:
        named = model.model if isinstance(model, ChatModelRecipe) else model
        self._price = priced(model_name(named), limits, price)
        self.counts = counts or CallCounts()
        """What the questions came to so far."""
        self._model = model
        self._ledger = ledger
        self._limits = limits
        self._progress = progress
        self._running: _Running | None = None
        self._thread: threading.Thread | None = None
        self._froze = False

    @property
    def name(self) -> str:
        """``asyncio``."""
        return "asyncio"

    def map(self, asks: Iterable[Ask]) -> Iterator[Answered]:
        """Answer questions in whatever order they are done.

        Args:
            asks: Drawn as places free up, at most twice as many as calls are in flight.

        Raises:
            BudgetSpent: A limit of the run is reached; what was in flight came first.
            ModelError: The provider is down, or lets nobody in.
            StoreError: The ledger cannot be read or written.
            UsageError: The engine is not entered, or was closed meanwhile.
        """
        drawing = iter(asks)

        def draw() -> Drawn | None:
            ask = next(drawing, None)
            return None if ask is None else Drawn(Place(0, 0), ask)

        for _, answered in self._answers(draw):
            yield answered

    def drive(self, flows: Sequence[Flow[R]]) -> list[R]:
        """Run flows side by side to their ends; their results, in order.

        Raises:
            BudgetSpent: As for `map`.
            ModelError: As for `map`.
            StoreError: As for `map`.
            UsageError: As for `map`.
        """
        rounds = Rounds(flows)
        try:
            rounds.begin()
            for place, answered in self._answers(rounds.draw):
                rounds.take(place, answered)
        finally:
            for flow in flows:
                flow.close()
        return rounds.results()

    def __enter__(self) -> Self:
        opened: Future[_Running] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(opened,), name="gpa-calls", daemon=True
        )
        self._thread.start()
        try:
            self._running = opened.result()
        except BaseException:
            self._thread.join()
            raise
        self._freeze()
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(min(self._interval, SWITCH_SECONDS))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        running, self._running = self._running, None
        if running is not None and self._thread is not None:
            running.loop.call_soon_threadsafe(running.stop.set)
            self._thread.join()
        sys.setswitchinterval(self._interval)
        if self._froze:
            gc.unfreeze()

    def _freeze(self) -> None:
        """Take what is loaded out of garbage collection until the engine is left.

        LangChain and a provider's SDK are some 300,000 objects, which every full collection walks
        through: a fifth of a call's CPU. What the host app froze stays frozen.
        """
        self._froze = gc.get_freeze_count() == 0
        if self._froze:
            gc.freeze()

    def _run(self, opened: Future[_Running]) -> None:
        try:
            asyncio.run(self._live(opened))
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    async def _live(self, opened: Future[_Running]) -> None:
        """Open the model, serve until told to stop, close it; `asyncio.run` ends the rest."""
        model = self._open()
        async with connected(model) as own:
            caller = Caller(own, self._ledger, self._limits, price=self._price, counts=self.counts)
            running = _Running(
                threading.get_ident(), asyncio.get_running_loop(), caller, asyncio.Event(), set()
            )
            opened.set_result(running)
            await running.stop.wait()
            await _cancel(running.tasks)
            await caller.finish()
        await close_chat_model(model)

    def _open(self) -> BaseChatModel:
        if isinstance(self._model, ChatModelRecipe):
            return self._model.open()
        return open_chat_model(self._model)

    def _answers(self, draw: Callable[[], Drawn | None]) -> Iterator[tuple[Place, Answered]]:
        """Keep questions under way until none is left and none is drawn any more."""
        if self._running is None:
            raise UsageError("an engine is entered first: with AsyncioEngine(...) as engine: ...")
        window = _Window(self._running)
        most = AHEAD * self._limits.concurrency
        spent: BudgetSpent | None = None
        try:
            while True:
                while spent is None and window.under_way < most and (drawn := draw()):
                    window.start(drawn)
                if not window.under_way:
                    break
                try:
                    answer = window.take()
                except BudgetSpent as error:
                    spent = error
                    continue
                if self._progress is not None:
                    self._progress(self.counts)
                yield answer
        finally:
            window.close()
        if spent is not None:
            raise spent


class _Window:
    """The questions of one map or drive that are under way; used from one thread."""

    def __init__(self, running: _Running) -> None:
        self.under_way = 0
        self._running = running
        self._tasks: set[asyncio.Task[Answered]] = set()
        self._done: SimpleQueue[tuple[Place, asyncio.Task[Answered]]] = SimpleQueue()

    def start(self, drawn: Drawn) -> None:
        """Begin a question.

        Raises:
            UsageError: The engine was closed.
        """
        if self._running.loop.is_closed():
            raise UsageError(_CLOSED)
        self.under_way += 1
        self._running.loop.call_soon_threadsafe(self._begin, drawn)

    def take(self) -> tuple[Place, Answered]:
        """Wait for the next answer.

        Raises:
            Exception: What asking raised.
        """
        place, task = self._done.get()
        self.under_way -= 1
        if task.cancelled():
            raise UsageError(_CLOSED)
        return place, task.result()

    def close(self) -> None:
        """Cancel what is still under way."""
        loop = self._running.loop
        if not self.under_way or loop.is_closed():
            return
        cancelling = asyncio.run_coroutine_threadsafe(_cancel(self._tasks), loop)
        # Garbage collection may close a forgotten iterator in the loop's own thread.
        if threading.get_ident() != self._running.thread:
            cancelling.result()

    def _begin(self, drawn: Drawn) -> None:
        task = self._running.loop.create_task(self._running.caller.ask(drawn.ask))
        self._tasks.add(task)
        self._running.tasks.add(task)
        task.add_done_callback(partial(self._ended, drawn.place))

    def _ended(self, place: Place, task: asyncio.Task[Answered]) -> None:
        if not task.cancelled():
            task.exception()  # Of several that fail together one is raised; asyncio warns of none.
        self._tasks.discard(task)
        self._running.tasks.discard(task)
        self._done.put((place, task))


async def _cancel(tasks: Iterable[asyncio.Task[Answered]]) -> None:
    cancelled = list(tasks)
    for task in cancelled:
        task.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)
