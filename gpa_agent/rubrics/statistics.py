"""The statistics evidence is made of: false discovery rate, effect sizes, intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p-values for the false discovery rate.

    Args:
        p_values: (m,) p-values of everything that was tested together, each in [0, 1].

    Returns:
        (m,) q-values in [0, 1], in the order given: the smallest rate at which the test is
        a discovery. Never below its p-value. Empty in, empty out.

    Reference: Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57, 289-300.
    """
    p = np.asarray(p_values, dtype=np.float64)
    m = len(p)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * m / np.arange(1, m + 1)
    monotone = np.minimum.accumulate(scaled[::-1])[::-1]
    q = np.empty(m)
    q[order] = np.minimum(monotone, 1.0)
    return q


def hedges_g(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardised mean difference with the small-sample correction, column by column.

    Args:
        first: (a, T) values of one side.
        second: (b, T) values of the other.

    Returns:
        (T,) ``J (mean_first - mean_second) / pooled sd`` with ``J = 1 - 3 / (4 (a + b) - 9)``; 0
        where the pooled deviation is 0 or a side has fewer than two rows.

    Reference: Hedges 1981, J. Educ. Stat. 6, 107-128.
    """
    a, b = len(first), len(second)
    if a < 2 or b < 2:
        return np.zeros(first.shape[1])
    pooled = ((a - 1) * first.var(axis=0, ddof=1) + (b - 1) * second.var(axis=0, ddof=1)) / (
        a + b - 2
    )
    difference = first.mean(axis=0) - second.mean(axis=0)
    correction = 1.0 - 3.0 / (4.0 * (a + b) - 9.0)
    g = np.zeros_like(difference)
    np.divide(difference, np.sqrt(pooled), out=g, where=pooled > 0)
    corrected: NDArray[np.float64] = correction * g
    return corrected


def percentile_interval(
    draws: NDArray[np.float64], *, coverage: float = 0.95
) -> NDArray[np.float64]:
    """Percentile bootstrap interval of each column.

    Args:
        draws: (B, T) bootstrap estimates.
        coverage: Nominal coverage in (0, 1).

    Returns:
        (T, 2) lower and upper ends.

    Reference: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    tail = 100 * (1 - coverage) / 2
    ends: NDArray[np.float64] = np.percentile(draws, [tail, 100 - tail], axis=0).T
    return ends
