"""Asks a chat model one question, whatever the provider does meanwhile.

An answer is looked up in the ledger, else asked for and stored before it is read. What fails
in passing is tried again; what the provider asks to wait is waited by everybody, once. An
answer that cannot be read gets one repair call. A question that has no answer in the end says
why, and never gets one made up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

from gpa_agent.calls.budget import Budget
from gpa_agent.calls.cache import Asking, CallCache, asking
from gpa_agent.calls.counts import CallCounts, Figures
from gpa_agent.calls.engine import Answered
from gpa_agent.calls.failures import Failure, classify
from gpa_agent.calls.gate import Gate, Passage
from gpa_agent.calls.messages import Usage, finish_reason, usage_of
from gpa_agent.calls.pacing import Clock
from gpa_agent.calls.prices import Price, price_of
from gpa_agent.calls.recovery import Recovery, Tries
from gpa_agent.errors import GPAError, UsageError
from gpa_agent.models import model_name
from gpa_agent.prompts import Prompt, PromptName, Unreadable, load, read_answer, repair

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage
    from pydantic import BaseModel

    from gpa_agent.calls.limits import Limits
    from gpa_agent.ledger import Ledger
    from gpa_agent.prompts.asking import Ask

BYTES_PER_TOKEN: Final = 4
"""Of UTF-8, by rule of thumb: right for English, not far off for Chinese."""

_REFUSALS: Final = frozenset({"content_filter", "refusal"})
_CUT: Final = "the answer was cut off before its end: answer more briefly"

Why = Literal["refused", "malformed", "failed"]

_COUNTED: Final[dict[Why, Figures]] = {
    "refused": Figures(refused=1),
    "malformed": Figures(malformed=1),
    "failed": Figures(failed=1),
}


class _None(NamedTuple):
    """No answer, and why."""

    why: Why


class _Failed(NamedTuple):
    """A call that failed, and the seconds it took."""

    failure: Failure
    took: float


@dataclass(frozen=True, kw_only=True)
class _Question:
    """A question while it is asked."""

    ask: Ask
    prompt: Prompt
    asking: Asking
    tries: Tries = field(default_factory=Tries)


class Caller:
    """Asks questions of one model; of one event loop.

    Example:
        ```python
        caller = Caller(ChatOpenAI(model="gpt-4o-mini"), ledger, Limits(concurrency=64))
        answered = await caller.ask(ask)
        answered.value  # None where there is no answer; answered.why says why
        ```

    Args:
        model: Any chat model; it is copied, not changed. Retries of its own should be off.
        ledger: Where calls are kept.
        limits: How fast and how far.
        price: What the model costs; by default as on the list, where it is there.
        counts: Where to count; a fresh one by default.
        clock: Where time comes from.
        random: For the jitter of waits.

    Raises:
        UsageError: A cost limit is set and no price is known.
    """

    def __init__(
        self,
        model: BaseChatModel,
        ledger: Ledger,
        limits: Limits,
        *,
        price: Price | None = None,
        counts: CallCounts | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        name = model_name(model)
        price = priced(name, limits, price)
        self.counts = counts or CallCounts()
        """What the questions came to so far."""
        self._price = price
        self._clock = clock = clock or Clock()
        self._budget = Budget(limits, clock.monotonic, priced=price is not None)
        self._gate = Gate(limits, clock, self._budget, model.rate_limiter)
        self._recovery = Recovery(
            name,
            limits,
            clock,
            pace=self._gate.pace,
            until=self._budget.until,
            random=random or Random(),
        )
        self._under_way: dict[Ask, asyncio.Event] = {}
        self._cache = CallCache(ledger, model=name, price=price, answered=self._gate.answered)
        self._model = model.model_copy(update={"cache": self._cache, "rate_limiter": self._gate})

    async def ask(self, ask: Ask) -> Answered:
        """Ask one question.

        Returns:
            The answer, or why there is none.

        Raises:
            BudgetSpent: It needs a call that the run's limits have no room for.
            ModelError: The provider is down or lets nobody in.
            StoreError: The ledger cannot be read or written.
        """
        prompt = load(cast("PromptName", ask.prompt))
        async with self._alone(ask):
            with asking(ask) as now:
                answer = await self._answer(_Question(ask=ask, prompt=prompt, asking=now))
        if isinstance(answer, _None):
            self.counts.add(ask.prompt, _COUNTED[answer.why])
            return Answered(ask, None, answer.why)
        return Answered(ask, answer)

    async def finish(self) -> None:
        """Wait until every answer that came is stored; for the end of the event loop."""
        await self._cache.finish()

    @asynccontextmanager
    async def _alone(self, ask: Ask) -> AsyncGenerator[None]:
        """Ask the same texts one after the other: the second finds the first's answer stored."""
        same = ask._replace(subject=None)
        while (under_way := self._under_way.get(same)) is not None:
            await under_way.wait()
        self._under_way[same] = done = asyncio.Event()
        try:
            yield
        finally:
            del self._under_way[same]
            done.set()

    async def _answer(self, question: _Question) -> BaseModel | _None:
        said = await self._reply(question, question.ask.messages())
        read = _read(question.prompt, said)
        if isinstance(said, _None) or not isinstance(read, Unreadable):
            return cast("BaseModel | _None", read)
        again = await self._reply(question, repair(question.ask, said.text, str(read)))
        read = _read(question.prompt, again)
        if isinstance(read, Unreadable):
            return _None("malformed")
        if not isinstance(read, _None):
            self.counts.add(question.ask.prompt, Figures(repaired=1))
        return read

    async def _reply(self, question: _Question, messages: list[BaseMessage]) -> AIMessage | _None:
        """Call until there is an answer, or no hope of one."""
        prompt = question.ask.prompt
        while True:
            came = await self._call(question, messages)
            if not isinstance(came, _Failed):
                return came
            limited = came.failure.kind == "limited"
            self.counts.add(prompt, Figures(rate_limited=int(limited)))
            then = await self._recovery.after(came.failure, question.tries, took=came.took)
            if then != "again":
                return _None(then)
            self.counts.add(prompt, Figures(retried=1))

    async def _call(self, question: _Question, messages: list[BaseMessage]) -> AIMessage | _Failed:
        usage = _estimate(question.prompt, messages)
        passage = Passage(
            tokens=usage.input_tokens + usage.output_tokens,
            cost=self._price.cost(usage) if self._price else 0.0,
            made=lambda: self.counts.add(question.ask.prompt, Figures(calls=1)),
        )
        try:
            async with self._gate.passing(passage):
                message = await self._model.ainvoke(messages)
                self._book(question, passage, message)
        except GPAError:
            raise
        except Exception as error:  # noqa: BLE001 -- told apart by `classify`, never dropped
            now = self._clock.monotonic()
            took = 0.0 if passage.began is None else now - passage.began
            return _Failed(classify(error, self._clock.now()), took)
        return message

    def _book(self, question: _Question, passage: Passage, message: AIMessage) -> None:
        """Write down what an answer was worth."""
        if question.asking.hit:
            self.counts.add(question.ask.prompt, Figures(cached=1))
            return
        self._recovery.answered()
        usage = usage_of(message)
        cost = self._price.cost(usage) if self._price and usage else None
        passage.paid = passage.cost if cost is None else cost
        if usage is not None:
            passage.used_tokens = usage.input_tokens + usage.output_tokens
        self.counts.add(question.ask.prompt, _used(usage or Usage(0, 0), cost))


def priced(model: str, limits: Limits, price: Price | None = None) -> Price | None:
    """The price to count with: the one given, else the list's.

    Args:
        model: The model's name.
        limits: Of the run.
        price: What the operator says.

    Returns:
        The price; None where it is not known and no limit asks for it.

    Raises:
        UsageError: There is a limit on costs and no price.
    """
    price = price or price_of(model)
    if limits.max_cost is not None and price is None:
        raise UsageError(
            f"max_cost needs the price of {model!r}, which is not on the list: give it in US "
            "dollars per million tokens, --price INPUT,OUTPUT (or the setting price), or limit "
            "max_calls"
        )
    return price


def _read(prompt: Prompt, said: AIMessage | _None) -> BaseModel | Unreadable | _None:
    if isinstance(said, _None):
        return said
    reason = finish_reason(said)
    if reason in _REFUSALS:
        return _None("refused")
    if reason == "length":
        return Unreadable(_CUT)
    try:
        return read_answer(prompt, said.text)
    except Unreadable as problem:
        return problem


def _estimate(prompt: Prompt, messages: list[BaseMessage]) -> Usage:
    said = sum(len(message.text.encode("utf-8", "replace")) for message in messages)
    return Usage(said // BYTES_PER_TOKEN + 1, prompt.typical_output_tokens)


def _used(usage: Usage, cost: float | None) -> Figures:
    return Figures(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        cost=cost,
    )
