"""What a trait is: a name, a measurement, and the words to speak about it.

A trait is measured on an answer alone (and the prompt it answers); whether anybody likes it is
none of its business. It satisfies `gpa_agent.rubrics.wording.Wordable`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpa_agent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpa_agent.rubrics.traits.answer import Answer

GUIDANCE_LIMIT = 140
"""Characters a piece of guidance may have."""

RATE_FLOOR = 50
"""Words that a rate is taken over at least: one "perhaps" in a three-word answer is one use, not
33 per 100 words."""

LOG_RATE = "log(1 + uses per 100 words)"
"""Unit of `rate`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trait:
    """One measurable trait of an answer.

    Raises:
        UsageError: A protected trait with guidance, or an unprotected one without.
    """

    name: str
    """Unique, snake_case; the name of the aspect."""
    family: str
    """The family it is tested with."""
    definition: str
    """What is measured, in one sentence."""
    unit: str
    """Unit of the measurement."""
    more: str = ""
    """Guidance for a group that wants more of it: imperative, for a system prompt."""
    less: str = ""
    """Guidance for a group that wants less of it."""
    phrase: str
    """Noun phrase that completes "answers with more ..."."""
    source: str | None = None
    """Where the trait or its measurement comes from, where it has a source."""
    protected: bool = False
    """Touches safety or honesty: measured and tested, never served, and without guidance."""
    measure: Callable[[Answer], float]
    """Pure and finite for every text."""

    def __post_init__(self) -> None:
        if self.protected == bool(self.more or self.less) or bool(self.more) != bool(self.less):
            raise UsageError(
                f"trait {self.name!r} needs guidance both ways, or none and protected=True"
            )


def log_count(count: float) -> float:
    """log(1 + count): the second list item says more than the twentieth."""
    return math.log1p(count)


def rate(count: int, answer: Answer) -> float:
    """log(1 + uses per 100 words), over at least `RATE_FLOOR` words."""
    return math.log1p(100.0 * count / max(len(answer.words), RATE_FLOOR)) if count else 0.0


def share(count: int, total: int, *, at_least: int) -> float:
    """The share of a total, taken over a total of at least ``at_least``; in [0, 1]."""
    return min(count, total) / max(total, at_least)
