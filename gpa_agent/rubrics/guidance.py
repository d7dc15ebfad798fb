"""A rubric's guidance as lines that tell a model what to do and never name a group."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from gpa_agent.rubrics.records import CLAIMED, EVERYBODY_ELSE, Aspect, Rubric

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARKERS = re.compile(r"</?\s*reader_preferences\s*>", re.IGNORECASE)
_SHORTEST_NAME = 3


def guidance_lines(rubric: Rubric, group: str) -> tuple[str, ...]:
    """The live guidance for a group, in the rubric's order.

    Args:
        rubric: Any rubric.
        group: One of its sides.

    Returns:
        One line for each live aspect that has guidance for the group; empty where none has.
    """
    names = {group, rubric.contrast.group, rubric.contrast.other}
    names.update(*(aspect.guidance for aspect in rubric.aspects))
    # Longest first, lest "user" break up "power user"; then by name, for stable bytes.
    ordered = sorted(names - {EVERYBODY_ELSE}, key=lambda name: (-len(name), name))
    return tuple(
        _said(aspect, group, ordered)
        for aspect in rubric.aspects
        if aspect.status == "live" and aspect.guidance.get(group)
    )


def wishes(rubric: Rubric, group: str | None = None) -> frozenset[str]:
    """Name what a rubric's live aspects ask for; another name once they ask for something else.

    Args:
        rubric: Any rubric.
        group: Only those that have guidance for it; None for all.

    Returns:
        One name for each: the aspect's, and a digest of its guidance.
    """
    return frozenset(
        f"{aspect.name} {_digest(aspect)}"
        for aspect in rubric.aspects
        if aspect.status == "live" and (group is None or aspect.guidance.get(group))
    )


def _digest(aspect: Aspect) -> str:
    return hashlib.sha256(json.dumps(aspect.guidance, sort_keys=True).encode()).hexdigest()[:12]


def _said(aspect: Aspect, group: str, names: Sequence[str]) -> str:
    text = " ".join(_MARKERS.sub("", aspect.guidance[group]).split())
    # The catalogue's words know no groups; those of a person or a model can name one.
    of_catalogue = aspect.evidence is not None and aspect.family != CLAIMED
    return text if of_catalogue else _unnamed(text, names)


def _unnamed(text: str, names: Sequence[str]) -> str:
    """Write "reader" where a guidance names a group.

    Names of one or two letters ("A") are ordinary words and tell nobody's group, so they stay.
    """
    for name in names:
        if len(name) >= _SHORTEST_NAME:
            text = re.sub(
                rf"(?<!\w){re.escape(name)}(s?)(?!\w)", r"reader\1", text, flags=re.IGNORECASE
            )
    return text
