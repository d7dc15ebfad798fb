"""Preferences that say the same, made one: less for a model to read, with every voice counted.

Greedy leader clustering (Hartigan 1975, *Clustering Algorithms*, chapter 3): preferences come in
the order of their words, each joins the nearest leader it is close to, or becomes one.

Embeddings alone cannot do this. With all-MiniLM-L6-v2, of 14 pairs of paraphrases written by hand
("expectation; reason") the cosines ran from 0.68 to 0.99, and mirrored wishes, the very ones that
must never be merged, from 0.91 ("a shorter answer", "a longer answer") to 0.998 ("British
spelling", "American spelling" with reasons to match): no threshold lies between. So two
preferences are only compared where their expectations have the same content words, and, where a
word sets one thing against another ("lists instead of tables"), in the same order. Among pairs with
such expectations, the same reason in other words had cosines of 0.73 to 0.98 (11 of 14 above
0.8), a different reason 0.35 to 0.78 (none of 14 above 0.8): hence the default. What is not
merged costs a few tokens; what is merged wrongly would turn a voice into its opposite.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.errors import UsageError
from gpa_agent.rubrics.fold import Voiced

_CHUNK: Final = 1024
"""Rows and leaders compared at a time: products of 4 MB."""

_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_ENDING: Final = re.compile(r"(?<=...)(?:es|er|s|e)$")


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_WITHOUT_CONTENT: Final = _words(
    "a an the this that of for in to be is are was were it its i me my they them their you your "
    "user users bot chatbot assistant answer answers reply replies response responses "
    "want wants wanted expect expects expected would like likes prefer prefers should please "
    "get gets give gives given provide provides provided include includes included have has "
    "some more"
)
_SETS_APART: Final = _words(
    "not no never without but than instead rather over less fewer before after then to from "
    "don't doesn't didn't isn't avoid"
)


class _Wish(NamedTuple):
    """What must be equal before two preferences are compared."""

    pleased: bool
    words: tuple[str, ...]


def merge_near_duplicates(
    voiced: Sequence[Voiced], vectors: NDArray[np.float32], *, threshold: float = 0.8
) -> list[Voiced]:
    """Merge preferences that voice the same wish for the same reason.

    The sides of a contrast are merged each on its own.

    Args:
        voiced: Preferences of one side, in any order; n of them.
        vectors: (n, d) unit rows, the embeddings of "expectation; reason".
        threshold: Cosine with the leader from which a preference joins, in (0, 1].

    Returns:
        One preference for each cluster: the member nearest to its mean, with the ids and the
        count of all. A permutation of the input changes nothing.

    Raises:
        UsageError: There is not one row for each preference, or the threshold is out of range.
    """
    if len(vectors) != len(voiced):
        raise UsageError(f"{len(voiced)} preferences need as many rows, not {len(vectors)}")
    if not 0 < threshold <= 1:
        raise UsageError(f"threshold is a cosine above 0, at most 1, not {threshold!r}")
    merged = list[Voiced]()
    for rows in _alike(voiced):
        leader = _leaders(vectors[rows], threshold)
        for own in np.unique(leader):
            members = [rows[i] for i in np.flatnonzero(leader == own)]
            merged.append(_one_of([voiced[i] for i in members], vectors[members]))
    return merged


def comparable(voiced: Sequence[Voiced]) -> list[int]:
    """Which preferences there is another to compare with: only their embeddings are looked at.

    Args:
        voiced: Preferences of one side.
    """
    return sorted(row for rows in _alike(voiced) if len(rows) > 1 for row in rows)


def _alike(voiced: Sequence[Voiced]) -> list[list[int]]:
    """Rows by wish, in an order that only their content decides."""
    alike = defaultdict[_Wish, list[int]](list)
    for row in sorted(range(len(voiced)), key=lambda row: _content(voiced[row])):
        alike[_wish(voiced[row])].append(row)
    return list(alike.values())


def _content(one: Voiced) -> tuple[str, str, str]:
    return one.expectation, one.reason, one.id


def _wish(one: Voiced) -> _Wish:
    words = _WORD.findall(one.expectation.casefold())
    stems = [_ENDING.sub("", word) for word in words if word not in _WITHOUT_CONTENT]
    return _Wish(one.pleased, tuple(stems if _SETS_APART & set(words) else sorted(stems)))


def _leaders(vectors: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """For each row the row that leads it: the nearest leader before it, else itself."""
    leader = np.arange(len(vectors))
    for start in range(0, len(vectors), _CHUNK):
        chunk = vectors[start : start + _CHUNK]
        leading = np.flatnonzero(leader[:start] == np.arange(start))
        row, cosine = _nearest(chunk, vectors, leading)
        among = chunk @ chunk.T  # (chunk, chunk)
        new = np.zeros(0, np.int64)
        for i in range(len(chunk)):
            if len(new) and among[i, new].max() > cosine[i]:
                best = new[among[i, new].argmax()]
                row[i], cosine[i] = start + best, among[i, best]
            if cosine[i] >= threshold:
                leader[start + i] = row[i]
            else:
                new = np.append(new, i)
    return leader


def _nearest(
    chunk: NDArray[np.float32], vectors: NDArray[np.float32], leading: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest leader of each row of the chunk, and its cosine; -1 where there is none."""
    row, cosine = np.full(len(chunk), -1), np.full(len(chunk), -1, np.float32)
    for start in range(0, len(leading), _CHUNK):
        some = leading[start : start + _CHUNK]
        cosines = chunk @ vectors[some].T  # (chunk, leaders)
        best = cosines.argmax(axis=1)
        value = cosines[np.arange(len(chunk)), best]
        nearer = value > cosine
        row[nearer], cosine[nearer] = some[best[nearer]], value[nearer]
    return row, cosine


def _one_of(members: Sequence[Voiced], vectors: NDArray[np.float32]) -> Voiced:
    """The member nearest to the mean of all, standing for them; the first in a tie."""
    counts = np.array([one.count for one in members], np.float32)
    nearest = int((vectors @ (counts @ vectors)).round(5).argmax())
    return replace(
        members[nearest],
        count=sum(one.count for one in members),
        members=tuple(i for one in members for i in (one.members or (one.id,))),
    )
