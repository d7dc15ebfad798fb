"""One input that cannot be read must not keep all others from being learned from.

A stage works on many inputs at once. Where that fails, unless it is an error of ours (which says
what to do about it), either half is worked on by itself, and so on, until what is left out is
what it fails on. That lacks its result, so that the next run tries it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from gpa_agent.errors import GPAError

logger = logging.getLogger("gpa_agent.learning")

_T = TypeVar("_T")
_R = TypeVar("_R")


class Losses:
    """What a stage could not work on.

    Args:
        stage: Its name, for the log.
        lost: Takes the ids of conversations and pairs.
    """

    def __init__(self, stage: str, lost: set[str] | None) -> None:
        self._stage = stage
        self._lost = set[str]() if lost is None else lost
        self._reasons: list[str] = []

    def add(self, subject: str, error: Exception) -> None:
        """Leave one input out.

        Args:
            subject: Id of its conversation or pair.
            error: What happened; only its type is told, its text may quote users.
        """
        self._lost.add(subject)
        self._reasons.append(type(error).__name__)

    def tell(self) -> None:
        """Log how much was left out, if anything was."""
        if self._reasons:
            logger.warning(
                "learning leaves out what %r fails on (%d): %s",
                self._stage,
                len(self._reasons),
                ", ".join(sorted(set(self._reasons))),
            )


def surviving(
    work: Callable[[Sequence[_T]], Sequence[_R]],
    inputs: Sequence[_T],
    lose: Callable[[_T, Exception], None],
) -> list[tuple[_T, _R]]:
    """Work on inputs, and leave out those on which the work fails.

    Args:
        work: Inputs in, one result each out, in order.
        inputs: What to work on.
        lose: Called with each input that is left out, and why.

    Returns:
        (input, result) in order.

    Raises:
        GPAError: The work failed for a reason that a person can mend.
    """
    try:
        return list(zip(inputs, work(inputs), strict=True))
    except GPAError:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever it is, the others must be learned from
        if len(inputs) == 1:
            lose(inputs[0], error)
            return []
    middle = len(inputs) // 2
    return [*surviving(work, inputs[:middle], lose), *surviving(work, inputs[middle:], lose)]
