"""The call ledger as LangChain's cache: no question is paid twice, whatever stops a run.

LangChain looks an answer up before it calls the provider and hands a new one over before it
returns it: here it is committed to the ledger first. Many waiting answers share one
transaction. What is being asked (for the prompt's version and whom it is about) comes with
the context, since LangChain passes only the messages and the model's parameters.

Every completed answer is kept, with the reason it ended: money was spent on a cut or refused
one too. Whoever reads it decides by that reason (`gpa_agent.calls.messages.finish_reason`).
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NoReturn

from langchain_core.caches import BaseCache
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation
from typing_extensions import override

from gpa_agent.calls.grouping import Grouped
from gpa_agent.calls.messages import Usage, finish_reason, usage_of
from gpa_agent.ledger import CallRow

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from gpa_agent.calls.prices import Price
    from gpa_agent.ledger import Ledger
    from gpa_agent.prompts.asking import Ask

GATHER_SECONDS: Final = 0.002
"""How long lookups and answers gather to share a transaction; a model takes far longer."""


@dataclass(kw_only=True)
class Asking:
    """A question while it is asked; the cache writes what it found into it."""

    ask: Ask
    """The question; a repair is asked under the question it repairs."""
    hit: bool = False
    """Whether the last call was answered from the ledger."""


_ASKING: ContextVar[Asking] = ContextVar("gpa_asking")


@contextmanager
def asking(ask: Ask) -> Generator[Asking]:
    """Say which question the model is called for; every call through a `CallCache` needs it.

    Args:
        ask: The question.

    Yields:
        What tells, after a call, whether it was answered from the ledger.
    """
    now = Asking(ask=ask)
    token = _ASKING.set(now)
    try:
        yield now
    finally:
        _ASKING.reset(token)


class CallCache(BaseCache):
    """Answers from the call ledger; one for each event loop.

    Example:
        ```python
        cache = CallCache(ledger, model=model_name(model), price=price_of(model_name(model)))
        cached = model.model_copy(update={"cache": cache})
        with asking(ask) as now:
            message = await cached.ainvoke(ask.messages())
        now.hit  # True where nothing was paid
        ```

    Args:
        ledger: Where calls are kept.
        model: Name of the model; part of the key, since some models tell LangChain only their
            parameters.
        price: What the model costs; None where that is not known.
        answered: Called when an answer has come, before it is committed.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        model: str,
        price: Price | None = None,
        answered: Callable[[], None] | None = None,
    ) -> None:
        self.hits = 0
        """Answers found."""
        self.misses = 0
        """Questions that went on to the provider."""
        self._ledger = ledger
        self._model = model
        self._price = price
        self._answered = answered
        self._lookups = Grouped(self._find, seconds=GATHER_SECONDS)
        self._updates = Grouped(self._store, seconds=GATHER_SECONDS)

    @override
    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """The stored answer to messages under the model's parameters.

        Raises:
            StoreError: The ledger cannot be read.
        """
        return self._told(self._ledger.call(self._key(prompt, llm_string)))

    @override
    async def alookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """As `lookup`."""
        return self._told(await self._lookups.do(self._key(prompt, llm_string)))

    @override
    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Commit an answer.

        Raises:
            StoreError: The ledger cannot be written; the answer must not be used.
        """
        self._store(self._rows(prompt, llm_string, return_val))

    @override
    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """As `update`; returns when the answer is committed."""
        if self._answered is not None:
            self._answered()
        for row in self._rows(prompt, llm_string, return_val):
            await self._updates.do(row)

    @override
    def clear(self, **kwargs: Any) -> NoReturn:
        """Refuse: calls are a record; only forgetting a person deletes some."""
        raise NotImplementedError("the call ledger is not cleared: forgetting a person deletes")

    async def finish(self) -> None:
        """Wait until every answer handed over is committed; for the end of an event loop."""
        await self._updates.finish()

    def _key(self, prompt: str, llm_string: str) -> str:
        ask = _ASKING.get().ask
        parts = [self._model, llm_string, ask.prompt, ask.version, prompt]
        return sha256(json.dumps(parts).encode()).hexdigest()

    def _find(self, keys: Sequence[str]) -> list[CallRow | None]:
        found = self._ledger.calls(keys)
        return [found.get(key) for key in keys]

    def _store(self, rows: Sequence[CallRow]) -> list[None]:
        self._ledger.add_calls(rows)
        return [None] * len(rows)

    def _told(self, row: CallRow | None) -> list[Generation] | None:
        _ASKING.get().hit = row is not None
        if row is None:
            self.misses += 1
            return None
        self.hits += 1
        return [ChatGeneration(message=_message(row))]

    def _rows(
        self, prompt: str, llm_string: str, generations: Sequence[Generation]
    ) -> list[CallRow]:
        """The row of an answer; only the first is ever asked for."""
        messages = [g.message for g in generations[:1] if isinstance(g, ChatGeneration)]
        key = self._key(prompt, llm_string)
        return [self._row(key, m) for m in messages if isinstance(m, AIMessage)]

    def _row(self, key: str, message: AIMessage) -> CallRow:
        ask, usage = _ASKING.get().ask, usage_of(message)
        used = usage or Usage(0, 0)
        return CallRow(
            key=key,
            model=self._model,
            prompt=ask.prompt,
            version=ask.version,
            subject=ask.subject,
            answer=storable(message.text),
            finish_reason=finish_reason(message),
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            cached_tokens=used.cached_tokens,
            cost=self._price.cost(usage) if self._price and usage else None,
        )


def _message(row: CallRow) -> AIMessage:
    """The answer of a row, as the provider's own message would be."""
    return AIMessage(
        content=row.answer,
        response_metadata={"finish_reason": row.finish_reason, "model_name": row.model},
        usage_metadata={
            "input_tokens": row.input_tokens,
            "output_tokens": row.output_tokens,
            "total_tokens": row.input_tokens + row.output_tokens,
            "input_token_details": {"cache_read": row.cached_tokens},
        },
    )


def storable(text: str) -> str:
    """A text that every database takes: no half of a surrogate pair, no NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "�")
