"""Intervals that may be looked at any time: shares of pleased turns, compared over people.

An interval made for one look does not hold for the best of many: whoever looks after every 25
turns and stops at the first that excludes 0 is wrong far more often than one time in twenty. An
asymptotic confidence sequence holds at all looks together. With ``I = 1 / se**2`` what is known
by now, the half-width is (the normal mixture boundary of Robbins)::

    sqrt((I + r) * log((I + r) / (r * alpha**2))) / I

``r`` decides at which ``I`` it is narrowest and must not depend on the data; it is set for a
standard error of 0.05 (`NARROWEST`), where the sequence is 1.55 times as wide as an interval for
one look. From 0.04 to 0.08, where some tens of people held out bring it within a thousand turns,
it is at most 1.59 times as wide, and no other ``r`` would make it narrower by more than 3%.

People are the unit: a person's turns are alike, and a share over them is less certain than over as
many strangers'. Its variance is ``p (1 - p) (N + rho * sum n (n - 1)) / N**2``, with ``n`` turns of
each person, ``N`` of all, and ``rho`` how alike two turns of one person are. Departures from the
textbook's cluster-robust variance, which from a holdout of 20 people says little: ``rho`` of
an arm is the larger of its own and the one from both arms together, ``p`` in the variance is
Laplace's, and the normal quantile is replaced by Student's t at the same level, with Kish's
effective number of people for its freedom.

Measured (`benchmarks/looking_early.py`; simulated, 4,000 turns, a look after every 25, 2,000 runs
each): with 100 people, 20 of them held out, and moods of 0.5 log-odds, 0 was ever excluded in
2.1% of the null runs, by an interval made for one look in 29%; with moods of 1.0 and more unequal
activity in 1.8% (25%); with 400 people, 20 held out and moods of 1.0 in 3.4% (25%). Where groups
of the held-out differ by 1.8 log-odds and the tailored are all pleased, the truth was missed in
4.7%. At the end the sequence was 1.59 to 1.71 times as wide as the interval for one look.

References: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and
asymptotic confidence sequences", arXiv 2103.06476 (eq. 4 and the choice of its parameter); Robbins
1970, Ann. Math. Stat. 41, 1397-1409; Kish 1965, Survey Sampling, chapter 8; Lee, Kim, Tsiatis 1996,
Biometrika 83, 855-864 (clusters that go on growing while one looks).
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

NARROWEST: Final = 0.05
"""Standard error at which the sequence is narrowest, compared with an interval for one look."""

_AT: Final = 0.05
"""Error rate that ``r`` is tuned for; at others the sequence holds as well."""

R: Final = NARROWEST**-2 / (-2 * math.log(_AT) + math.log(-2 * math.log(_AT)) + 1)
"""The mixture's parameter, in units of information."""


class Counts(NamedTuple):
    """What people said of their answers; leading axes hold one sample each.

    Attributes:
        pleased: (..., people) turns that pleased.
        judged: (..., people) turns that pleased or displeased.
    """

    pleased: Floats
    judged: Floats


class Estimate(NamedTuple):
    """A share, or a difference of shares; one for each sample.

    Attributes:
        value: (...) in [0, 1], a difference in [-1, 1]; nan where nobody was asked.
        error: (...) standard error over people.
        freedom: (...) degrees of freedom of the error; below 1 it says nothing.
    """

    value: Floats
    error: Floats
    freedom: Floats


class _Arm(NamedTuple):
    """Sums over people: (...) each."""

    turns: Floats
    squares: Floats
    share: Floats
    spread: Floats
    """``p (1 - p)``, never 0."""
    excess: Floats
    """By how much residuals vary more than those of strangers' turns would."""
    effective: Floats
    """Kish's effective number of people."""


def share(counts: Counts) -> Estimate:
    """Share of judged turns that pleased.

    Args:
        counts: People without judged turns change nothing.
    """
    arm = _arm(counts)
    return Estimate(arm.share, np.sqrt(_variance(arm, _alike(arm))), arm.effective - 1)


def difference(first: Counts, second: Counts) -> Estimate:
    """Difference of two shares over different people: positive where the first pleases more.

    Args:
        first: One arm.
        second: The other; none of its people is in the first.
    """
    a, b = _arm(first), _arm(second)
    together = _alike(a, b)
    variance = sum(_variance(arm, np.maximum(_alike(arm), together)) for arm in (a, b))
    return Estimate(a.share - b.share, np.sqrt(variance), a.effective + b.effective - 2)


def half_width(estimate: Estimate, *, alpha: ArrayLike = 0.05) -> Floats:
    """Half the width of the confidence sequence at what is known by now.

    Args:
        estimate: Estimates as they stand.
        alpha: Probability that the sequence ever misses the truth, in (0, 1); of each estimate, or
            one for all.

    Returns:
        (...) half-widths; infinite where too few people were asked.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        known = estimate.error**-2.0
        mixed = known + R
        deviations = np.sqrt(mixed * np.log(mixed / (R * np.square(alpha))) / known)
        heavier = -special.stdtrit(estimate.freedom, special.ndtr(-deviations))
        return np.where(estimate.freedom >= 1, heavier * estimate.error, np.inf)


def _arm(counts: Counts) -> _Arm:
    turns, squares = counts.judged.sum(-1), np.square(counts.judged).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = counts.pleased.sum(-1) / turns
        effective = np.where(turns > 0, turns**2 / squares, 0.0)
    laplace = (counts.pleased.sum(-1) + 1) / (turns + 2)
    spread = laplace * (1 - laplace)
    residuals = counts.pleased - np.nan_to_num(rate)[..., None] * counts.judged
    # The share was fitted to the residuals: with k people they vary (k - 1) / k as much.
    varied = np.square(residuals).sum(-1) * effective / np.maximum(effective - 1, 0.5)
    return _Arm(turns, squares, rate, spread, varied - spread * turns, effective)


def _alike(*arms: _Arm) -> Floats:
    """How alike two turns of one person are: the intra-class correlation, in [0, 1]."""
    pairs = sum((arm.spread * (arm.squares - arm.turns) for arm in arms), np.float64(0))
    excess = sum((arm.excess for arm in arms), np.float64(0))
    clipped: Floats = np.clip(excess / np.maximum(pairs, 1e-9), 0, 1)
    return clipped


def _variance(arm: _Arm, alike: Floats) -> Any:  # noqa: ANN401 -- numpy's where loses the type
    turns = np.maximum(arm.turns, 1)
    return arm.spread * (turns + alike * (arm.squares - arm.turns)) / turns**2
