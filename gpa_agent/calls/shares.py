"""One worker's share of a run's questions: what it is told and what it reports, as plain data.

A share is asked by the asyncio engine in the worker's own process, so a worker does nothing
that one process alone would not do. Errors are told as data, too: an exception that crosses
processes comes out as somebody else's traceback, or not at all.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast
from uuid import uuid4
from weakref import WeakValueDictionary

from gpa_agent.calls.asyncio_engine import AsyncioEngine
from gpa_agent.calls.budget import BudgetSpent
from gpa_agent.calls.counts import Figures
from gpa_agent.calls.engine import Answered
from gpa_agent.calls.limits import Limits
from gpa_agent.errors import (
    DataError,
    GPAError,
    MissingDependency,
    ModelError,
    ServiceError,
    StoreError,
    UsageError,
    WorkspaceError,
)
from gpa_agent.ledger import Ledger
from gpa_agent.prompts import PromptName, load

if TYPE_CHECKING:
    from gpa_agent.calls.prices import Price
    from gpa_agent.models import ChatModelRecipe
    from gpa_agent.prompts.asking import Ask

NO_PEOPLE: Final = b"calls name nobody"
"""Opens the ledger where only calls are kept: the key that people are hashed with stays home."""

NO_TIME: Final = 1e-9
"""Seconds in which no call is let in, while what the ledger holds is still answered."""

_KINDS: Final = {
    kind.__name__: kind
    for kind in (
        BudgetSpent,
        DataError,
        GPAError,
        MissingDependency,
        ModelError,
        ServiceError,
        StoreError,
        UsageError,
        WorkspaceError,
    )
}


class Said(NamedTuple):
    """What came of one question, as it travels.

    Attributes:
        answer: The answer's JSON; None where there is none.
        why: Why there is none, as in `Answered`; None beside no answer: it was not asked.
        report: With the first question of a share, the `Report`'s JSON.
    """

    answer: str | None
    why: str | None
    report: str | None = None

    def read(self, ask: Ask) -> Answered | None:
        """The answer to a question, parsed again; None where it was not asked."""
        if self.answer is None:
            return None if self.why is None else Answered(ask, None, self.why)
        prompt = load(cast("PromptName", ask.prompt))
        return Answered(ask, prompt.answer.model_validate_json(self.answer))


class Report(NamedTuple):
    """What a share came to.

    Attributes:
        figures: By prompt; empty where the run's own counts were kept.
        error: What stopped it; None where nothing did.
    """

    figures: dict[str, Figures]
    error: GPAError | None = None

    def dump(self) -> str:
        """As JSON."""
        figures = {prompt: asdict(sums) for prompt, sums in self.figures.items()}
        return json.dumps({"figures": figures, "error": self.error and _told(self.error)})

    @classmethod
    def read(cls, report: str) -> Report:
        """From JSON; an error is of the same class and says the same."""
        data: dict[str, Any] = json.loads(report)
        figures = {prompt: Figures(**sums) for prompt, sums in data["figures"].items()}
        return cls(figures, data["error"] and _error(data["error"]))


class Worker(Protocol):
    """Asks a share of questions; can be pickled."""

    def ask(self, asks: Sequence[Ask]) -> list[Said]:
        """Ask them all; what was said, in their order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """A worker in another process: opens ledger and model by itself, for one share."""

    model: ChatModelRecipe
    """A key that it does not hold is looked for in the worker's environment."""
    ledger: str = field(repr=False)
    """URL of the database, password and all."""
    limits: Limits
    """The share's own."""
    price: Price | None
    """What the model costs; None where that is not known."""

    def ask(self, asks: Sequence[Ask]) -> list[Said]:
        """As `Worker`."""
        try:
            with (
                Ledger.open(self.ledger, people_key=NO_PEOPLE) as ledger,
                AsyncioEngine(self.model, ledger, self.limits, price=self.price) as engine,
            ):
                answers, error = _ask(engine, asks)
        except GPAError as failed:
            return _said([None] * len(asks), Report({}, failed))
        return _said(answers, Report(engine.counts.by_prompt, error))


class Here:
    """A worker in this process, which asks through an engine that is open here.

    Pickled it is a name; it is found again in this process only, while it is alive.

    Args:
        engine: The engine, entered.
    """

    def __init__(self, engine: AsyncioEngine) -> None:
        self.engine = engine
        self._token = uuid4().hex
        _HERE[self._token] = self

    def ask(self, asks: Sequence[Ask]) -> list[Said]:
        """As `Worker`; what it counts is the engine's."""
        answers, error = _ask(self.engine, asks)
        return _said(answers, Report({}, error))

    def __reduce__(self) -> tuple[Callable[[str], Here], tuple[str]]:
        return _here, (self._token,)


_HERE: Final[WeakValueDictionary[str, Here]] = WeakValueDictionary()


def _here(token: str) -> Here:
    return _HERE[token]


def divided(limits: Limits, among: int, *, spent: Figures, seconds: float) -> Limits:
    """The limits of one of several shares asked side by side; together they keep the run's.

    Args:
        limits: The run's.
        among: How many shares; at most the calls in flight and the calls that are left.
        spent: What the run came to so far; a cost that is not known counts as all there was.
        seconds: Since the run began.

    Returns:
        An equal part of what is left; limits that let no call in where nothing is.
    """
    share = replace(
        limits,
        concurrency=max(1, limits.concurrency // among),
        requests_per_minute=_part(limits.requests_per_minute, among),
        tokens_per_minute=_part(limits.tokens_per_minute, among),
    )
    left = _left(limits, spent, seconds)
    if used_up(limits, spent=spent, seconds=seconds):
        return replace(share, max_calls=None, max_cost=None, total_seconds=NO_TIME)
    return replace(
        share,
        max_calls=None if left.max_calls is None else int(left.max_calls // among),
        max_cost=_part(left.max_cost, among),
        total_seconds=left.total_seconds,
    )


def used_up(limits: Limits, *, spent: Figures, seconds: float) -> str | None:
    """Which limit of a run is reached, by its name in `Limits`; None where none is.

    Args:
        limits: The run's.
        spent: What it came to so far; a cost that is not known counts as all there was.
        seconds: Since it began.
    """
    left = _left(limits, spent, seconds)._asdict().items()
    return next((name for name, rest in left if rest is not None and rest <= 0), None)


class _Left(NamedTuple):
    """What is left of a run's limits; None is no limit."""

    max_calls: float | None
    max_cost: float | None
    total_seconds: float | None


def _left(limits: Limits, spent: Figures, seconds: float) -> _Left:
    cost = math.inf if spent.cost is None else spent.cost
    return _Left(
        _less(limits.max_calls, spent.calls),
        _less(limits.max_cost, cost),
        _less(limits.total_seconds, seconds),
    )


def _less(limit: float | None, spent: float) -> float | None:
    return None if limit is None else limit - spent


def _part(rate: float | None, among: int) -> float | None:
    return None if rate is None else rate / among


def _ask(
    engine: AsyncioEngine, asks: Sequence[Ask]
) -> tuple[list[Answered | None], GPAError | None]:
    """The answers in the questions' order, and what stopped it."""
    places: defaultdict[Ask, list[int]] = defaultdict(list)
    for place, ask in enumerate(asks):
        places[ask].append(place)
    answers: list[Answered | None] = [None] * len(asks)
    try:
        for answered in engine.map(asks):
            answers[places[answered.ask].pop()] = answered
    except GPAError as error:
        return answers, error
    return answers, None


def _said(answers: Sequence[Answered | None], report: Report) -> list[Said]:
    said = [
        Said(a.value.model_dump_json() if a and a.value else None, a.why if a else None)
        for a in answers
    ]
    return [one._replace(report=report.dump()) for one in said[:1]] + said[1:]


def _told(error: GPAError) -> dict[str, Any]:
    kind = next(base.__name__ for base in type(error).__mro__ if base.__name__ in _KINDS)
    return {"kind": kind, "message": str(error), "about": vars(error)}


def _error(told: Mapping[str, Any]) -> GPAError:
    """The error again; its class's own arguments are not needed, since it is said already."""
    kind: type[GPAError] = _KINDS[told["kind"]]
    error = kind.__new__(kind, told["message"])
    vars(error).update(told["about"])
    return error
