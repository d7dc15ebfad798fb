r"""How each person's satisfaction moves with each trait, as efficient scores.

Under the model ``logit P(SAT) = a_side + x'b`` with one slope ``b`` for both sides (the null
hypothesis: the sides want the same), the score of a row is ``(judgment - p) x``. Summed by
person and averaged by side, its difference between the sides estimates, to first order, how
the sides' own slopes differ (Rao's score test of the interaction; Cox and Hinkley 1974,
section 9.3). A preference pair is the same model without intercept: ``P(chosen wins) =
sigmoid(d'b)`` with ``d = chosen - rejected`` (Bradley and Terry 1952).

Multiplying by ``(I + lambda diag)^-1`` with I the information of a row adjusts every trait for
all others: everything lengthens an answer, lists come with paragraphs. ``lambda`` shrinks
as rows grow (`shrinkage`), see `docs/decisions/0003-contrast-statistics.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SLOPE_PENALTY = 1.0
"""Ridge on the pooled slopes, in rows: keeps a separable toy log finite, vanishes in a real one."""
_INTERCEPT_PENALTY = 1e-3
_NEWTON_STEPS = 25


@dataclass(frozen=True, kw_only=True)
class PersonScores:
    """Scores summed by unit (a person on a side), adjusted for all other traits."""

    adjusted: NDArray[np.float64]
    """(U, T) adjusted scores; a side's sum over its summed weight is in log-odds per deviation."""
    plain: NDArray[np.float64]
    """(U, T) mean unadjusted score of each unit, for Hedges' g."""
    first: NDArray[np.bool_]
    """(U,) whether the unit is on the first-named side."""
    weight: NDArray[np.float64]
    """(U,) rows a unit counts for, after the cap on one person's weight."""
    rows: NDArray[np.int64]
    """(U,) rows the unit has."""
    slopes: NDArray[np.float64]
    """(2, T) how satisfaction moves with each trait on the first and on the other side, log-odds
    per standard deviation: the pooled slope plus the side's mean adjusted score (one step)."""


def shrinkage(rows: int) -> float:
    """The ridge on the information matrix, relative to its mean diagonal.

    Args:
        rows: Judged answers and pairs in the contrast.

    Returns:
        0.3 up to 2,000 rows, then falling as 600 / rows to 0.02: with little data traits cannot
        be told apart and shrinking keeps power; with much data it would blame a trait for
        its correlate.
    """
    return float(np.clip(600.0 / max(rows, 1), 0.02, 0.3))


def weight_cap(rows_of_unit: NDArray[np.int64]) -> float:
    """How many rows one person may count for: ten, or four times the median person."""
    return float(max(10.0, 4.0 * float(np.median(rows_of_unit))))


def person_scores(
    values: NDArray[np.float64],
    sat: NDArray[np.bool_],
    paired: NDArray[np.bool_],
    person: NDArray[np.int64],
    first: NDArray[np.bool_],
) -> PersonScores:
    """Score every row under the null hypothesis and sum the scores by person and side.

    Args:
        values: (n, T) standardised measurements or differences.
        sat: (n,) judgments; True for every pair.
        paired: (n,) which rows are pairs.
        person: (n,) person of each row. A person found on both sides counts once on each.
        first: (n,) whether the row is on the first-named side.

    Returns:
        The units' scores, ordered by side and content: neither the order of the log nor who is
        called what matters.
    """
    keys, unit = np.unique(np.stack([~first, person], axis=1), axis=0, return_inverse=True)
    unit = unit.reshape(-1)
    rows = np.bincount(unit, minlength=len(keys))
    weight = np.minimum(rows, weight_cap(rows))
    row_weight = (weight / rows)[unit]

    slope, expected = _pooled_fit(values, sat, paired, first, row_weight)
    residual = (sat - expected) * row_weight
    centred = _centre(values, paired, first, row_weight)
    information_weight = expected * (1.0 - expected) * row_weight
    information = (centred * information_weight[:, None]).T @ centred / weight.sum()
    ridge = shrinkage(len(values)) * float(np.mean(np.diag(information)))
    precision = np.linalg.pinv(information + ridge * np.eye(values.shape[1]), hermitian=True)

    summed = _sum_by(unit, residual[:, None] * centred, len(keys))
    adjusted, on_first = summed @ precision, ~keys[:, 0].astype(bool)
    sides = [
        slope + adjusted[side].sum(axis=0) / weight[side].sum() for side in (on_first, ~on_first)
    ]
    # Units are put in the order of what they hold, not of the keyed hashes behind them: the same
    # log then meets the same permutations, and gives the same rubric, in every workspace.
    order = np.lexsort([*np.round(adjusted, 9).T, ~on_first])
    return PersonScores(
        adjusted=adjusted[order],
        plain=(summed / weight[:, None])[order],
        first=on_first[order],
        weight=weight[order].astype(np.float64),
        rows=rows[order],
        slopes=np.stack(sides),
    )


def _sum_by(
    unit: NDArray[np.int64], values: NDArray[np.float64], units: int
) -> NDArray[np.float64]:
    # bincount per column is ten times faster than np.add.at and stays in C.
    columns = [np.bincount(unit, weights=column, minlength=units) for column in values.T]
    summed: NDArray[np.float64] = np.stack(columns, axis=1).astype(np.float64)
    return summed


def _centre(
    values: NDArray[np.float64],
    paired: NDArray[np.bool_],
    first: NDArray[np.bool_],
    row_weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Centre judged answers on their side's mean; a pair's difference has a meaningful zero."""
    centred = values.copy()
    for side in (first, ~first):
        rows = side & ~paired
        if rows.any():
            centred[rows] -= np.average(values[rows], axis=0, weights=row_weight[rows])
    return centred


def _pooled_fit(
    values: NDArray[np.float64],
    sat: NDArray[np.bool_],
    paired: NDArray[np.bool_],
    first: NDArray[np.bool_],
    row_weight: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One slope for both sides and an intercept for each (Newton): slope, P(SAT) of every row."""
    sides = np.stack([first & ~paired, ~first & ~paired], axis=1).astype(np.float64)
    design = np.concatenate([values, sides], axis=1)
    penalty = np.full(design.shape[1], _SLOPE_PENALTY)
    penalty[-2:] = _INTERCEPT_PENALTY
    theta = np.zeros(design.shape[1])
    expected = np.full(len(values), 0.5)
    if paired.all():
        # Pairs alone are weighed as choices, without a fit (decision 3); beside judged answers
        # they need the same null, else a shared taste would look like a difference between
        # sides that hold different shares of pairs.
        return theta[:-2], expected
    for _ in range(_NEWTON_STEPS):
        curvature = expected * (1.0 - expected) * row_weight
        gradient = design.T @ ((sat - expected) * row_weight) - penalty * theta
        hessian = (design * curvature[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        # A cap on the step keeps a nearly separable log from overshooting.
        step *= min(1.0, 3.0 / max(float(np.abs(step).max()), 1e-12))
        theta += step
        expected = 1.0 / (1.0 + np.exp(-np.clip(design @ theta, -30, 30)))
        if np.abs(step).max() < 1e-8:
            break
    return theta[:-2], expected
