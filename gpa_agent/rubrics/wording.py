"""From figures to what people read: the Likert rating, the sentence, the guidance.

All text is put together from the catalogue's fixed phrases and the group names of the
workspace; nothing from a log enters it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpa_agent.rubrics.records import EVERYBODY_ELSE, Contrast

RATING_MARKS = (0.05, 0.10, 0.25, 0.50)
"""Size of the divergence at which ratings 2, 3, 4 and 5 begin, in log-odds of SAT per standard
deviation: odds that differ by 5%, 11%, 28% and 65%. Table 13's scale: 1 no observed difference,
2 minor, 3 moderate, 4 remarkable, 5 stark."""

_OWN_WISH = 0.25
"""A group is given no guidance against its own wish: where its slope points the other way by at
least this share of the divergence (it wants the same, only less strongly)."""


class Wordable(Protocol):
    """What a trait (or a model-found aspect) needs so that it can be written down."""

    @property
    def name(self) -> str:
        """Short and stable, as in ``Aspect.name``."""
        ...

    @property
    def family(self) -> str:
        """The family it is tested in."""
        ...

    @property
    def phrase(self) -> str:
        """A noun phrase that follows "answers with more ..."."""
        ...

    @property
    def more(self) -> str:
        """Guidance for a group that wants more of it."""
        ...

    @property
    def less(self) -> str:
        """Guidance for a group that wants less of it."""
        ...

    @property
    def protected(self) -> bool:
        """Whether it touches safety or honesty: measured, never served."""
        ...


def rating_of(effect: float, *, has_data: bool = True) -> int:
    """Likert divergence of an effect.

    Args:
        effect: Signed divergence, log-odds per standard deviation.
        has_data: Whether both groups have data; without, the rating is 1 (Table 13).

    Returns:
        1 to 5, by ``RATING_MARKS``; a mark belongs to the higher rating.
    """
    return 1 + sum(abs(effect) >= mark for mark in RATING_MARKS) if has_data else 1


def guidance_for(
    trait: Wordable, contrast: Contrast, effect: float, slopes: NDArray[np.float64]
) -> dict[str, str]:
    """What to do for each named group.

    Args:
        trait: The trait that diverges.
        contrast: The groups; nothing is written for "everybody else".
        effect: Signed divergence of the first-named group against the other.
        slopes: (2,) each side's own slope.

    Returns:
        Guidance by group; a group whose own slope clearly points the other way is left out.
    """
    margin = _OWN_WISH * abs(effect)
    text: dict[str, str] = {}
    for name, slope, way in zip(contrast, slopes, (1.0, -1.0), strict=True):
        wants_more = effect * way > 0
        if name != EVERYBODY_ELSE and (slope if wants_more else -slope) > -margin:
            text[name] = trait.more if wants_more else trait.less
    # A protected trait has no words to serve.
    return {name: words for name, words in text.items() if words}


def interpretation_of(
    trait: Wordable, contrast: Contrast, effect: float, slopes: NDArray[np.float64]
) -> str:
    """The finding in a sentence a product manager understands.

    Args:
        trait: The trait that diverges.
        contrast: The groups compared.
        effect: Signed divergence of the first-named group against the other.
        slopes: (2,) each side's own slope.
    """
    margin = _OWN_WISH * abs(effect)
    first, other = (_who(name) for name in contrast)
    moves = [0 if abs(s) < margin else int(np.sign(s)) for s in slopes]
    verbs = {1: "please", -1: "displease", 0: "make little difference to"}
    if moves[0] == moves[1]:
        stronger, weaker = (first, other) if abs(slopes[0]) > abs(slopes[1]) else (other, first)
        said = f"{verbs[moves[0]]} {stronger} more than {weaker}"
    else:
        said = f"{verbs[moves[0]]} {first} and {verbs[moves[1]]} {other}"
    return (
        f"Answers with more {trait.phrase} {said}; a step of one standard deviation changes "
        f"the odds of a pleased reaction {np.exp(abs(effect)):.2f} times as much."
    )


def _who(name: str) -> str:
    return "everybody else" if name == EVERYBODY_ELSE else f"{name} users"
