"""What becomes of the claims there are when a newer fold names others, or the same ones anew.

Evidence decides, not the latest fold:

- A claim that is named again keeps its words, so that its evidence stays evidence for what is
  served; the newer fold's rating counts, but cannot lower that of a proven claim. New words are
  taken where those there are were refused, or where the people they were tested on clearly want
  it the other way round; and for a side of which nothing was said. Enough people must stand
  behind the new words.
- A claim that is not named any more, or rated 1, stays while it is proven (`stays`).
- A claim that mostly the same preferences voice as one that was there before is that one under
  another name.

So a list never holds more than the twelve aspects of a fold and the proven claims.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.prompts import AspectItem
from gpa_agent.rubrics.attributing import same_claim
from gpa_agent.rubrics.fold import Folded, Voices

UNCHECKED: Final = "its words could not be checked: the model gave no usable answer"
"""The problem of a claim whose words nobody has checked yet."""

Verdict = Literal["open", "proven", "turned"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An aspect that enough people of the finding part stand behind."""

    item: AspectItem
    support: tuple[str, ...]
    """Ids of the finding part's preferences that voice it, as the model named them."""
    problem: str | None = UNCHECKED
    """Why its words may not be served, by our own check or the model's."""
    named: bool = True
    """Whether the latest fold named it."""
    verdict: Verdict = "open"
    """What its evidence said when it was last weighed: ``turned`` where the people it was tested
    on want it the other way round."""

    @property
    def stays(self) -> bool:
        """Whether it is worth keeping."""
        return self.named or self.verdict == "proven"


class Revised(NamedTuple):
    """Claims after a fold.

    Attributes:
        claims: Those that stood, in their order, then new ones; K of them.
        columns: For each the standing claim whose words it has, None where its words are new; K.
        unsupported: Aspects left out because too few people stand behind them.
        waiting: Ids of preferences behind aspects that may yet become claims.
    """

    claims: tuple[Claim, ...]
    columns: tuple[int | None, ...]
    unsupported: int = 0
    waiting: tuple[str, ...] = ()


def revise(
    standing: Sequence[Claim], folded: Folded, people: Mapping[str, str], *, min_people: int
) -> Revised:
    """Put together what stood and what a fold says now.

    Args:
        standing: Claims of before.
        folded: What the fold ended in; where it asked nothing, all stands as it is.
        people: Who voiced each preference that the fold was shown.
        min_people: People that must voice new words for them to be written down.
    """
    if not folded.rounds:
        return Revised(tuple(standing), tuple(range(len(standing))))
    said = {
        _key(a): a for a in folded.aspects if a.rating > 1 and (a.first_wants or a.second_wants)
    }
    support = {key: _ids(folded.voiced.get(a.name)) for key, a in said.items()}
    enough = {k for k, ids in support.items() if len({people[i] for i in ids}) >= min_people}
    claims: list[Claim] = []
    columns: list[int | None] = []
    for column, before in enumerate(standing):
        key = _key(before.item)
        again = said.get(key)
        claims.append(_again(before, again, support.get(key, ()), reworded=key in enough))
        columns.append(column if _words(claims[-1].item) == _words(before.item) else None)
    there = {_key(c.item) for c in standing}
    new = [key for key in said if key in enough - there]
    return Revised(
        (*claims, *(Claim(item=said[key], support=support[key]) for key in new)),
        (*columns, *(None for _ in new)),
        unsupported=len(said.keys() - enough - there),
        waiting=_waiting(folded, enough | there, people, min_people=min_people),
    )


def told_apart(
    claims: Sequence[Claim],
    columns: Sequence[int | None],
    wishes: NDArray[np.int8],
    *,
    at_least: int,
) -> tuple[tuple[Claim, ...], NDArray[np.int64]]:
    """Leave out new claims that are one of before under another name; that one was named again.

    Args:
        claims: K claims, those of before first.
        columns: As in `Revised`.
        wishes: (n, K) who voices them.
        at_least: Preferences that must voice both.

    Returns:
        The claims that are left, and their places among the K.
    """
    before = [k for k, column in enumerate(columns) if column is not None]
    told, kept = list(claims), list[int]()
    for k in range(len(claims)):
        same = [b for b in before if same_claim(wishes[:, b], wishes[:, k], at_least=at_least)]
        if columns[k] is None and same:
            told[same[0]] = _again(told[same[0]], claims[k].item, claims[k].support)
        else:
            kept.append(k)
    return tuple(told[k] for k in kept), np.array(kept, np.int64)


def _again(
    before: Claim, item: AspectItem | None, support: Sequence[str], *, reworded: bool = False
) -> Claim:
    """A claim after a fold that named it again, or did not.

    Args:
        before: The claim.
        item: What the fold says of it now.
        support: Who stands behind that.
        reworded: Whether they are enough for its words to be taken.
    """
    if item is None:
        return replace(before, named=False)
    was, together = before.item, tuple(dict.fromkeys((*before.support, *support)))
    lower = before.verdict == "proven" and item.rating < was.rating
    rated = was.model_copy(update={"rating": was.rating if lower else item.rating})
    if not reworded:
        return replace(before, item=rated, support=together, named=True)
    if before.problem not in (None, UNCHECKED) or before.verdict == "turned":
        # What a person rejected stays rejected by its name.
        named = item.model_copy(update={"name": was.name})
        return Claim(item=named, support=tuple(support))
    fuller = {
        "interpretation": item.interpretation,
        "first_wants": was.first_wants or item.first_wants,
        "second_wants": was.second_wants or item.second_wants,
    }
    if (fuller["first_wants"], fuller["second_wants"]) == (was.first_wants, was.second_wants):
        return replace(before, item=rated, support=together, named=True)
    said = rated.model_copy(update=fuller)
    return replace(before, item=said, support=together, named=True, problem=UNCHECKED)


def _waiting(
    folded: Folded, settled: set[str], people: Mapping[str, str], *, min_people: int
) -> tuple[str, ...]:
    """Who voices what is no claim yet, and of which a side has not said enough."""
    ids: list[str] = []
    for aspect in folded.aspects:
        voices = folded.voiced.get(aspect.name, Voices())
        fewest = min(len({people[i] for i in side}) for side in voices)
        if _key(aspect) not in settled and fewest < min_people:
            ids += chain.from_iterable(voices)
    return tuple(dict.fromkeys(ids))


def _ids(voices: Voices | None) -> tuple[str, ...]:
    return () if voices is None else (*voices.first, *voices.second)


def _key(item: AspectItem) -> str:
    return " ".join(item.name.casefold().split())


def _words(item: AspectItem) -> tuple[str, str, str]:
    """What a preference is attributed by."""
    return item.name, item.first_wants, item.second_wants
