"""What a run may spend: calls, money, time; whoever would go beyond is told before, not after.

A call is let in when there is room for it: its cost is estimated and set aside while it is in
flight, so that sixty-four calls cannot all take the last cent.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from gpa_agent.calls.limits import Limits
from gpa_agent.errors import ModelError


class BudgetSpent(ModelError):  # noqa: N818 -- reads as the fact it reports
    """A limit of the run is reached; what was in flight is done and kept.

    Args:
        limit: Which limit, by its name in `Limits`.
        calls: Calls made.
        cost: US dollars they cost; None where no price is known.
        seconds: Since the run began.
    """

    def __init__(self, limit: str, *, calls: int, cost: float | None, seconds: float) -> None:
        self.limit = limit
        self.calls = calls
        self.cost = cost
        self.seconds = seconds
        spent = "" if cost is None else f", ${cost:.4f} spent"
        super().__init__(
            f"the run's limit {limit} is reached: {calls} calls made{spent}, {seconds:.0f} s. "
            "Every answer is kept: run again and it goes on where it stopped"
        )


class Budget:
    """Lets calls in while there is room for them.

    Args:
        limits: `max_calls`, `max_cost` and `total_seconds` are heeded.
        monotonic: Seconds that never run backwards; the time runs from now.
        priced: Whether costs are known.
    """

    def __init__(self, limits: Limits, monotonic: Callable[[], float], *, priced: bool) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._priced = priced
        self._started = monotonic()
        self._calls = 0
        self._cost = 0.0
        self._set_aside = 0.0
        self._reached: str | None = None

    @property
    def until(self) -> float:
        """When the time is over, on the monotonic clock; infinite where it is not limited."""
        return self._started + (self._limits.total_seconds or math.inf)

    def admit(self, expected: float) -> None:
        """Count a call that is about to be made.

        Args:
            expected: What it will cost by estimate, in US dollars; set aside until `settle`.

        Raises:
            BudgetSpent: There is no room for it; from then on there is none for any.
        """
        self._reached = self._reached or self._no_room(expected)
        if self._reached:
            raise BudgetSpent(
                self._reached,
                calls=self._calls,
                cost=self._cost if self._priced else None,
                seconds=self._monotonic() - self._started,
            )
        self._calls += 1
        self._set_aside += expected

    def settle(self, *, expected: float, cost: float) -> None:
        """Put right what a call was expected to cost; a failed one costs nothing."""
        self._set_aside -= expected
        self._cost += cost

    def _no_room(self, expected: float) -> str | None:
        limits = self._limits
        if limits.max_calls is not None and self._calls >= limits.max_calls:
            return "max_calls"
        cost = self._cost + self._set_aside + expected
        if limits.max_cost is not None and cost > limits.max_cost:
            return "max_cost"
        return "total_seconds" if self._monotonic() >= self.until else None
