"""Which inputs a model labels, and whose labels are kept for comparing: told by SHA-256.

A hash is a draw that anyone can repeat: it depends on no order, no seed and no other input, so
that the same log gives the same sample in every run, and a log that has grown hardly another one.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from typing import Final, NamedTuple

from gpa_agent.errors import UsageError

HELD_OUT: Final = 0.2
"""Share of people whose labels are compared on and never trained on."""


class Sample(NamedTuple):
    """Which inputs the model labels: those whose SHA-256 is not above a limit.

    Attributes:
        limit: The largest digest that is in, in hexadecimal; empty where nothing is.
    """

    limit: str

    def takes(self, input_id: str) -> bool:
        """Whether an input is labelled by the model."""
        return _digest(input_id) <= self.limit


def sample_by_hash(ids: Iterable[str], budget: int) -> Sample:
    """The rule that picks the ``budget`` inputs with the smallest SHA-256.

    The order of the ids does not matter, one pass holds ``budget`` digests in memory, a larger
    budget takes everything that a smaller one took, and when the log grows an input is only
    ever displaced by a new one: what was paid for is hardly lost.

    Args:
        ids: Input ids, each once.
        budget: How many the model may label; 0 or more.

    Raises:
        UsageError: The budget is negative.

    Example:
        >>> sample = sample_by_hash(["a", "b", "c"], 2)
        >>> sum(sample.takes(x) for x in ["a", "b", "c"])
        2
    """
    if budget < 0:
        raise UsageError(f"budget is {budget!r}; it is a number of inputs, 0 or more")
    smallest = heapq.nsmallest(budget, map(_digest, ids))
    return Sample(smallest[-1] if smallest else "")


def is_held_out(person: str, share: float = HELD_OUT) -> bool:
    """Whether a person's rows are only ever compared on, never trained on.

    Args:
        person: Who; where no one is named, their conversation.
        share: Share of people held out, in [0, 1]; raising it keeps everyone who was.
    """
    return int(_digest(f"distil\x00{person}")[:16], 16) < share * 2.0**64


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
