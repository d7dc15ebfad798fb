"""Logistic regression over sentence embeddings, and what makes its confidence honest.

scikit-learn fits, out-of-fold logits give the temperature, and a second logistic regression over
three readings (``distilled.scope_readings``) tells texts in scope and rightly labelled from the
rest. Everything is a function from arrays to arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.understanding.distilled import Floats, Scope, log_softmax

_MAX_ITERATIONS = 500
_TEMPERATURES = np.geomspace(0.2, 20.0, 81)


class Fit(NamedTuple):
    """A linear softmax.

    Attributes:
        weights: (F, K).
        bias: (K,).
    """

    weights: Floats
    bias: Floats


def fit_softmax(
    rows: Floats,
    target: NDArray[np.int64],
    *,
    classes: int,
    strength: float,
    weight: NDArray[np.floating] | None = None,
) -> Fit:
    """Multinomial logistic regression with an L2 penalty.

    Args:
        rows: (n, F).
        target: (n,) column of each row; a column without rows gets logits nobody reaches.
        classes: Number of columns (K).
        strength: Inverse of the penalty (scikit-learn's C).
        weight: (n,) weight of each row; all ones where None.

    Returns:
        Weights and bias; zeros where only one column has rows.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 -- 1 s, training only

    present = np.unique(target)
    weights = np.zeros((rows.shape[1], classes), np.float32)
    bias = np.full(classes, -1e4, np.float32)
    bias[present] = 0.0
    if len(present) > 1:
        model = LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS, tol=1e-5)
        model.fit(rows, target, sample_weight=weight)
        coefficients, intercept = np.asarray(model.coef_), np.asarray(model.intercept_)
        if len(present) == 2:  # one logit: half to either side makes it the same softmax
            coefficients = np.vstack([-coefficients, coefficients]) / 2.0
            intercept = np.concatenate([-intercept, intercept]) / 2.0
        weights[:, present] = coefficients.T
        bias[present] = intercept
    return Fit(weights, bias)


def fit_temperature(
    logits: NDArray[np.floating],
    target: NDArray[np.int64],
    weight: NDArray[np.floating] | None = None,
) -> float:
    """The temperature with the least log loss on held-out rows; 1.0 without rows or choice."""
    if not len(logits) or logits.shape[1] < 2:
        return 1.0
    rows = np.arange(len(target))
    losses = [
        -np.average(log_softmax(logits / t)[rows, target], weights=weight) for t in _TEMPERATURES
    ]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def fit_scope(
    readings: NDArray[np.float64],
    right: NDArray[np.bool_],
    weight: NDArray[np.floating],
) -> Scope:
    """Logistic regression from readings to "in scope and right", no coefficient below zero.

    A reading that would count backwards (nearer, so less likely right) is dropped and the rest
    fitted again: it can only have come from chance or from the other readings saying the same.

    Args:
        readings: (n, 3) from ``distilled.scope_readings``.
        right: (n,) both values must occur.
        weight: (n,) weight of each row.

    Returns:
        The coefficients.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 -- 1 s, training only

    centre, spread = readings.mean(axis=0), readings.std(axis=0)
    kept = spread > 1e-6
    scaled = (readings - centre) / np.where(kept, spread, 1.0)
    while True:
        slopes, constant = np.zeros(3), 0.0
        if kept.any():
            model = LogisticRegression(C=10.0, max_iter=_MAX_ITERATIONS)
            model.fit(scaled[:, kept], right, sample_weight=weight)
            slopes[kept] = np.ravel(model.coef_)
            constant = float(np.ravel(model.intercept_)[0])
        if (slopes >= 0).all():
            break
        kept &= slopes >= 0
    slopes = slopes / np.where(spread > 1e-6, spread, 1.0)
    return Scope(float(constant - slopes @ centre), *(float(slope) for slope in slopes))


def balanced_weight(target: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Weights under which every class that occurs weighs the same; they sum to n."""
    counts = np.bincount(target, minlength=classes)
    present = int((counts > 0).sum())
    return np.asarray(len(target) / (present * counts[target]), np.float64)
