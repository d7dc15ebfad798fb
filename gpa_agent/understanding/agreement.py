"""How far a small classifier agrees with the model that labelled its training rows.

Agreement is told twice: by the share of rows, and by the macro F1, the mean over the labels that
the model used. A classifier is better only where one is clearly higher and neither is clearly
lower, so that no one wins by always saying what is commonest, or by often saying what is rare.
Two classifiers are compared on the very same rows, and people, not rows, are resampled: what one
person says twice is no second piece of evidence (Efron and Tibshirani 1993, An Introduction to
the Bootstrap, chapter 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 400
_BINS = 10


class Said(NamedTuple):
    """What a classifier said of some rows.

    Attributes:
        labels: One a row.
        confidence: (n,) probability in [0, 1] that the label is right, as the classifier sees it.
    """

    labels: Sequence[str]
    confidence: NDArray[np.float64]


class Interval(NamedTuple):
    """A 95% bootstrap interval over people.

    Attributes:
        low: 2.5% quantile.
        high: 97.5% quantile.
    """

    low: float
    high: float


class Difference(NamedTuple):
    """Two classifiers under one measure.

    Attributes:
        new: Of the first, in [0, 1].
        old: Of the second.
        gain: Interval of the difference, new minus old.
    """

    new: float
    old: float
    gain: Interval

    def __str__(self) -> str:
        return (
            f"{self.new:.2f} against {self.old:.2f} ({self.gain.low:+.3f} to {self.gain.high:+.3f})"
        )


class Compared(NamedTuple):
    """Two classifiers on the same rows.

    Attributes:
        macro_f1: Mean F1 over the labels the model used.
        accuracy: Share of rows.
        interval: Interval of the first's macro F1.
    """

    macro_f1: Difference
    accuracy: Difference
    interval: Interval

    @property
    def worse(self) -> bool:
        """Whether the first is clearly lower in one of the two."""
        return min(self.macro_f1.gain.high, self.accuracy.gain.high) < 0

    @property
    def better(self) -> bool:
        """Whether the first is clearly higher in one of the two and not clearly lower in any."""
        return max(self.macro_f1.gain.low, self.accuracy.gain.low) > 0 and not self.worse

    def __str__(self) -> str:
        return (
            f"macro F1 {self.macro_f1}, share agreed on {self.accuracy}; in brackets the 95% "
            "interval of the gain over people"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How far one classifier agrees with the model."""

    accuracy: float
    """Share of rows with the model's label."""
    macro_f1: float
    """Mean F1 over the labels the model used."""
    calibration_error: float
    """Mean distance between confidence and agreement over ten bins of confidence, by rows
    (expected calibration error); 0 is best."""
    coverage: float
    """Share of rows labelled at or above the confidence asked for."""
    precision: float | None
    """Share of those with the model's label; None where there are none."""


def measure(said: Said, true: Sequence[str], *, confidence: float) -> Agreement:
    """How far what was said agrees with what the model said.

    Args:
        said: The classifier's labels.
        true: The model's, at least one.
        confidence: In [0, 1]; from here on a label would be used without asking the model.
    """
    right = agrees(said, true)
    sure = said.confidence >= confidence
    counts = _counts(said.labels, true, np.zeros(len(true), np.int64))
    return Agreement(
        accuracy=float(right.mean()),
        macro_f1=float(_macro_f1(counts)[0]),
        calibration_error=_calibration_error(said.confidence, right),
        coverage=float(sure.mean()),
        precision=float(right[sure].mean()) if sure.any() else None,
    )


def agrees(said: Said, true: Sequence[str]) -> NDArray[np.bool_]:
    """(n,) whether each label is the model's."""
    return np.array([ours == theirs for ours, theirs in zip(said.labels, true, strict=True)])


def compare(
    new: Said, old: Said, true: Sequence[str], people: Sequence[str], *, seed: int = 0
) -> Compared:
    """Compare two classifiers on rows that neither was trained on.

    Args:
        new: What the first said.
        old: What the second said of the same rows.
        true: What the model said of them, at least one.
        people: Whose rows they are.
        seed: Seed of the bootstrap.
    """
    person = number_people(people)
    ours, theirs = (_counts(said.labels, true, person) for said in (new, old))
    draws = _draws(int(person.max()) + 1, seed)
    drawn = _drawn(draws, ours), _drawn(draws, theirs)
    whole = ours.sum(axis=0, keepdims=True), theirs.sum(axis=0, keepdims=True)
    macro, share = (
        Difference(
            float(figure(whole[0])[0]),
            float(figure(whole[1])[0]),
            _interval(figure(drawn[0]) - figure(drawn[1])),
        )
        for figure in (_macro_f1, _accuracy)
    )
    return Compared(macro, share, _interval(_macro_f1(drawn[0])))


def share_interval(hits: NDArray[np.bool_], people: Sequence[str], *, seed: int = 0) -> Interval:
    """Interval of a share of rows.

    Args:
        hits: (n,) what is counted; n is at least 1.
        people: Whose rows they are.
        seed: Seed of the bootstrap.
    """
    person = number_people(people)
    rows, hit = np.bincount(person), np.bincount(person, weights=hits)
    draws = _draws(len(rows), seed)
    return _interval((draws @ hit) / (draws @ rows))


def number_people(people: Sequence[str]) -> NDArray[np.int64]:
    """(n,) number of each row's person, in the order of their names."""
    return np.unique(np.array(people, np.str_), return_inverse=True)[1].astype(np.int64)


def _counts(
    said: Sequence[str], true: Sequence[str], person: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(P, K, 3) of each person and label: rows agreed on, said, and true."""
    labels = {label: k for k, label in enumerate(sorted(set(true)))}
    # A label the model never used is its own column: it is wrong, and no class of its own.
    column = np.array([labels.get(label, len(labels)) for label in said], np.int64)
    target = np.array([labels[label] for label in true], np.int64)
    hit = column == target
    size = (int(person.max()) + 1, len(labels) + 1)
    tables = [
        _table(size, person[hit], target[hit]),
        _table(size, person, column),
        _table(size, person, target),
    ]
    return np.stack(tables, axis=-1)[:, :-1]


def _table(
    size: tuple[int, int], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How often each row meets each column."""
    flat = np.bincount(rows * size[1] + columns, minlength=size[0] * size[1])
    return flat.reshape(size).astype(np.float64)


def _macro_f1(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(...) mean over the labels that occur of twice the agreed over said plus true."""
    agreed, said, true = np.moveaxis(counts, -1, 0)
    scores = 2.0 * agreed / np.maximum(said + true, 1.0)
    occurs = true > 0
    means: NDArray[np.float64] = (scores * occurs).sum(axis=-1) / occurs.sum(axis=-1)
    return means


def _accuracy(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(...) share of rows agreed on."""
    shares: NDArray[np.float64] = counts[..., 0].sum(axis=-1) / counts[..., 2].sum(axis=-1)
    return shares


def _draws(people: int, seed: int) -> NDArray[np.int64]:
    """(R, P) how often each person is drawn."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(people, np.full(people, 1.0 / people), size=_RESAMPLES)


def _drawn(draws: NDArray[np.int64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, K, 3) counts of each resample."""
    totals: NDArray[np.float64] = np.tensordot(draws.astype(np.float64), counts, axes=1)
    return totals


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high))


def _calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(right))
