from __future__ import annotations

from datetime import date

import pytest

from gpa_agent.calls.messages import Usage
from gpa_agent.calls.prices import Price, price_list, price_of
from gpa_agent.errors import UsageError


def test_a_cost_counts_cached_tokens_at_their_own_price() -> None:
    price = price_of("openai:gpt-4o-mini")
    assert price is not None
    # 1.6 M fresh x 0.15 + 0.4 M cached x 0.075 + 0.5 M out x 0.60 = 0.24 + 0.03 + 0.30
    assert price.cost(Usage(2_000_000, 500_000, 400_000)) == pytest.approx(0.57)


def test_without_a_price_for_cached_tokens_they_cost_as_others() -> None:
    # 3 M x 2 + 1 M x 8
    assert Price(input=2.0, output=8.0).cost(Usage(3_000_000, 1_000_000, 1_000_000)) == 14.0


def test_more_cached_tokens_than_tokens_never_make_a_cost_negative() -> None:
    assert (
        Price(input=2.0, output=8.0, cached_input=1.0).cost(Usage(1_000_000, 0, 5_000_000)) == 1.0
    )


@pytest.mark.parametrize(
    "name", ["gpt-4o-mini", "openai:gpt-4o-2024-05-13", "openai:", "openrouter:gpt-4o-mini", ""]
)
def test_a_model_that_is_not_listed_has_no_price(name: str) -> None:
    assert price_of(name) is None


def test_the_list_says_when_it_was_made_and_what_it_is() -> None:
    listed = price_list()
    assert listed.date > date(2026, 1, 1)
    assert "check yours" in listed.note
    assert all(
        (price.cached_input or 0) < price.input < price.output for price in listed.prices.values()
    )


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["input", "output", "cached_input"])
def test_a_price_that_is_none_is_refused(name: str, bad: float) -> None:
    with pytest.raises(UsageError, match=f"price {name} is .*per million tokens"):
        Price(**({"input": 1.0, "output": 1.0} | {name: bad}))
