"""Questions by way of OpenAI's batch endpoint: files out, files in, at half the price.

The engine calls nobody. What the call ledger answers goes on at once; what it does not is
written into a folder as batch requests, and the run ends there (`BatchWaiting`). They are
uploaded and their results downloaded by whatever means; with the result files lying in the folder
the same run goes on, one round of files for every step that depends on answers. Keys are those
of online calls, so that a run can go on online after a batch, and the other way round.

Questions are read by the same `Caller` as online: only what is done on a miss differs. So an
answer that cannot be read has its one repair question in the next file.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeVar

from typing_extensions import override

from gpa_agent.calls.batch_files import MOST_BYTES, MOST_REQUESTS, BatchFolder, Said, Waited
from gpa_agent.calls.cache import CallCache, storable
from gpa_agent.calls.caller import Caller
from gpa_agent.calls.counts import CallCounts, Figures
from gpa_agent.calls.engine import Answered, Flow
from gpa_agent.calls.limits import Limits
from gpa_agent.calls.messages import Usage
from gpa_agent.calls.prices import Price, price_of
from gpa_agent.errors import GPAError, ModelError, UsageError
from gpa_agent.ledger import CallRow
from gpa_agent.models import ChatModelRecipe, close_chat_model, model_name

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import Generation
    from langchain_openai import ChatOpenAI

    from gpa_agent.ledger import Ledger
    from gpa_agent.prompts.asking import Ask

R = TypeVar("R")
T = TypeVar("T")

BATCH_PRICE: Final = 0.5
"""What a batched call costs of an online one's price, with OpenAI and those that follow it."""

ALL_REFUSED: Final = 10
"""Refusals in the first results, and no answer, that make it the requests that are wrong."""

_AT_ONCE: Final = 500
"""Questions looked up, and answers stored, at a time."""
_NOT_IN_BODY: Final = frozenset(
    {"stream", "stream_options", "timeout", "extra_headers", "extra_query"}
)
"""What an online call is made with and a batch's request does not know."""


@dataclass(kw_only=True)
class Imported:
    """What result files brought, in lines."""

    answered: int = 0
    """Answers taken into the call ledger."""
    refused: int = 0
    """Questions that will never be answered."""
    failed: int = 0
    """Requests that failed or expired; asked again."""
    malformed: int = 0
    """Lines nobody can read; what they were about is asked again."""
    foreign: int = 0
    """Results that no request waits for; left alone."""


class BatchWaiting(GPAError):  # noqa: N818 -- nothing failed: the run waits for results
    """A run has come as far as the answers reach; the rest is in batch files.

    Args:
        folder: Where the files are.
        files: Those written just now, to be uploaded.
        written: Questions in these.
        waiting: Questions without a result, these included.
        imported: What result files brought before.
    """

    exit_code = 0

    def __init__(
        self,
        folder: Path,
        *,
        files: Sequence[Path],
        written: int,
        waiting: int,
        imported: Imported,
    ) -> None:
        self.folder = folder
        self.files = tuple(files)
        self.written = written
        self.waiting = waiting
        self.imported = imported
        named = ", ".join(path.name for path in self.files)
        todo = f"upload {named}, then " if named else ""
        super().__init__(
            f"{waiting} questions wait for a batch, {written} of them new: {todo}put the result "
            f"files (output and errors) into {folder} and run again. A batch that failed as a "
            "whole: delete its request file, and its questions are asked again"
        )


class BatchEngine:
    """Answers from the ledger, and from result files in a folder; writes the rest there.

    Example:
        ```python
        recipe = ChatModelRecipe(model="openai:gpt-4o-mini")
        try:
            with BatchEngine(recipe, ledger, Path("batch")) as engine:
                answers = list(engine.map(asks))
        except BatchWaiting as waiting:
            print(waiting)  # what to upload
        ```

    Args:
        model: How online calls would open the model; no key is needed.
        ledger: Where calls are kept.
        folder: For batch files, and best for nothing else; made with the first file.
        price: What an online call costs; by default as on the list, where it is there.
        counts: Where to count; imported answers are calls. A fresh one by default.

    Raises:
        UsageError: The model is not one of OpenAI's, given by name.
    """

    def __init__(
        self,
        model: BaseChatModel | ChatModelRecipe,
        ledger: Ledger,
        folder: Path,
        *,
        price: Price | None = None,
        counts: CallCounts | None = None,
    ) -> None:
        self._recipe = _batchable(model)
        self._model_name = model_name(self._recipe.model)
        self._price = _halved(price or price_of(self._model_name))
        self._ledger = ledger
        self._where = folder
        self.counts = counts or CallCounts()
        """What the questions came to so far."""
        self.imported = Imported()
        """What result files brought when the engine was entered."""
        self._opened: _Opened | None = None
        self._written = _Written()

    @property
    def name(self) -> str:
        """``batch``."""
        return "batch"

    def map(self, asks: Iterable[Ask]) -> Iterator[Answered]:
        """Answer what the ledger answers; write the rest.

        Raises:
            BatchWaiting: There was a rest.
            StoreError: The ledger or the folder cannot be read or written.
            UsageError: The engine is not entered.
        """
        opened, drawing, open_questions = self._running(), iter(asks), 0
        while chunk := list(islice(drawing, _AT_ONCE)):
            for came in opened.ask(chunk):
                if isinstance(came, Answered):
                    yield came
                else:
                    open_questions += 1
                    self._collect(came)
        self._end(open_questions)

    def drive(self, flows: Sequence[Flow[R]]) -> list[R]:
        """Run flows as far as the ledger answers; their results, in order.

        Raises:
            BatchWaiting: A flow has questions that the ledger does not answer; those of all flows
                are written.
            StoreError: As for `map`.
            UsageError: As for `map`.
        """
        ended: list[R] = []
        open_questions = 0
        for flow in flows:
            waits = self._advance(flow, ended)
            open_questions += waits
            flow.close()
        self._end(open_questions)
        return ended

    def __enter__(self) -> Self:
        folder = BatchFolder(self._where)
        self._import(folder)
        self._opened = _Opened(self._recipe, self._ledger, folder, self._price, self.counts)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _running(self) -> _Opened:
        if self._opened is None:
            raise UsageError("an engine is entered first: with BatchEngine(...) as engine: ...")
        return self._opened

    def _advance(self, flow: Flow[R], ended: list[R]) -> int:
        """Take a flow as far as it goes; how many answers it lacks then."""
        opened = self._running()
        try:
            asks = next(flow)
            while True:
                came = opened.ask(asks)
                missing = [one for one in came if isinstance(one, _Open)]
                for one in missing:
                    self._collect(one)
                if missing:
                    return len(missing)
                asks = flow.send([one for one in came if isinstance(one, Answered)])
        except StopIteration as end:
            ended.append(end.value)
            return 0

    def _collect(self, question: _Open) -> None:
        opened, written = self._running(), self._written
        # Two may ask the same; a file may name a key once, and one answer serves both.
        if question.key in opened.folder.waiting or question.key in written.keys:
            return
        written.keys.add(question.key)
        ask = question.ask
        waited = Waited(question.key, self._model_name, ask.prompt, ask.version, ask.subject)
        body = opened.body(question.messages)
        written.bodies[waited] = body
        written.size += _size(body)
        if len(written.bodies) >= MOST_REQUESTS or written.size >= MOST_BYTES:
            self._flush()

    def _flush(self) -> None:
        written = self._written
        written.files += self._running().folder.write(written.bodies)
        written.count += len(written.bodies)
        written.bodies, written.size = {}, 0

    def _end(self, open_questions: int) -> None:
        """Write what was collected; stop the run where anything is open."""
        if self._written.bodies:
            self._flush()
        done, self._written = self._written, _Written()
        if open_questions:
            raise BatchWaiting(
                self._where,
                files=done.files,
                written=done.count,
                waiting=len(self._running().folder.waiting),
                imported=self.imported,
            )

    # -- result files --------------------------------------------------------------------------

    def _import(self, folder: BatchFolder) -> None:
        self.imported = Imported()
        reads = [(path, self._read(folder, path)) for path in folder.results()]
        self._raise_if_all_refused(folder)
        for path, read in reads:
            if read.settled:
                folder.settle(path, settled=read.settled, refused=read.refused, over=read.over)

    def _raise_if_all_refused(self, folder: BatchFolder) -> None:
        done = self.imported
        first = not (folder.path / "done").exists()
        if first and not done.answered and done.refused >= ALL_REFUSED:
            raise ModelError(
                f"the batch endpoint refused {done.refused} questions and answered none: check "
                f"the model's parameters, then empty {folder.path} and run again"
            )

    def _read(self, folder: BatchFolder, path: Path) -> _Read:
        read, rows = _Read(set(), set(), set()), list[CallRow]()
        for outcome in folder.outcomes(path):
            waited = folder.waiting.get(outcome.key)
            self._count(outcome.kind if waited or not outcome.key else "foreign")
            if waited is None or outcome.key in read.settled:
                continue
            read.settled.add(outcome.key)
            if outcome.said is not None:
                read.over.add(outcome.key)
                rows.append(self._row(waited, outcome.said))
            elif outcome.kind == "refused":
                read.refused.add(outcome.key)
            if len(rows) >= _AT_ONCE:
                self._ledger.add_calls(rows)
                rows = []
        self._ledger.add_calls(rows)
        return read

    def _count(self, kind: str) -> None:
        setattr(self.imported, kind, getattr(self.imported, kind) + 1)

    def _row(self, waited: Waited, said: Said) -> CallRow:
        """The row an online call would have left, at a batch's price."""
        usage = said.usage or Usage(0, 0)
        cost = self._price.cost(said.usage) if self._price and said.usage else None
        self.counts.add(
            waited.prompt,
            Figures(
                calls=1,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cached_tokens=usage.cached_tokens,
                cost=cost,
            ),
        )
        return CallRow(
            key=waited.key,
            model=waited.model,
            prompt=waited.prompt,
            version=waited.version,
            subject=waited.subject,
            answer=storable(said.text),
            finish_reason=said.finish_reason,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            cost=cost,
        )


class _Open(NamedTuple):
    """A question that waits for its answer.

    Attributes:
        ask: The question.
        key: Its key in the call ledger.
        messages: What is to be sent: the question, or the repair of its answer.
    """

    ask: Ask
    key: str
    messages: list[BaseMessage]


class _Read(NamedTuple):
    """What a result file settles, by keys, as `BatchFolder.settle` takes it."""

    settled: set[str]
    refused: set[str]
    over: set[str]


@dataclass(kw_only=True)
class _Written:
    """Requests that are collected, and what was written before them."""

    bodies: dict[Waited, dict[str, Any]] = field(default_factory=dict[Waited, dict[str, Any]])
    keys: set[str] = field(default_factory=set[str])
    size: int = 0
    files: list[Path] = field(default_factory=list[Path])
    count: int = 0


class _NotStored(GPAError):  # noqa: N818 -- reads as the fact it reports; never leaves this file
    """The ledger holds no answer under a key."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key
        self.messages: list[BaseMessage] = []


class _StoredOnly(CallCache):
    """A cache beyond which nobody is asked."""

    @override
    async def alookup(self, prompt: str, llm_string: str) -> list[Generation]:
        found = await super().alookup(prompt, llm_string)
        if found is None:
            raise _NotStored(self._key(prompt, llm_string))
        return found


class _Reader(Caller):
    """Asks the ledger as a `Caller` does, repairs included, and nobody else."""

    def __init__(
        self, model: BaseChatModel, ledger: Ledger, price: Price | None, counts: CallCounts
    ) -> None:
        super().__init__(model, ledger, Limits(concurrency=_AT_ONCE), price=price, counts=counts)
        self._cache = _StoredOnly(ledger, model=model_name(model), price=price)
        self._model = self._model.model_copy(update={"cache": self._cache})

    @override
    async def _call(self, question: Any, messages: list[BaseMessage]) -> Any:
        try:
            return await super()._call(question, messages)
        except _NotStored as nothing:
            nothing.messages = messages
            raise


class _Opened:
    """What lives while an engine is entered: the model, on an event loop in its own thread."""

    def __init__(
        self,
        recipe: ChatModelRecipe,
        ledger: Ledger,
        folder: BatchFolder,
        price: Price | None,
        counts: CallCounts,
    ) -> None:
        self.folder = folder
        self._counts = counts
        self._runner = asyncio.Runner()
        self._thread = ThreadPoolExecutor(1, "gpa-batch")
        try:
            self._model = self._run(_open(recipe))
        except BaseException:
            self._stop()
            raise
        self._reader = _Reader(self._model, ledger, price, counts)

    def ask(self, asks: Sequence[Ask]) -> list[Answered | _Open]:
        """What the ledger answers, and what is open, in the order of the questions."""
        return self._run(self._ask_all(asks))

    def body(self, messages: list[BaseMessage]) -> dict[str, Any]:
        """What an online call would send.

        Raises:
            UsageError: It would not be a chat completion.
        """
        payload = self._model._get_request_payload(messages)  # noqa: SLF001 -- the one place that knows
        if "messages" not in payload:
            raise UsageError(
                "batches are of chat completions; leave out the parameter that asks for the "
                "responses API (use_responses_api, reasoning, ...)"
            )
        extra = payload.pop("extra_body", None) or {}
        return {k: v for k, v in payload.items() if k not in _NOT_IN_BODY} | extra

    def close(self) -> None:
        """Close the model and the thread."""
        self._run(close_chat_model(self._model))
        self._stop()

    def _stop(self) -> None:
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    async def _ask_all(self, asks: Sequence[Ask]) -> list[Answered | _Open]:
        return await asyncio.gather(*map(self._ask, asks))

    async def _ask(self, ask: Ask) -> Answered | _Open:
        try:
            return await self._reader.ask(ask)
        except _NotStored as nothing:
            if nothing.key in self.folder.refused:
                self._counts.add(ask.prompt, Figures(refused=1))
                return Answered(ask, None, "refused")
            return _Open(ask, nothing.key, nothing.messages)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._thread.submit(self._runner.run, work).result()


async def _open(recipe: ChatModelRecipe) -> ChatOpenAI:
    from langchain_openai import ChatOpenAI  # noqa: PLC0415 -- slow to import

    model = recipe.open()
    if not isinstance(model, ChatOpenAI):
        raise _not_batchable(recipe.model)
    return model


def _batchable(model: BaseChatModel | ChatModelRecipe) -> ChatModelRecipe:
    if not isinstance(model, ChatModelRecipe):
        raise _not_batchable(model_name(model))
    if not model_name(model.model).startswith("openai:"):
        raise _not_batchable(model.model)
    if {"api_key", "openai_api_key"} & model.parameters.keys() or os.environ.get("OPENAI_API_KEY"):
        return model
    # Nobody is called, so any key will do; a key is no part of what calls are told apart by.
    return replace(model, parameters={**model.parameters, "api_key": "none"})


def _not_batchable(name: str) -> UsageError:
    return UsageError(
        f"batch files need a model of OpenAI's, given by name (openai:NAME), not {name!r}; "
        "ask any other model online"
    )


def _halved(price: Price | None) -> Price | None:
    if price is None:
        return None
    cached = None if price.cached_input is None else price.cached_input * BATCH_PRICE
    return Price(
        input=price.input * BATCH_PRICE, output=price.output * BATCH_PRICE, cached_input=cached
    )


def _size(body: Mapping[str, Any]) -> int:
    """About how many bytes a request comes to."""
    return sum(
        len(str(message["content"]).encode("utf-8", "replace")) for message in body["messages"]
    )
