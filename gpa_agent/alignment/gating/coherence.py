"""Whether text still is text: signals that need no judge.

Preference tuning can collapse: its own figures (accuracy 1.0, a growing margin) look perfect while
the model writes word salad with the favoured marks in it. Three signs show it without knowing the
language or the domain:

- the answer repeats itself, the same piece many times in a row (`loops`);
- the base finds a stretch of it far less likely than anything in its own answers and in the
  answers people chose (`Floor`);
- it does not end within the limit, where the base's answers do.

The first two are told of each answer, the third of all of them together. Where a program can check
answers (`gpa_agent.alignment.gating.judging.CoherenceCheck`), its verdict counts too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_TIMES: Final = 4
"""How often a piece must stand in a row, the first time included, to be a loop."""
_LONGEST: Final = 100
"""Characters that a repeated piece may have."""
_SHORTEST: Final = 40
"""Characters that all the repetitions together must have: "no, no, no, no" is none."""

_UNUSUAL: Final = 0.05
"""Quantile of acceptable text at which the floor is drawn."""
_SLACK: Final = 1.5
"""How much less likely than that, in log-probability, a stretch may be."""


def loops(text: str) -> bool:
    r"""Whether a text falls into repeating itself.

    A piece of at most 100 characters, letters among them, stands four times in a row, over 40
    characters or more. Rules, tables and indentation have no letters that repeat so.

    Args:
        text: An answer.

    Example:
        >>> loops("Open the file. " + "and the and " * 8)
        True
        >>> loops("1. Open the file.\n2. Read the file.\n3. Close the file.")
        False
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    for period in range(1, min(_LONGEST, len(codes) // _TIMES) + 1):
        needed = max((_TIMES - 1) * period, _SHORTEST - period)
        for start in _long_runs(codes[period:] == codes[:-period], needed):
            if any(letter.isalpha() for letter in text[start : start + period]):
                return True
    return False


def _long_runs(equal: Flags, needed: int) -> list[int]:
    """Where runs of at least ``needed`` begin."""
    breaks = np.flatnonzero(np.concatenate([[True], ~equal, [True]]))
    long = np.flatnonzero(np.diff(breaks) - 1 >= needed)
    return [int(start) for start in breaks[long]]


@dataclass(frozen=True, kw_only=True)
class Floor:
    """How unlikely, to the base, the least likely stretch of an acceptable answer is."""

    worst: float
    """Mean log-probability of the stretch, nats a token."""

    @classmethod
    def of(cls, *acceptable: Floats, vocabulary: int) -> Floor:
        """Draw the floor below what is acceptable.

        Args:
            acceptable: Sets of answers that are text beyond doubt, by their least likely stretch
                (``Likelihood.worst``): the base's own, and those that people chose. The set with
                the least likely ones decides; none is empty.
            vocabulary: Tokens there are. A stretch less likely than tokens picked blindly lies
                below the floor in any case.
        """
        lowest = min(float(np.quantile(stretch, _UNUSUAL)) for stretch in acceptable)
        return cls(worst=max(_SLACK * lowest, -math.log(vocabulary)))

    def above(self, worst: Floats) -> Flags:
        """(n,) whether each answer's least likely stretch is above it; not a number is not."""
        above: Flags = worst >= self.worst
        return above


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What is known of each of a model's answers; (n,) arrays."""

    ended: Flags
    """It ended by itself."""
    looping: Flags
    """It repeats itself."""
    likely: Flags
    """The base finds no stretch of it impossible."""
    checked: Flags | None = None
    """A program's verdict, where there is one."""

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        *,
        ended: Sequence[bool],
        worst: Floats,
        floor: Floor,
        checked: Flags | None,
    ) -> Signals:
        """Look at a model's answers.

        Args:
            texts: The answers.
            ended: Whether each ended by itself.
            worst: (n,) least likely stretch of each under the base.
            floor: What the base's and the chosen answers have.
            checked: A program's verdict on each, where there is one.
        """
        return cls(
            ended=np.array(ended, dtype=np.bool_),
            looping=np.array([loops(text) for text in texts], dtype=np.bool_),
            likely=floor.above(worst),
            checked=checked,
        )

    @property
    def coherent(self) -> Flags:
        """(n,) no sign speaks against it.

        Ending is told of all answers together: where the base is often cut off too, it says
        nothing of a single one.
        """
        sound = self.likely & ~self.looping
        return sound if self.checked is None else sound & self.checked
