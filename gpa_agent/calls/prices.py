"""What calls cost: a short, dated list of prices, and the operator's own in its place.

A model that is not on the list has no price: a cost is then not told rather than guessed (a
dated release of a model has cost more than the model's plain name before).
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from gpa_agent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from gpa_agent.calls.messages import Usage


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a model costs, in US dollars per million tokens; each finite and at least 0.

    Example:
        >>> from gpa_agent.calls.messages import Usage
        >>> Price(input=2.0, output=8.0, cached_input=0.5).cost(Usage(1_000_000, 250_000, 200_000))
        3.7
    """

    input: float
    """Of the tokens sent."""
    output: float
    """Of the tokens answered."""
    cached_input: float | None = None
    """Of the tokens sent that the provider had cached; as `input` where it is None."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise UsageError(
                    f"the price {field.name} is {value!r}; expected US dollars per million tokens, "
                    "0 or more"
                )

    def cost(self, usage: Usage) -> float:
        """What tokens cost, in US dollars."""
        cached_price = self.input if self.cached_input is None else self.cached_input
        cached = min(usage.cached_tokens, usage.input_tokens)
        fresh = usage.input_tokens - cached
        total = fresh * self.input + cached * cached_price + usage.output_tokens * self.output
        return total / 1_000_000


class PriceList(NamedTuple):
    """The prices that come with the package.

    Attributes:
        date: When they were last looked up.
        note: What they are, to be shown beside any figure made from them.
        prices: By name of the model (``openai:gpt-4o-mini``).
    """

    date: date
    note: str
    prices: Mapping[str, Price]


@cache
def price_list() -> PriceList:
    """The prices that come with the package."""
    text = files("gpa_agent.calls").joinpath("prices.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    prices = {name: Price(**figures) for name, figures in data["models"].items()}
    return PriceList(data["date"], data["note"], prices)


def price_of(model: str) -> Price | None:
    """The list price of a model.

    Args:
        model: Its name, as `gpa_agent.models.model_name` gives it.

    Returns:
        Its price; None where the list has none under exactly this name.
    """
    return price_list().prices.get(model)
