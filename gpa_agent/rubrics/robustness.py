"""How many people acting together could have brought a finding about.

People who agree among themselves to be pleased by long answers, and displeased by short ones, make
it look as if their group liked length. No test of significance sees that: they are many
enough, or loud enough, to be significant. What can be said is how large a part of one side would
have to collude. Each person's contribution is cut to what four people in five stay within, and
nobody counts for more turns than the typical person; so each can move their side's mean by no
more than a known bound, and the near end of the effect, divided by that bound, is the share
of people that could carry it all (bounded influence: Huber 1964,
https://doi.org/10.1214/aoms/1177703732; Hampel et al. 1986, section 2.1).

The price is known too. No estimate resists a fifth of contaminated people at less than a third of
a standard deviation of people's contributions (Huber 1964: the median is best, and is moved by
0.32), so a weak but true difference cannot be told from a fifth of a group colluding. It is
therefore a figure beside the evidence, and what it is too small for goes to a person, not to
the bin (`docs/decisions/0012-quarantine.md`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WITHIN = 0.8
"""Share of people whose contribution is not cut, where more than the rest say anything."""
_NEAR_END = 1.96
"""Standard errors below the effect: the near end of its 95% interval."""


def withstands(
    scores: NDArray[np.float64], weight: NDArray[np.float64], first: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The share of one side's people that each finding would survive if they colluded.

    Args:
        scores: (U, T) summed scores of each unit (a person on a side).
        weight: (U,), (U, 1) or (U, T) rows each unit counts for; 0 where it is silent of a trait.
        first: (U,) side of each unit.

    Returns:
        (T,) in [0, 1], by the mean over people: 0 where even the honest error bars reach 0, 0.2
        where a fifth of the smaller-voiced side could just have made up the near end of the effect.
        0 where a side has fewer than two people.

    Example:
        >>> together = np.array([[1.0], [1.1], [0.9], [1.0], [-1.0], [-1.1], [-0.9], [-1.0]])
        >>> float(withstands(together, np.ones(8), np.arange(8) < 4)[0]) > 0.9
        True
        >>> alone = np.array([[9.0], [0.1], [-0.1], [0.0], [0.0], [0.1], [-0.1], [0.0]])
        >>> withstands(alone, np.ones(8), np.arange(8) < 4).tolist()
        [0.0]
    """
    weights = np.broadcast_to(weight.reshape(len(scores), -1), scores.shape)
    columns = zip(scores.T, weights.T, strict=True)
    return np.array([_withstands(s, w, first) for s, w in columns], dtype=np.float64)


def _withstands(
    score: NDArray[np.float64], weight: NDArray[np.float64], first: NDArray[np.bool_]
) -> float:
    heard = weight > 0
    score, weight, first = score[heard], weight[heard], first[heard]
    if min(first.sum(), (~first).sum()) < 2:
        return 0.0
    counted = np.minimum(weight, np.median(weight))
    said = score / weight * counted
    said = said - np.median(said)
    bound = float(np.quantile(np.abs(said), WITHIN))
    if bound == 0.0:
        # Most people say nothing of it, as of a model's claims: what the others say is not cut.
        bound = float(np.abs(said).max())
    cut = np.clip(said, -bound, bound)
    sides = [(cut[s], float(counted[s].mean())) for s in (first, ~first)]
    gap = abs(sides[0][0].mean() / sides[0][1] - sides[1][0].mean() / sides[1][1])
    error = np.sqrt(sum(c.var(ddof=1) / len(c) / w**2 for c, w in sides))
    reach = max(bound / w for _, w in sides)
    near = gap - _NEAR_END * float(error)
    return float(np.clip(near / reach, 0.0, 1.0)) if reach > 0 else 0.0
