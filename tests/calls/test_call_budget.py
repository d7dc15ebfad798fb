from __future__ import annotations

import pytest

from gpa_agent.calls.budget import Budget, BudgetSpent
from gpa_agent.calls.limits import Limits
from tests.calls.clocks import FakeTime


def budget(time: FakeTime, *, priced: bool = True, **limits: float) -> Budget:
    return Budget(Limits(**limits), time.clock.monotonic, priced=priced)  # type: ignore[arg-type]


def test_exactly_so_many_calls_are_let_in() -> None:
    spending = budget(FakeTime(), max_calls=3)
    for _ in range(3):
        spending.admit(0.0)
    with pytest.raises(BudgetSpent, match="max_calls") as spent:
        spending.admit(0.0)
    assert spent.value.calls == 3
    assert spent.value.exit_code == 4


def test_the_cost_of_what_is_in_flight_is_set_aside() -> None:
    spending = budget(FakeTime(), max_cost=1.0)
    spending.admit(0.4)
    spending.admit(0.4)
    with pytest.raises(BudgetSpent, match="max_cost"):
        spending.admit(0.4)


def test_a_call_that_cost_less_leaves_room_for_the_next() -> None:
    spending = budget(FakeTime(), max_cost=1.0)
    for _ in range(10):
        spending.admit(0.4)
        spending.settle(expected=0.4, cost=0.0625)
    with pytest.raises(BudgetSpent) as spent:
        spending.admit(0.4)
    # Ten sixteenths are spent, and 0.4 more would be too much.
    assert spent.value.cost == 0.625
    assert "$0.6250" in str(spent.value)


def test_time_runs_out() -> None:
    time = FakeTime()
    spending = budget(time, total_seconds=60)
    time.at += 59
    spending.admit(0.0)
    time.at += 1
    with pytest.raises(BudgetSpent, match="total_seconds"):
        spending.admit(0.0)


def test_once_spent_it_stays_spent() -> None:
    spending = budget(FakeTime(), max_cost=1.0)
    spending.admit(0.9)
    with pytest.raises(BudgetSpent):
        spending.admit(0.9)
    spending.settle(expected=0.9, cost=0.0)
    with pytest.raises(BudgetSpent):
        spending.admit(0.0)


def test_no_price_no_figure() -> None:
    spending = budget(FakeTime(), max_calls=1, priced=False)
    spending.admit(0.0)
    with pytest.raises(BudgetSpent) as spent:
        spending.admit(0.0)
    assert spent.value.cost is None
    assert "$" not in str(spent.value)
    assert "run again" in str(spent.value)
