"""How long the chosen answers are beside the rejected ones, and pairs that balance it.

A model trained on pairs whose chosen answers are longer learns to be long before it learns
anything else (Park et al. 2024, arXiv 2403.19159). Where length is what the group wishes, that is
right, so nothing is balanced unless it is asked for; the imbalance is always reported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from gpa_agent.alignment.pair import Pair

UNSPACED: Final = "\u3040-\u30ff\u3400-\u9fff"
"""Characters of scripts without spaces between words; each counts as one."""

_WORDS: Final = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")


class Lengths(BaseModel):
    """Words of the answers of some pairs."""

    model_config = ConfigDict(frozen=True)

    chosen: float
    """Mean words of the chosen answers."""
    rejected: float
    """Mean words of the rejected ones."""
    chosen_longer: float
    """Share of pairs whose chosen answer is the longer one, ties counting half."""

    @property
    def imbalance(self) -> float:
        """Difference of the means over the mean of both, in [-2, 2]; positive: chosen is longer."""
        both = (self.chosen + self.rejected) / 2
        return (self.chosen - self.rejected) / both if both else 0.0


def lengths_of(pairs: Sequence[Pair]) -> Lengths | None:
    """Lengths of the answers of pairs; None where there is no pair.

    Args:
        pairs: Any pairs.
    """
    if not pairs:
        return None
    sides = [_words(pair) for pair in pairs]
    longer = sum((chosen > rejected) + (chosen == rejected) / 2 for chosen, rejected in sides)
    return Lengths(
        chosen=sum(chosen for chosen, _ in sides) / len(sides),
        rejected=sum(rejected for _, rejected in sides) / len(sides),
        chosen_longer=longer / len(sides),
    )


def balanced(pairs: Sequence[Pair], bound: float) -> list[Pair]:
    """Leave out the most unequal pairs of the longer side until the means are near each other.

    Args:
        pairs: Any pairs.
        bound: Largest size of `Lengths.imbalance` that may remain; above 0.

    Returns:
        The pairs that stay, in their order; possibly none.
    """
    kept = sorted(range(len(pairs)), key=lambda i: _difference(pairs[i]))
    words = [sum(_words(pair)) for pair in pairs]
    difference, total = sum(_difference(pair) for pair in pairs), sum(words)
    first, last = 0, len(kept)
    # Difference of the means over the mean of both: the number of pairs cancels out.
    while first < last and abs(2 * difference) > bound * total:
        if difference > 0:
            last -= 1
            left_out = kept[last]
        else:
            left_out = kept[first]
            first += 1
        difference -= _difference(pairs[left_out])
        total -= words[left_out]
    return [pairs[i] for i in sorted(kept[first:last])]


def _words(pair: Pair) -> tuple[int, int]:
    chosen, rejected = (_WORDS.findall(side[0].content) for side in (pair.chosen, pair.rejected))
    return len(chosen), len(rejected)


def _difference(pair: Pair) -> int:
    chosen, rejected = _words(pair)
    return chosen - rejected
