"""What serving does: the satisfaction of tailored people against that of the held-out.

Who is held out is drawn once per person, so the two arms differ in nothing else, and every turn
counts in its person's arm whether tailoring reached it or not. Turns of nobody known are never
held out and do not count; neither do turns that show no judgment.

Every interval holds for itself at any number of looks (`rubrics/sequential.py`), over a period that
was not chosen for what it shows; among many slices, some interval misses more often.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from gpa_agent.conversations.records import Judgment
from gpa_agent.ledger.served import HOLDOUT, OutcomeRow
from gpa_agent.rubrics.sequential import Counts, Estimate, difference, half_width, share

ALPHA: Final = 0.05
"""Probability that an interval ever misses the truth."""


class Arm(BaseModel):
    """How the turns of one arm went."""

    model_config = ConfigDict(frozen=True)

    people: int
    """People with judged turns."""
    judged: int
    """Turns that pleased or displeased."""
    pleased: int | None
    """None where there are too few to tell."""
    neither: int
    """Turns whose reply showed neither: left out."""
    unjudged: int
    """Turns that nothing has judged (yet): left out."""
    satisfaction: float | None
    """Share of judged turns that pleased; None where there are too few."""
    interval: tuple[float, float] | None
    """95%, over people, at any number of looks."""


class Lift(BaseModel):
    """Tailored people against the held-out."""

    model_config = ConfigDict(frozen=True)

    tailored: Arm
    holdout: Arm
    lift: float | None
    """Satisfaction of the tailored less that of the held-out; None where ``untold`` says why."""
    interval: tuple[float, float] | None
    """95%, over people, at any number of looks."""
    untold: str | None
    """Why there is no figure."""


@dataclass(frozen=True, kw_only=True)
class Enough:
    """What is needed before a figure is shown."""

    people: int = 5
    """People with judged turns, in an arm."""
    turns: int = 15
    """Judged turns of theirs."""


ENOUGH: Final = Enough()
"""As for an item's evidence by default (`Settings.min_people`, `Settings.min_turns`)."""


class _Person:
    """What one person said of their answers."""

    __slots__ = ("judged", "neither", "pleased", "unjudged")

    def __init__(self) -> None:
        self.judged = self.pleased = self.neither = self.unjudged = 0

    def add(self, judgment: Judgment | None) -> None:
        if judgment is None:
            self.unjudged += 1
        elif judgment is Judgment.NEITHER:
            self.neither += 1
        else:
            self.judged += 1
            self.pleased += judgment is Judgment.SAT

    def update(self, other: _Person) -> None:
        self.judged += other.judged
        self.pleased += other.pleased
        self.neither += other.neither
        self.unjudged += other.unjudged


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Sums by person of each arm: all that a lift needs of any number of turns."""

    tailored: dict[str, _Person] = field(default_factory=lambda: defaultdict[str, _Person](_Person))
    holdout: dict[str, _Person] = field(default_factory=lambda: defaultdict[str, _Person](_Person))

    def add(self, row: OutcomeRow) -> None:
        """Count a turn; one of nobody known changes nothing."""
        if row.person is not None:
            arm = self.holdout if row.arm == HOLDOUT else self.tailored
            arm[row.person].add(row.judgment)

    def update(self, other: Tally) -> None:
        """Count all that another tally has counted."""
        for mine, theirs in ((self.tailored, other.tailored), (self.holdout, other.holdout)):
            for person, said in theirs.items():
                mine[person].update(said)

    def lift(self, enough: Enough = ENOUGH) -> Lift:
        """The lift as it stands.

        Args:
            enough: What each arm needs.
        """
        tailored, holdout = _arm(self.tailored, enough), _arm(self.holdout, enough)
        untold = _untold(tailored, holdout, enough)
        found = None if untold else difference(_counts(self.tailored), _counts(self.holdout))
        return Lift(
            tailored=tailored,
            holdout=holdout,
            lift=None if found is None else float(found.value),
            interval=None if found is None else _interval(found, lowest=-1),
            untold=untold,
        )


def lift(outcomes: Iterable[OutcomeRow], *, enough: Enough = ENOUGH) -> Lift:
    """What serving did to satisfaction over some turns.

    Args:
        outcomes: Served turns, in any order.
        enough: What each arm needs before a figure is given.
    """
    everything = Tally()
    for row in outcomes:
        everything.add(row)
    return everything.lift(enough)


def _counts(people: Mapping[str, _Person]) -> Counts:
    asked = [p for p in people.values() if p.judged]
    pleased = np.array([p.pleased for p in asked], np.float64)
    return Counts(pleased, np.array([p.judged for p in asked], np.float64))


def _arm(people: Mapping[str, _Person], enough: Enough) -> Arm:
    counts = _counts(people)
    known = len(counts.judged) >= enough.people and counts.judged.sum() >= enough.turns
    found = share(counts) if known else None
    return Arm(
        people=len(counts.judged),
        judged=int(counts.judged.sum()),
        pleased=int(counts.pleased.sum()) if known else None,
        neither=sum(p.neither for p in people.values()),
        unjudged=sum(p.unjudged for p in people.values()),
        satisfaction=None if found is None else float(found.value),
        interval=None if found is None else _interval(found, lowest=0),
    )


def _interval(found: Estimate, *, lowest: float) -> tuple[float, float]:
    half = float(half_width(found, alpha=ALPHA))
    return max(lowest, float(found.value) - half), min(1.0, float(found.value) + half)


def _untold(tailored: Arm, holdout: Arm, enough: Enough) -> str | None:
    if not holdout.judged + holdout.neither + holdout.unjudged:
        return "nobody is held out: what serving does cannot be told"
    for name, arm in (("tailored", tailored), ("held-out", holdout)):
        if arm.people < enough.people or arm.judged < enough.turns:
            return (
                f"{arm.judged} judged turns of {arm.people} {name} people; "
                f"{enough.turns} turns of {enough.people} people are needed"
            )
    return None
