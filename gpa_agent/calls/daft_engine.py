"""Questions on Daft: in this process, or spread over the workers of a Ray cluster.

Questions become a Daft DataFrame of plain columns, a block at a time, so that memory stays
flat however many there are. Each block is cut into one share for each worker; a share is asked
by the asyncio engine in the worker's process, over the same ledger, so the answers are the same
row for row. Answers come a block at a time, once its slowest call is done.

``daft`` runs in this process, with exactly the run's limits. ``daft-ray`` runs on Ray, where
``RAY_ADDRESS`` says or started here, with one worker a node: each is given an equal
part of the places, the rates and what is left of the budget when a block starts. What no worker
used is dealt out again, so a run stops at its limits and not before. Kept to this machine,
workers may share a SQLite ledger; on more machines the ledger is PostgreSQL. Workers find the
provider's key in their own environment. Ray runs until the process ends: Daft cannot be moved to
another Ray, nor from one runner to the other.

**Known weakness**: when the process that asks is killed, the workers of ``daft-ray`` go on until
Ray has noticed, at most to the end of their share. Their answers are stored, and not paid again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

from gpa_agent.calls.asyncio_engine import AsyncioEngine
from gpa_agent.calls.counts import CallCounts
from gpa_agent.calls.daft_workers import OneHere, OnRay, Workers, needed
from gpa_agent.calls.engine import Answered, Flow
from gpa_agent.calls.flows import Rounds
from gpa_agent.calls.limits import Limits
from gpa_agent.calls.shares import Report, Said, Worker
from gpa_agent.errors import UsageError
from gpa_agent.prompts.asking import Ask

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from gpa_agent.calls.prices import Price
    from gpa_agent.ledger import Ledger
    from gpa_agent.models import ChatModelRecipe

R = TypeVar("R")

CALLS_A_BLOCK: Final = 64
"""Questions of a block for each call in flight: the wait at its end is a sixty-fourth of it."""

MOST_A_BLOCK: Final = 32_768
"""Questions of a block, at most: what Daft itself would cut up, past 131,072, is never near."""

Runner = Literal["daft", "daft-ray"]


class DaftEngine:
    """Asks on Daft.

    Example:
        ```python
        recipe = ChatModelRecipe(model="openai:gpt-4o-mini")
        with DaftEngine(recipe, ledger, Limits(concurrency=64), runner="daft-ray") as engine:
            for answered in engine.map(asks):
                print(answered.ask.subject, answered.value)
        ```

    Args:
        model: How to open the chat model; with ``daft``, a chat model, too.
        ledger: Where calls are kept.
        limits: How fast and how far, for all that this engine asks.
        price: What the model costs; by default as on the list, where it is there.
        counts: Where to count; a fresh one by default. On Ray it grows with each block.
        progress: Called with the counts after each answer, in the thread that asked.
        runner: ``daft`` in this process, ``daft-ray`` on Ray.

    Raises:
        UsageError: A cost limit is set and no price is known, or the model cannot be sent to
            Ray's workers.
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
        runner: Runner = "daft",
    ) -> None:
        self.counts = counts or CallCounts()
        """What the questions came to so far."""
        self._progress = progress
        self._runner: Runner = runner
        self._size = min(CALLS_A_BLOCK * limits.concurrency, MOST_A_BLOCK)
        self._workers: Workers
        if runner == "daft":
            engine = AsyncioEngine(model, ledger, limits, price=price, counts=self.counts)
            self._workers = OneHere(engine)
        else:
            self._workers = OnRay(model, ledger, limits, price=price, counts=self.counts)
        self._daft: Any = None

    @property
    def name(self) -> str:
        """``daft`` or ``daft-ray``."""
        return self._runner

    def map(self, asks: Iterable[Ask]) -> Iterator[Answered]:
        """Answer questions, a block at a time.

        Args:
            asks: Drawn in blocks of `CALLS_A_BLOCK` for each call in flight.

        Raises:
            BudgetSpent: A limit of the run is reached; what was in flight came first.
            ModelError: The provider is down, or lets nobody in.
            StoreError: The ledger cannot be read or written.
            UsageError: The engine is not entered.
        """
        for _, answered in self._answers(asks):
            yield answered

    def drive(self, flows: Sequence[Flow[R]]) -> list[R]:
        """Run flows to their ends, in rounds: what all of them ask, then what they ask next.

        Returns:
            Their results, in order.

        Raises:
            BudgetSpent: As for `map`.
            ModelError: As for `map`.
            StoreError: As for `map`.
            UsageError: As for `map`.
        """
        rounds = Rounds(flows)
        try:
            rounds.begin()
            while drawn := list(iter(rounds.draw, None)):
                for number, answered in self._answers(one.ask for one in drawn):
                    rounds.take(drawn[number].place, answered)
        finally:
            for flow in flows:
                flow.close()
        return rounds.results()

    def __enter__(self) -> Self:
        daft = _daft()
        self._workers.open(daft)
        self._daft = daft
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._daft = None
        self._workers.close()

    def _answers(self, asks: Iterable[Ask]) -> Iterator[tuple[int, Answered]]:
        """Answers with the questions' numbers."""
        if self._daft is None:
            raise UsageError("an engine is entered first: with DaftEngine(...) as engine: ...")
        numbered = enumerate(asks)
        while block := dict(islice(numbered, self._size)):
            for number, answered in self._block(block):
                if self._progress is not None:
                    self._progress(self.counts)
                yield number, answered

    def _block(self, open_: dict[int, Ask]) -> Iterator[tuple[int, Answered]]:
        """Ask questions until each has its answer, or there is no going on."""
        while open_:
            worker, shares = self._workers.cut(len(open_))
            said = _ask(self._daft, open_, worker, shares)
            stopped = self._workers.settle(
                [Report.read(one.report) for _, one in said if one.report is not None]
            )
            for number, one in said:
                answered = one.read(open_[number])
                if answered is not None:
                    del open_[number]
                    yield number, answered
            if stopped is not None:
                raise stopped


def _ask(
    daft: Any,  # noqa: ANN401 -- a module that need not be installed
    asks: dict[int, Ask],
    worker: Worker,
    shares: int,
) -> list[tuple[int, Said]]:
    """One Daft query: what was said to each question, by number, in any order."""
    text = daft.DataType.string()
    said_type = daft.DataType.struct(dict.fromkeys(Said._fields, text))

    @daft.func.batch(return_dtype=said_type, use_process=False)  # type: ignore[untyped-decorator]
    def ask(*columns: Any) -> Any:  # noqa: ANN401 -- Daft's series
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        said = worker.ask([Ask(*row) for row in rows])
        return daft.Series.from_pylist([one._asdict() for one in said], dtype=said_type)

    columns = dict(zip(Ask._fields, map(list, zip(*asks.values(), strict=True)), strict=True))
    frame = daft.from_pydict({"number": list(asks), **columns})
    if shares > 1:
        frame = frame.into_partitions(shares)
    answered = frame.select("number", ask(*(frame[name] for name in columns)).alias("said"))
    return [(row["number"], Said(**row["said"])) for row in answered.iter_rows()]


def _daft() -> Any:  # noqa: ANN401 -- a module that need not be installed
    os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
    os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
    return needed("daft", at_least=(0, 7))
