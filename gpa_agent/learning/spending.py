"""What a run may spend on a chat model, and what runs its calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from gpa_agent.calls.counts import CallCounts
from gpa_agent.calls.engine import Engine
from gpa_agent.calls.limits import Limits
from gpa_agent.calls.prices import Price, price_of
from gpa_agent.errors import UsageError
from gpa_agent.learning.report import ModelReport
from gpa_agent.ledger import Ledger
from gpa_agent.models import ChatModelRecipe
from gpa_agent.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

Runner = Literal["asyncio", "daft", "daft-ray"]
RUNNERS: tuple[Runner, ...] = ("asyncio", "daft", "daft-ray")


@dataclass(frozen=True, kw_only=True)
class Spend:
    """Limits of one run; None is no limit."""

    max_calls: int | None = None
    """Calls really made; answers that the ledger holds are free."""
    max_cost: float | None = None
    """US dollars; needs a known price."""
    total_seconds: float | None = None
    """Seconds from the first question on."""
    runner: str = "asyncio"
    """What runs the calls; ``daft`` and ``daft-ray`` need the extra ``scale``."""
    batch: Path | None = None
    """Folder of OpenAI batch files; where it is given nobody is called: questions are written to
    it, and results are read from it."""

    def left(self, spent: ModelReport | None) -> Spend:
        """What is left of the limits after a run.

        Args:
            spent: What the run asked; None where it asked nobody.

        Returns:
            The limits less what was spent; with 0 left only what the ledger holds is answered.
        """
        if spent is None:
            return self
        calls = None if self.max_calls is None else max(self.max_calls - spent.calls, 0)
        cost = None if self.max_cost is None else max(self.max_cost - (spent.cost or 0.0), 0.0)
        return replace(self, max_calls=calls, max_cost=cost)


class Opened(NamedTuple):
    """An engine to be entered, and what goes with it.

    Attributes:
        engine: Opens the engine; entered once per use.
        counts: What it counts in.
        price: What calls cost; None where nobody knows.
        spend: The limits of the run.
    """

    engine: Callable[[], AbstractContextManager[Engine]]
    counts: CallCounts
    price: Price | None
    spend: Spend


def open_engine(
    settings: Settings, ledger: Ledger, model: BaseChatModel | None, spend: Spend
) -> Opened:
    """An engine as settings and spending ask for.

    Args:
        settings: The model's name and parameters, pace and price.
        ledger: The call ledger.
        model: The chat model itself, where one was given.
        spend: Limits of the run.

    Raises:
        UsageError: The model cannot be opened, or there is no such runner.
    """
    if spend.runner not in RUNNERS:
        raise UsageError(f"runner {spend.runner!r} is none of {', '.join(RUNNERS)}")
    if settings.model is None:
        raise UsageError("no chat model is configured; name one with model='openai:NAME'")
    recipe = ChatModelRecipe(model=settings.model, parameters=settings.model_parameters)
    limits = Limits(
        concurrency=settings.concurrency,
        requests_per_minute=settings.requests_per_minute,
        tokens_per_minute=settings.tokens_per_minute,
        max_calls=spend.max_calls,
        max_cost=spend.max_cost,
        total_seconds=spend.total_seconds,
    )
    price = settings.price or price_of(settings.model)
    counts = CallCounts()

    def engine() -> AbstractContextManager[Engine]:
        if spend.batch is not None:
            ledger.add_export("batch", spend.batch)
            from gpa_agent.calls.batch import BatchEngine  # noqa: PLC0415 -- chosen now

            return BatchEngine(model or recipe, ledger, spend.batch, price=price, counts=counts)
        if spend.runner == "asyncio":
            from gpa_agent.calls.asyncio_engine import AsyncioEngine  # noqa: PLC0415 -- chosen now

            return AsyncioEngine(model or recipe, ledger, limits, price=price, counts=counts)
        from gpa_agent.calls.daft_engine import DaftEngine  # noqa: PLC0415 -- an extra

        on_ray: Literal["daft", "daft-ray"] = "daft-ray" if spend.runner == "daft-ray" else "daft"
        return DaftEngine(
            model or recipe, ledger, limits, price=price, counts=counts, runner=on_ray
        )

    return Opened(engine, counts, price, spend)
