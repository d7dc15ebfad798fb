"""Rejection sampling of pairs: keep those of which a reward model is surest (RS-SFT, RS-DPO).

Of each group's pairs the share with the largest margin r(chosen) - r(rejected) is kept, 60% as in
"In-Context Personalized Alignment" (whose reward model reads the user's history; ours is fitted to
the group). Pairs whose labels stand the wrong way round have small or negative margins and go.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpa_agent.alignment.gating.verdict import Estimate, person_estimate
from gpa_agent.alignment.pair import Pair
from gpa_agent.alignment.tuning.reward import cross_fitted_margins, embedding_differences
from gpa_agent.embedding import TextEncoder
from gpa_agent.errors import DataError, UsageError

_ERROR = 0.05


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What rejection sampling left."""

    kept: tuple[Pair, ...]
    """In the order given."""
    margins: NDArray[np.float64]
    """(n,) of all pairs given, in log-odds; each by a head that saw nothing of its person."""
    accuracy: Mapping[str, Estimate]
    """By group: the share of pairs whose chosen answer those heads prefer, mean over people with a
    95% interval. About one half means that they know nothing and that the choice is chance; a
    share f of wrong labels lets the best head reach 1 - f."""
    encoder: str
    """What embedded the answers, and where it is from."""


def keep_by_margin(
    pairs: Sequence[Pair], encoder: TextEncoder, *, share: float = 0.6, seed: int = 0
) -> Kept:
    """Keep each group's pairs with the largest margin.

    Args:
        pairs: Pairs of any groups; each group has a reward model of its own.
        encoder: Embeds the answers.
        share: Of each group's pairs, in (0, 1], rounded down; at least one is kept.
        seed: Of the folds.

    Returns:
        What is kept, with all margins and the reward models' held-out accuracy.

    Raises:
        UsageError: ``share`` is out of range.
        DataError: A group's pairs are all of one person.
    """
    if not 0 < share <= 1:
        raise UsageError(f"the share of pairs to keep is above 0 and up to 1, not {share!r}")
    margins = np.empty(len(pairs))
    kept = np.zeros(len(pairs), dtype=np.bool_)
    accuracy: dict[str, Estimate] = {}
    for group in dict.fromkeys(pair.group for pair in pairs):
        mine = np.array([place for place, pair in enumerate(pairs) if pair.group == group])
        rows = [pair for pair in pairs if pair.group == group]
        people = [pair.owner for pair in rows]
        if len(set(people)) < 2:
            raise DataError(
                f"all pairs of group {group!r} are one person's: a reward model learns from some "
                "to judge others; use a method without rejection sampling, or add people"
            )
        margins[mine] = _margins(rows, people, encoder, seed)
        accuracy[group] = _accuracy(margins[mine], people, seed)
        widest = np.argsort(-margins[mine], kind="stable")
        kept[mine[widest[: max(1, math.floor(share * len(mine)))]]] = True
    return Kept(
        kept=tuple(pair for pair, keep in zip(pairs, kept, strict=True) if keep),
        margins=margins,
        accuracy=accuracy,
        encoder=f"{encoder.name}, {encoder.origin}",
    )


def _margins(
    pairs: Sequence[Pair], people: Sequence[str], encoder: TextEncoder, seed: int
) -> NDArray[np.float64]:
    differences = embedding_differences(
        encoder,
        [pair.chosen[0].content for pair in pairs],
        [pair.rejected[0].content for pair in pairs],
    )
    return cross_fitted_margins(differences, people, seed=seed)


def _accuracy(margins: NDArray[np.float64], people: Sequence[str], seed: int) -> Estimate:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(people))}
    person = np.array([numbers[name] for name in people], dtype=np.int64)
    right = np.where(margins > 0, 1.0, np.where(margins == 0, 0.5, 0.0))
    return person_estimate(right, person, error=_ERROR, seed=seed)
