"""The lift as time went by: what one would have seen, looking at the audit again and again."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from gpa_agent.learning.lift import Enough, Tally
from gpa_agent.ledger.served import OutcomeRow

POINTS = 40
"""Moments shown at most."""


class Point(BaseModel):
    """How the lift stood at some moment, over everything until then."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    judged: int
    """Judged turns of known people until then, of both arms."""
    lift: float
    interval: tuple[float, float]


class Course:
    """Sums by hour, from which the lift at any moment can be told."""

    def __init__(self) -> None:
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._hours: dict[datetime, Tally] = {}

    def add(self, row: OutcomeRow) -> None:
        """Count a turn in its hour."""
        self.first = row.at if self.first is None else min(self.first, row.at)
        self.last = row.at if self.last is None else max(self.last, row.at)
        hour = row.at.replace(minute=0, second=0, microsecond=0)
        self._hours.setdefault(hour, Tally()).add(row)

    def points(self, enough: Enough) -> tuple[Point, ...]:
        """The lift at up to `POINTS` hours, evenly spread over those with turns.

        Args:
            enough: What each arm needs; moments with less are left out.
        """
        found: list[Point] = []
        so_far, hours = Tally(), sorted(self._hours)
        shown = {(n * len(hours) - 1) // POINTS for n in range(1, POINTS + 1)}
        for i, hour in enumerate(hours):
            so_far.update(self._hours[hour])
            told = so_far.lift(enough) if i in shown else None
            if told is not None and told.lift is not None and told.interval is not None:
                judged = told.tailored.judged + told.holdout.judged
                found.append(Point(at=hour, judged=judged, lift=told.lift, interval=told.interval))
        return tuple(found)
