"""Whose turns are taken: each thing once, and of nobody more than a few.

A fixed, small number of poisoned rows is enough to teach a model a trigger, however many clean
rows there are (Souly et al. 2025, arXiv 2510.07192), so no person has more than a few rows in a
group's pairs, and what many people send in the same words counts once.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from collections import defaultdict
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Claim(NamedTuple):
    """What speaks for taking something.

    Attributes:
        group: Whose pairs it would be among.
        owner: The person it comes from, or the conversation where nobody is named.
        texts: What makes it the same as another.
        rank: Smaller is taken first.
        subject: What it is called in the ledger; settles ties, by its hash.
    """

    group: str
    owner: str
    texts: tuple[str, ...]
    rank: float
    subject: str


class Picker(Generic[T]):
    """Takes things one by one and keeps, of each owner in each group, the few that rank first.

    Args:
        per_person: How many are kept of one owner in one group.

    Example:
        >>> picker = Picker[str](per_person=1)
        >>> [picker.add(name, Claim("g", "p", (name,), rank, name)) for name, rank in
        ...  (("a", 1), ("a", 0), ("b", 0))]
        [None, 'duplicate', 'over_cap']
        >>> list(picker)
        ['b']
    """

    def __init__(self, *, per_person: int) -> None:
        self._most = per_person
        self._seen: set[bytes] = set()
        self._kept: defaultdict[tuple[str, str], list[tuple[float, bytes, T]]] = defaultdict(list)

    def add(self, item: T, claim: Claim) -> str | None:
        """Offer something.

        Args:
            item: It.
            claim: What speaks for it.

        Returns:
            Why something was left out now, this or an earlier one: ``duplicate``, ``over_cap``;
            None where nothing was.
        """
        digest = _digest(claim.group, *(" ".join(t.split()).casefold() for t in claim.texts))
        if digest in self._seen:
            return "duplicate"
        self._seen.add(digest)
        kept = self._kept[claim.group, claim.owner]
        insort(kept, (claim.rank, _digest(claim.subject), item), key=lambda entry: entry[:2])
        if len(kept) <= self._most:
            return None
        kept.pop()
        return "over_cap"

    def __iter__(self) -> Iterator[T]:
        return (item for kept in self._kept.values() for _, _, item in kept)


def _digest(*texts: str) -> bytes:
    return hashlib.sha256("\x1f".join(texts).encode("utf-8", "surrogatepass")).digest()
