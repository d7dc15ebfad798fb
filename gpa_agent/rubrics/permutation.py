"""The distribution of a contrast when people are dealt to the two sides at random.

If the sides want the same, which side a person stands on carries no information about their
scores, so dealing people anew gives the distribution of the difference by chance alone: no
normality, no independence between a person's turns is assumed (Fisher 1935; Good 2005). All
permutations of a block are one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_BLOCK_ELEMENTS = 1_000_000
"""Entries of one block of dealt sides: 8 MB, whatever the number of people."""
_TIE = 1e-9
"""Relative slack under which a permuted statistic counts as equal (rounding must not give p)."""

_NO_ERROR = 1e-6
"""Standard error below which a difference counts as sure."""


class Differences(NamedTuple):
    """A contrast and its distribution under permutation.

    Attributes:
        effect: (T,) mean of the first side minus mean of the second.
        observed: (T,) the same in standard errors.
        permuted: (B, T) in standard errors, with people dealt at random.
    """

    effect: NDArray[np.float64]
    observed: NDArray[np.float64]
    permuted: NDArray[np.float64]


def permute_people(
    scores: NDArray[np.float64],
    weight: NDArray[np.float64],
    first: NDArray[np.bool_],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> Differences:
    """Difference of the sides' mean scores, observed and under permutation of people.

    Each difference is taken over its own standard error. Where the people of one side have more
    rows than those of the other, a mean is firmer on one side, and dealing people anew does not
    reproduce that: plain differences then reject far too often (two tests in five at a nominal
    5% with 15 people of one row against 100 of ten). Studentised, the test is exact where the
    sides are alike and keeps its level where only the question asked is the same (Janssen 1997;
    Chung and Romano 2013, https://doi.org/10.1214/13-AOS1090).

    Args:
        scores: (U, T) summed scores of each unit.
        weight: (U,) or (U, T) rows each unit counts for, above 0; a side's mean is summed scores
            over summed weight.
        first: (U,) whether the unit is on the first side; both sides must occur.
        permutations: How often people are dealt anew.
        rng: Source of randomness.
    """
    units = len(scores)
    rows = weight.reshape(units, -1)
    # From these sums over a side follow its mean and that mean's variance.
    parts_of = (scores, rows, scores**2, scores * rows, rows**2)
    table, ends = np.concatenate(parts_of, axis=1), np.cumsum([p.shape[1] for p in parts_of])
    total = table.sum(axis=0)

    def differences(side: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        ours, people = side @ table, side.sum(axis=1)
        one = _side(np.split(ours, ends[:-1], axis=1), people)
        other = _side(np.split(total - ours, ends[:-1], axis=1), units - people)
        gap = one.mean - other.mean
        # Where nobody differs from the others on their side the error is 0; a difference is then
        # as large as it can be, and no difference none.
        return gap, gap / np.sqrt(one.variance + other.variance + _NO_ERROR**2)

    gap, observed = differences(first[None, :].astype(np.float64))
    block = max(1, _BLOCK_ELEMENTS // units)
    parts: list[NDArray[np.float64]] = []
    for start in range(0, permutations, block):
        size = min(block, permutations - start)
        dealt = rng.permuted(np.broadcast_to(first, (size, units)), axis=1)
        parts.append(differences(dealt.astype(np.float64))[1])
    return Differences(effect=gap[0], observed=observed[0], permuted=np.concatenate(parts))


class _Side(NamedTuple):
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


def _side(sums: Sequence[NDArray[np.float64]], people: NDArray[np.float64]) -> _Side:
    """A side's mean, a ratio of sums over people, and its variance (Cochran 1977, section 6.4).

    Args:
        sums: Sums over the side, each (B, T) or (B, 1): scores, rows, squared scores, products of
            both, squared rows.
        people: (B,) people on the side.
    """
    scores, rows, squares, products, squared_rows = sums
    mean = scores / rows
    spread = np.maximum(squares - 2 * mean * products + mean**2 * squared_rows, 0.0)
    small = people / np.maximum(people - 1.0, 1.0)
    return _Side(mean, small[:, None] * spread / rows**2)


def p_values(differences: Differences) -> NDArray[np.float64]:
    """Two-sided p-value of each trait: ``(1 + #{|permuted| >= |observed|}) / (B + 1)``.

    Never 0 (Phipson and Smyth 2010); 1 where the observed difference is 0.
    """
    observed = np.abs(differences.observed)
    slack = _TIE * np.maximum(observed, 1e-300)
    exceed = (np.abs(differences.permuted) >= observed - slack).sum(axis=0)
    p: NDArray[np.float64] = (1.0 + exceed) / (len(differences.permuted) + 1.0)
    return p


def family_p_values(
    differences: Differences, families: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """P-value of each family of traits, by the quadratic form of its differences.

    Args:
        differences: Observed and permuted differences of all traits.
        families: Column indices of each family's traits; none empty.

    Returns:
        (F,) ``d' V^-1 d`` of the observed difference against the permuted ones, with V the
        covariance of the family's differences under permutation (pseudo-inverse where singular).
    """
    result = np.empty(len(families))
    for f, members in enumerate(families):
        columns = list(members)
        permuted = differences.permuted[:, columns]
        inverse = np.linalg.pinv(np.atleast_2d(np.cov(permuted, rowvar=False)), hermitian=True)
        observed = differences.observed[columns]
        form = float(observed @ inverse @ observed)
        null = np.einsum("bi,ij,bj->b", permuted, inverse, permuted, optimize=True)
        exceed = (null >= form * (1 - _TIE)).sum() if form > 0 else len(null)
        result[f] = (1.0 + exceed) / (len(null) + 1.0)
    return result


def bootstrap_people(
    scores: NDArray[np.float64],
    weight: NDArray[np.float64],
    first: NDArray[np.bool_],
    *,
    resamples: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Differences of the sides' means when each side's people are drawn with replacement.

    Args:
        scores: (U, T) summed scores of each unit.
        weight: (U,) or (U, T) rows each unit counts for, above 0.
        first: (U,) side of each unit; both sides must occur.
        resamples: Number of draws.
        rng: Source of randomness.

    Returns:
        (resamples, T) differences.
    """
    means: list[NDArray[np.float64]] = []
    for side in (first, ~first):
        people, columns = int(side.sum()), scores.shape[1]
        table = np.concatenate([scores[side], weight[side].reshape(people, -1)], axis=1)
        block = max(1, _BLOCK_ELEMENTS // people)
        sums = [
            rng.multinomial(people, np.full(people, 1.0 / people), size=min(block, resamples - s))
            @ table
            for s in range(0, resamples, block)
        ]
        drawn = np.concatenate(sums)
        means.append(drawn[:, :columns] / drawn[:, columns:])
    gap: NDArray[np.float64] = means[0] - means[1]
    return gap
