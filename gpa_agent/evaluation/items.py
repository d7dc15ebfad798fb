"""How sound the served items are: junk (no evidence, or words the guard refuses), duplicates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gpa_agent.embedding import TextEncoder
from gpa_agent.rubrics.fold import Voiced
from gpa_agent.rubrics.guard import complaint
from gpa_agent.rubrics.merging import comparable, merge_near_duplicates
from gpa_agent.rubrics.records import Aspect, ContrastModel, Rubric


class Flaw(BaseModel):
    """A live item that should not be."""

    model_config = ConfigDict(frozen=True)

    intent: str
    contrast: ContrastModel
    aspect: str
    kind: Literal["no evidence", "refused", "duplicate"]
    why: str


class Items(BaseModel):
    """The live items of all rubrics."""

    model_config = ConfigDict(frozen=True)

    live: int
    junk: int
    """Those without evidence, or whose name or guidance the guard refuses by now."""
    duplicates: int
    """Those that ask a group for the same as another item of their rubric."""
    junk_share: float | None
    """None where nothing is live."""
    duplicate_share: float | None
    flaws: tuple[Flaw, ...]


def items_of(rubrics: Sequence[Rubric], encoder: Callable[[], TextEncoder]) -> Items:
    """Look at every live item.

    Args:
        rubrics: The rubrics.
        encoder: Called where there are items to compare by meaning: it may have to be loaded.
    """
    live = [(rubric, a) for rubric in rubrics for a in rubric.aspects if a.status == "live"]
    junk = [_flaw(r, a, *found) for r, a in live if (found := _junk(a)) is not None]
    twice = [flaw for rubric in rubrics for flaw in _duplicates(rubric, encoder)]
    return Items(
        live=len(live),
        junk=len(junk),
        duplicates=len(twice),
        junk_share=len(junk) / len(live) if live else None,
        duplicate_share=len(twice) / len(live) if live else None,
        flaws=(*junk, *twice),
    )


_Kind = Literal["no evidence", "refused", "duplicate"]


def _flaw(rubric: Rubric, aspect: Aspect, kind: _Kind, why: str) -> Flaw:
    return Flaw(
        intent=rubric.intent, contrast=rubric.contrast, aspect=aspect.name, kind=kind, why=why
    )


def _junk(aspect: Aspect) -> tuple[_Kind, str] | None:
    reasons = chain(
        [complaint(aspect.name, kind="name")],
        (complaint(text, kind="guidance") for text in aspect.guidance.values()),
    )
    refused = next((reason for reason in reasons if reason), None)
    if refused is not None:
        return "refused", refused
    return ("no evidence", "hand-written or imported") if aspect.evidence is None else None


def _duplicates(rubric: Rubric, encoder: Callable[[], TextEncoder]) -> list[Flaw]:
    """Items that say to a group what an earlier one says, by words and meaning."""
    live = {a.name: a for a in rubric.aspects if a.status == "live"}
    same: dict[str, str] = {}
    for group in (rubric.contrast.group, rubric.contrast.other):
        said = [_as_voiced(a, group) for a in live.values() if a.guidance.get(group)]
        rows = comparable(said)
        if not rows:
            continue
        asked = [said[row] for row in rows]
        vectors = encoder().encode([one.expectation for one in asked])
        for merged in merge_near_duplicates(asked, vectors):
            first, *others = sorted(merged.members, key=list(live).index)
            same |= dict.fromkeys(others, first)
    return [
        _flaw(rubric, live[name], "duplicate", f"says what {first!r} says")
        for name, first in same.items()
    ]


def _as_voiced(aspect: Aspect, group: str) -> Voiced:
    return Voiced(
        id=aspect.name, person="", pleased=True, expectation=aspect.guidance[group], reason=""
    )
