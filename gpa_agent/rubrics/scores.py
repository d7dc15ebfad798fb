r"""How each person's satisfaction moves with each trait, as efficient scores.

Under the model ``logit P(SAT) = a_cell + x'b`` with one slope ``b`` for both sides (the null
hypothesis: the sides want the same), the score of a row is ``(judgment - p) x``. Summed by
person and averaged by side, its difference between the sides estimates, to first order, how
the sides' own slopes differ (Rao's score test of the interaction; Cox and Hinkley 1974,
section 9.3). A preference pair is the same model without intercept: ``P(chosen wins) =
sigmoid(d'b)`` with ``d = chosen - rejected`` (Bradley and Terry 1952).

Multiplying by ``(I + lambda diag)^-1`` with I the information of a row adjusts every trait for
all others: everything lengthens an answer, lists come with paragraphs. ``lambda`` shrinks
as rows grow (`shrinkage`), see `docs/decisions/0003-contrast-statistics.md`.

A cell is a side's rows that were served the same and are silent of the same traits; in a log that
nobody was served from, a cell is a side. Every cell has its own intercept and its own centre, so
that what a served block does to satisfaction, and to answers, never looks like a taste. A trait
of which a row is silent still adjusts the others there, with a slope of its own; what the row
would say of the trait itself is dropped (`docs/decisions/0010-own-effects-are-not-evidence.md`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_SLOPE_PENALTY = 1.0
"""Ridge on the pooled slopes, in rows: keeps a separable toy log finite, vanishes in a real one."""
_INTERCEPT_PENALTY = 1e-3
_CELL_PENALTY = 1.0
"""Ridge on how a served cell departs from its side, in rows: free intercepts of many small cells
would inflate the slopes (Neyman and Scott 1948). What the ridge leaves over, centring takes out."""
_NEWTON_STEPS = 25
NEGLIGIBLE = 0.1
"""Of a trait a person is heard whose turns together weigh at least this share of a fresh one."""


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
    """(U, T) rows a unit counts for, by their age and after the cap on one person's weight; 0 where
    the unit is silent of a trait. (U, 1) where nothing is masked: all traits are then alike."""
    slopes: NDArray[np.float64]
    """(2, T) how satisfaction moves with each trait on the first and on the other side, log-odds
    per standard deviation: the pooled slope plus the side's mean adjusted score (one step)."""

    def take(self, units: NDArray[np.int64], traits: NDArray[np.int64]) -> PersonScores:
        """The scores of some units in some traits."""
        alike = self.weight.shape[1] == 1
        return PersonScores(
            adjusted=self.adjusted[np.ix_(units, traits)],
            plain=self.plain[np.ix_(units, traits)],
            first=self.first[units],
            weight=self.weight[units] if alike else self.weight[np.ix_(units, traits)],
            slopes=self.slopes[:, traits],
        )


def shrinkage(rows: float) -> float:
    """The ridge on the information matrix, relative to its mean diagonal.

    Args:
        rows: Judged answers and pairs in the contrast, aged ones by their weight.

    Returns:
        0.3 up to 2,000 rows, then falling as 600 / rows to 0.02: with little data traits cannot
        be told apart and shrinking keeps power; with much data it would blame a trait for
        its correlate.
    """
    return float(np.clip(600.0 / max(rows, 1.0), 0.02, 0.3))


def weight_cap(rows_of_unit: NDArray[np.int64] | NDArray[np.float64]) -> float:
    """How many rows one person may count for: ten, or four times the median person."""
    return float(max(10.0, 4.0 * float(np.median(rows_of_unit))))


def person_scores(
    values: NDArray[np.float64],
    sat: NDArray[np.bool_],
    paired: NDArray[np.bool_],
    person: NDArray[np.int64],
    first: NDArray[np.bool_],
    *,
    weight: NDArray[np.float64] | None = None,
    stratum: NDArray[np.int64] | None = None,
    masked: NDArray[np.bool_] | None = None,
) -> PersonScores:
    """Score every row under the null hypothesis and sum the scores by person and side.

    Args:
        values: (n, T) standardised measurements or differences.
        sat: (n,) judgments; True for every pair.
        paired: (n,) which rows are pairs.
        person: (n,) person of each row. A person found on both sides counts once on each.
        first: (n,) whether the row is on the first-named side.
        weight: (n,) in (0, 1], by age; None: all rows are fresh.
        stratum: (n,) what each row was served; None: nothing, as 0.
        masked: (n, T) of which traits a row is silent; None: of none.

    Returns:
        The units' scores, ordered by side and content: neither the order of the log nor who is
        called what matters.
    """
    n, traits = values.shape
    aged = np.ones(n) if weight is None else weight
    served = np.zeros(n, dtype=np.int64) if stratum is None else stratum
    silent = np.zeros((n, traits), dtype=bool) if masked is None else masked
    keys, unit = _numbered(~first, person)
    turns = np.bincount(unit, weights=aged, minlength=len(keys))
    capped = np.minimum(turns, weight_cap(turns))
    row_weight = aged * (capped / turns)[unit]

    cells = _cells(first, served, silent)
    centred = _centre(values, paired, cells.of_row, row_weight)
    design, penalty = _design(values, centred, paired, first, silent, cells)
    slope, expected = _pooled_fit(design, penalty, sat, paired, row_weight, traits)
    information_weight = expected * (1.0 - expected) * row_weight
    information = (centred * information_weight[:, None]).T @ centred / capped.sum()
    ridge = shrinkage(aged.sum()) * float(np.mean(np.diag(information)))
    precision = np.linalg.pinv(information + ridge * np.eye(traits), hermitian=True)

    # A unit's rows under one mask are adjusted together, and then heard on all but that mask.
    parts, part = _numbered(unit, cells.mask)
    of_unit, speaks = parts[:, 0], ~cells.masks[parts[:, 1]]
    scores = sum_by(part, ((sat - expected) * row_weight)[:, None] * centred, len(parts))
    aged_turns = sum_by(part, aged[:, None], len(parts))
    heard = sum_by(of_unit, aged_turns * speaks, len(keys))
    counts = heard >= NEGLIGIBLE
    weights = np.where(counts, heard * capped[:, None] / turns[:, None], 0.0)
    plain = np.where(counts, sum_by(of_unit, scores * speaks, len(keys)), 0.0)
    adjusted = np.where(counts, sum_by(of_unit, (scores @ precision) * speaks, len(keys)), 0.0)

    on_first = ~keys[:, 0].astype(bool)
    sides = [
        slope + over(adjusted[side].sum(axis=0), weights[side].sum(axis=0))
        for side in (on_first, ~on_first)
    ]
    # Units are put in the order of what they hold, not of the keyed hashes behind them: the same
    # log then meets the same permutations, and gives the same rubric, in every workspace.
    order = np.lexsort([*weights.T, *np.round(adjusted, 9).T, ~on_first])
    return PersonScores(
        adjusted=adjusted[order],
        plain=over(plain, weights)[order],
        first=on_first[order],
        weight=weights[order],
        slopes=np.stack(sides),
    )


class _Cells(NamedTuple):
    """Which rows share an intercept and a centre.

    Attributes:
        of_row: (n,) number of the row's cell.
        own: (n,) number of the row's cell among those that depart from their side, from 0; -1 in
            the side's own cell, which was served nothing and speaks of every trait.
        mask: (n,) number of the row's mask.
        masks: (M, T) the masks; (1, 1) where no row is masked.
    """

    of_row: NDArray[np.int64]
    own: NDArray[np.int64]
    mask: NDArray[np.int64]
    masks: NDArray[np.bool_]


def _cells(
    first: NDArray[np.bool_], stratum: NDArray[np.int64], masked: NDArray[np.bool_]
) -> _Cells:
    if masked.any():
        masks, mask = np.unique(masked, axis=0, return_inverse=True)
    else:
        masks, mask = np.zeros((1, 1), dtype=bool), np.zeros(len(first), dtype=np.int64)
    cells, of_row = _numbered(~first, stratum, mask.reshape(-1))
    departs = (cells[:, 1] != 0) | masks[cells[:, 2]].any(axis=1)
    own = np.where(departs, np.cumsum(departs) - 1, -1)
    return _Cells(of_row, own[of_row], mask.reshape(-1), masks)


def _numbered(*columns: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct rows of some columns, sorted, and which of them each row is."""
    keys, number = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    return keys.astype(np.int64), number.reshape(-1)


def over(sums: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted means from weighted sums; 0 where nothing weighs anything."""
    mean = np.zeros_like(sums)
    np.divide(sums, weights, out=mean, where=weights > 0)
    return mean


def sum_by(unit: NDArray[np.int64], values: NDArray[np.float64], units: int) -> NDArray[np.float64]:
    """Sum rows by unit: (n, T) into (units, T)."""
    # bincount per column is ten times faster than np.add.at and stays in C.
    columns = [np.bincount(unit, weights=column, minlength=units) for column in values.T]
    summed: NDArray[np.float64] = np.stack(columns, axis=1).astype(np.float64)
    return summed


def _centre(
    values: NDArray[np.float64],
    paired: NDArray[np.bool_],
    cell: NDArray[np.int64],
    row_weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Centre judged answers on their cell's mean; a pair's difference has a meaningful zero."""
    centred = values.copy()
    for number in range(cell.max() + 1):
        rows = (cell == number) & ~paired
        if rows.any():
            centred[rows] -= np.average(values[rows], axis=0, weights=row_weight[rows])
    return centred


def _design(
    values: NDArray[np.float64],
    centred: NDArray[np.float64],
    paired: NDArray[np.bool_],
    first: NDArray[np.bool_],
    masked: NDArray[np.bool_],
    cells: _Cells,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the judgments are fitted on, and the ridge on each column.

    Columns: the traits; an intercept for each side; how each served cell departs from it; and how
    a side's slope of a trait departs where its rows are silent of it.
    """
    inside = values.copy(order="K")
    inside[cells.own >= 0] = centred[cells.own >= 0]
    sides = np.stack([first & ~paired, ~first & ~paired], axis=1)
    departing = (cells.own[:, None] == np.arange(cells.own.max() + 1)) & ~paired[:, None]
    silent = [
        (centred * (masked & side[:, None]))[:, masked[side].any(axis=0)]
        for side in (first, ~first)
    ]
    design: NDArray[np.float64] = np.concatenate(
        [inside, sides.astype(np.float64), departing.astype(np.float64), *silent], axis=1
    )
    widths = [values.shape[1], 2, departing.shape[1], sum(s.shape[1] for s in silent)]
    ridges = [_SLOPE_PENALTY, _INTERCEPT_PENALTY, _CELL_PENALTY, _SLOPE_PENALTY]
    return design, np.repeat(ridges, widths)


def _pooled_fit(
    design: NDArray[np.float64],
    penalty: NDArray[np.float64],
    sat: NDArray[np.bool_],
    paired: NDArray[np.bool_],
    row_weight: NDArray[np.float64],
    traits: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One slope of each trait for both sides (Newton): slopes, and P(SAT) of every row."""
    theta = np.zeros(design.shape[1])
    expected = np.full(len(design), 0.5)
    if paired.all():
        # Pairs alone are weighed as choices, without a fit (decision 3); beside judged answers
        # they need the same null, else a shared taste would look like a difference between
        # sides that hold different shares of pairs.
        return theta[:traits], expected
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
    return theta[:traits], expected
