"""What a contrast looks at: one row per judged answer or preference pair, as arrays.

A judged answer contributes its measurements and a judgment; a pair contributes the
difference of its two answers' measurements (chosen minus rejected), which is all that the
Bradley-Terry likelihood needs. Measurements are standardised over the whole run, so that an
effect reads "per standard deviation of the trait" in every intent alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

    def __post_init__(self) -> None:
        n = self.values.shape[0]
        lengths = {len(self.sat), len(self.paired), len(self.person), len(self.group)}
        if lengths | {len(self.intent), len(self.ids)} != {n}:
            raise UsageError("every array of Observations needs one entry per row")
        if not np.isfinite(self.values).all():
            raise UsageError("Observations must be finite; measure missing traits as 0")

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
        )


def standardise(
    answers: NDArray[np.floating], rejected: NDArray[np.floating], paired: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Standardise measurements over all answers of the run, pairs as differences.

    Args:
        answers: (n, T) raw measurements of the judged answer, or of a pair's chosen answer.
        rejected: (n, T) raw measurements of a pair's rejected answer; ignored where not paired.
        paired: (n,) which rows are pairs.

    Returns:
        (n, T): (x - mean) / sd for judged answers, (chosen - rejected) / sd for pairs, clipped
        to ``CLIP_SD``. A trait that never varies becomes 0 everywhere.
    """
    everything = np.concatenate([answers, rejected[paired]]).astype(np.float64)
    if not len(everything):
        return np.zeros(answers.shape)
    mean, sd = everything.mean(axis=0), everything.std(axis=0)
    # Rounding leaves a trait that is constant at 0.1 with a deviation of 1e-17.
    varies = sd > 1e-9 * np.maximum(1.0, np.abs(mean))
    scale = np.where(varies, sd, np.inf)
    centre = np.where(paired[:, None], rejected, mean)
    standard: NDArray[np.float64] = np.clip((answers - centre) / scale, -CLIP_SD, CLIP_SD)
    return standard


def index_people(people: Sequence[str]) -> NDArray[np.int64]:
    """Number people by their sorted hashes, so that the order of a log changes nothing."""
    numbers = {p: i for i, p in enumerate(sorted(set(people)))}
    return np.array([numbers[p] for p in people], dtype=np.int64)
