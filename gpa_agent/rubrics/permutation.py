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

_BLOCK_ELEMENTS = 4_000_000
"""Entries of one block of dealt sides: 32 MB, whatever the number of people."""
_TIE = 1e-9
"""Relative slack under which a permuted statistic counts as equal (rounding must not give p)."""

_NO_ERROR = 1e-6
"""Standard error below which a difference counts as sure."""


class Differences(NamedTuple):
    """A contrast and its distribution under permutation.

    Attributes:
        observed: (T,) mean of the first side minus mean of the second.
        permuted: (B, T) the same with people dealt at random.
    """

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

    Args:
        scores: (U, T) summed scores of each unit.
        weight: (U,) rows each unit counts for; a side's mean is summed scores over summed weight.
        first: (U,) whether the unit is on the first side; both sides must occur.
        permutations: How often people are dealt anew.
        rng: Source of randomness.

    Returns:
        The observed difference and (permutations, T) permuted ones.
    """
    table = np.concatenate([scores, weight[:, None]], axis=1)
    total = table.sum(axis=0)

    def difference(side: NDArray[np.floating]) -> NDArray[np.float64]:
        ours = side @ table
        theirs = total - ours
        gap: NDArray[np.float64] = ours[:, :-1] / ours[:, -1:] - theirs[:, :-1] / theirs[:, -1:]
        return gap

    observed = difference(first[None, :].astype(np.float64))[0]
    block = max(1, _BLOCK_ELEMENTS // len(first))
    parts: list[NDArray[np.float64]] = []
    for start in range(0, permutations, block):
        size = min(block, permutations - start)
        dealt = rng.permuted(np.broadcast_to(first, (size, len(first))), axis=1)
        parts.append(difference(dealt.astype(np.float64)))
    return Differences(observed=observed, permuted=np.concatenate(parts))


def permute_people_studentised(
    scores: NDArray[np.float64],
    weight: NDArray[np.float64],
    first: NDArray[np.bool_],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> Differences:
    """As `permute_people`, each difference over its own standard error.

    Where the people of one side have more rows than those of the other, a mean is firmer on one
    side than on the other, and dealing people anew does not reproduce that: plain differences
    then reject too often (one test in four at a nominal 5% with 8 people of 2 rows against 100
    of 10). Studentised, the test holds its level there too (Janssen 1997; Chung and Romano 2013,
    https://doi.org/10.1214/13-AOS1090).

    Returns:
        (T,) and (permutations, T) differences in standard errors.
    """
    # Per unit: s, w, s^2, s w, w^2, from which both sides' ratio and its variance follow.
    columns = scores.shape[1]
    table = np.concatenate(
        [scores, weight[:, None], scores**2, scores * weight[:, None], weight[:, None] ** 2], axis=1
    )
    total = table.sum(axis=0)
    units = len(first)

    def mean_and_variance(
        sums: NDArray[np.float64], people: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        s, w = sums[:, :columns], sums[:, columns : columns + 1]
        squares = sums[:, columns + 1 : 2 * columns + 1]
        cross = sums[:, 2 * columns + 1 : 3 * columns + 1]
        weights = sums[:, 3 * columns + 1 :]
        mean = s / w
        spread = np.maximum(squares - 2 * mean * cross + mean**2 * weights, 0.0)
        small = people / np.maximum(people - 1.0, 1.0)
        return mean, small[:, None] * spread / w**2

    def differences(side: NDArray[np.floating]) -> NDArray[np.float64]:
        ours = side @ table
        people = side.sum(axis=1)
        our_mean, our_variance = mean_and_variance(ours, people)
        mean, variance = mean_and_variance(total - ours, units - people)
        # Where nobody differs from the others on their side the error is 0; a difference is then
        # as large as it can be, and no difference none.
        error = np.sqrt(our_variance + variance + _NO_ERROR**2)
        studentised: NDArray[np.float64] = (our_mean - mean) / error
        return studentised

    observed = differences(first[None, :].astype(np.float64))[0]
    block = max(1, _BLOCK_ELEMENTS // units)
    parts: list[NDArray[np.float64]] = []
    for start in range(0, permutations, block):
        size = min(block, permutations - start)
        dealt = rng.permuted(np.broadcast_to(first, (size, units)), axis=1)
        parts.append(differences(dealt.astype(np.float64)))
    return Differences(observed=observed, permuted=np.concatenate(parts))


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
        weight: (U,) rows each unit counts for.
        first: (U,) side of each unit; both sides must occur.
        resamples: Number of draws.
        rng: Source of randomness.

    Returns:
        (resamples, T) differences.
    """
    means: list[NDArray[np.float64]] = []
    for side in (first, ~first):
        table = np.concatenate([scores[side], weight[side, None]], axis=1)
        people = len(table)
        block = max(1, _BLOCK_ELEMENTS // people)
        sums = [
            rng.multinomial(people, np.full(people, 1.0 / people), size=min(block, resamples - s))
            @ table
            for s in range(0, resamples, block)
        ]
        drawn = np.concatenate(sums)
        means.append(drawn[:, :-1] / drawn[:, -1:])
    gap: NDArray[np.float64] = means[0] - means[1]
    return gap
