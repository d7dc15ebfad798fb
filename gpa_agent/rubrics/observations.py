"""What a contrast looks at: one row per judged answer or preference pair, as arrays.

A judged answer contributes its measurements and a judgment; a pair contributes the
difference of its two answers' measurements (chosen minus rejected), which is all that the
Bradley-Terry likelihood needs. Measurements are standardised over the whole run, so that an
effect reads "per standard deviation of the trait" in every intent alike.

In an app that learns while it serves, a row also says how much it still counts (`weight`), what
it was served (`stratum`) and of which traits it says nothing (`masked`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.errors import UsageError

CLIP_SD = 5.0
"""Standardised measurements are clipped here: one absurd answer must not carry a contrast."""


@dataclass(frozen=True, kw_only=True)
class Observations:
    """Judged answers and pairs of one run.

    All arrays have one entry per row; rows whose group or intent nobody could tell carry the
    label None and stand only in "everybody else" (group) or nowhere (intent).
    """

    values: NDArray[np.float64]
    """(n, T) standardised measurements; for a pair the standardised difference."""
    sat: NDArray[np.bool_]
    """(n,) whether the answer pleased; True for every pair (chosen is first)."""
    paired: NDArray[np.bool_]
    """(n,) whether the row is a pair."""
    person: NDArray[np.int64]
    """(n,) index of the person; people are the unit of every test."""
    group: tuple[str | None, ...]
    """(n,) the person's group in this row."""
    intent: tuple[str | None, ...]
    """(n,) the intent of this row."""
    ids: tuple[str, ...]
    """(n,) the preference behind the row."""
    weight: NDArray[np.float64] = field(default_factory=lambda: np.ones(0))
    """(n,) in (0, 1], by the row's age; 1 everywhere where not given."""
    stratum: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """(n,) rows that were served the same block share a number; 0, also where not given: nothing
    was served."""
    masked: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))
    """(n, T) whether the row says nothing of a trait, because it was served under an item of it or
    is older than the trait's turn; False everywhere where not given."""

    def __post_init__(self) -> None:
        n = self.values.shape[0]
        if not len(self.weight):
            object.__setattr__(self, "weight", np.ones(n))
        if not len(self.stratum):
            object.__setattr__(self, "stratum", np.zeros(n, dtype=np.int64))
        if not len(self.masked):
            object.__setattr__(self, "masked", np.zeros(self.values.shape, dtype=bool))
        lengths = {len(self.sat), len(self.paired), len(self.person), len(self.group)}
        lengths |= {len(self.intent), len(self.ids), len(self.weight), len(self.stratum)}
        if lengths != {n} or self.masked.shape != self.values.shape:
            raise UsageError("every array of Observations needs one entry per row")
        if not np.isfinite(self.values).all():
            raise UsageError("Observations must be finite; measure missing traits as 0")
        if not ((self.weight > 0) & (self.weight <= 1)).all():
            raise UsageError("a row of Observations weighs more than 0 and at most 1")

    def __len__(self) -> int:
        return len(self.sat)

    def intents(self) -> tuple[str, ...]:
        """The intents that occur, sorted."""
        return tuple(sorted({i for i in self.intent if i is not None}))

    def groups(self) -> tuple[str, ...]:
        """The groups that occur, sorted."""
        return tuple(sorted({g for g in self.group if g is not None}))

    def select(self, rows: NDArray[np.bool_]) -> Observations:
        """The rows where the mask is True, in order."""
        at = np.flatnonzero(rows)
        return Observations(
            values=self.values[at],
            sat=self.sat[at],
            paired=self.paired[at],
            person=self.person[at],
            group=tuple(self.group[i] for i in at),
            intent=tuple(self.intent[i] for i in at),
            ids=tuple(self.ids[i] for i in at),
            weight=self.weight[at],
            stratum=self.stratum[at],
            masked=self.masked[at],
        )


class Scale(NamedTuple):
    """What measurements are standardised by.

    Attributes:
        centre: (T,) mean of each trait.
        deviation: (T,) its standard deviation; infinite where it never varies.
    """

    centre: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def rounded(self) -> Scale:
        """The scale on a coarse grid, which a growing log seldom moves.

        Were an effect told per exact standard deviation of the run, one more turn anywhere would
        change every figure everywhere. Deviations are rounded to an eighth of a doubling, so an
        effect is told within 4.5% of "per standard deviation", and centres to an eighth of a
        deviation. The same rows give the same scale, in whatever portions they came.
        """
        deviation = 2.0 ** (np.round(8.0 * np.log2(self.deviation)) / 8.0)
        step = np.where(np.isfinite(deviation), deviation / 8.0, 1.0)
        return Scale(np.round(self.centre / step) * step, deviation)


def scale_of(
    answers: NDArray[np.floating], rejected: NDArray[np.floating], paired: NDArray[np.bool_]
) -> Scale:
    """Mean and deviation of every trait over all answers, both sides of pairs included.

    Args:
        answers: (n, T) raw measurements of the judged answer, or of a pair's chosen answer.
        rejected: (n, T) raw measurements of a pair's rejected answer; ignored where not paired.
        paired: (n,) which rows are pairs.
    """
    everything = np.concatenate([answers, rejected[paired]]).astype(np.float64)
    if not len(everything):
        return Scale(np.zeros(answers.shape[1]), np.full(answers.shape[1], np.inf))
    mean, sd = everything.mean(axis=0), everything.std(axis=0)
    # Rounding leaves a trait that is constant at 0.1 with a deviation of 1e-17.
    varies = sd > 1e-9 * np.maximum(1.0, np.abs(mean))
    return Scale(mean, np.where(varies, sd, np.inf))


def standardise(
    answers: NDArray[np.floating],
    rejected: NDArray[np.floating],
    paired: NDArray[np.bool_],
    scale: Scale | None = None,
) -> NDArray[np.float64]:
    """Standardise measurements, pairs as differences.

    Args:
        answers: (n, T) raw measurements of the judged answer, or of a pair's chosen answer.
        rejected: (n, T) raw measurements of a pair's rejected answer; ignored where not paired.
        paired: (n,) which rows are pairs.
        scale: What to standardise by; None: by all these answers.

    Returns:
        (n, T): (x - mean) / sd for judged answers, (chosen - rejected) / sd for pairs, clipped
        to ``CLIP_SD``. A trait that never varies becomes 0 everywhere.
    """
    mean, deviation = scale or scale_of(answers, rejected, paired)
    centre = np.where(paired[:, None], rejected, mean)
    standard: NDArray[np.float64] = np.clip((answers - centre) / deviation, -CLIP_SD, CLIP_SD)
    return standard


def index_people(people: Sequence[str]) -> NDArray[np.int64]:
    """Number people by their sorted hashes, so that the order of a log changes nothing."""
    numbers = {p: i for i, p in enumerate(sorted(set(people)))}
    return np.array([numbers[p] for p in people], dtype=np.int64)
