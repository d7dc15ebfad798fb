"""Twins that would teach the wrong thing: near-identical, telling, empty, refusing, cut off.

A pair teaches what its two answers differ in. If that is nothing, it teaches noise; if the twin
says "as an expert" or names the guidance, a model learns to say so; if it refuses or breaks off,
that is what sets the answers apart and not the group's wish.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from gpa_agent.alignment.pairs.lengths import UNSPACED
from gpa_agent.conversations.own_text import without_own_text

Sifted = Literal[
    "empty", "refusal", "cut", "leak", "near_identical", "refused", "malformed", "failed"
]
"""Why a twin is not used.

``refusal``: it declines where the logged answer does not. ``cut``: it breaks off. ``leak``: it
tells of the guidance, of its own making or of a group. ``near_identical``: it says the same in the
same words and form. What the engine could not get at all: ``refused`` by model or provider,
``malformed`` after a repair (also where a token limit cut it), ``failed`` for now (the next run
asks again).
"""

_SHINGLE: Final = 3
"""Tokens in a row that two texts are compared by."""
_OPENING: Final = 300
"""Characters of an answer in which a refusal is looked for."""
_SHORTEST_NAME: Final = 3
"""Letters of a group's name from which it is no ordinary word."""

_TOKENS: Final = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+|\n+|[^\w\s]")
_NOT: Final = r"(?:can(?:no|['\u2019])t|can not|won['\u2019]t|will not|am unable|am not able)"
_REFUSAL: Final = re.compile(
    rf"\bi(?:['\u2019]m| am) (?:sorry|afraid),? (?:but )?(?:that )?i {_NOT}\b"
    rf"|\bi {_NOT}(?: to)? (?:help|assist|comply|provide|answer|do that|share|discuss|support)\b"
    r"|\bi (?:must|have to) decline\b|\bas an ai\b",
    re.IGNORECASE,
)
_GUIDANCE: Final = re.compile(
    r"\b(?:according to|following|(?:as )?per|based on|in line with|given)"
    r" (?:the|your|these|this|my) (?:guidance|guidelines?|rubric|preferences?)\b"
    r"|\bas (?:you )?(?:requested|instructed)\b|\bthe guidance\b|\breader[_ ]preferences\b"
    r"|\bhere(?:['\u2019]s| is) (?:a|the|my) (?:\w+[ -]){0,3}"
    r"(?:version|rewrite|rewording|rephrasing|twin)\b"
    r"|\b(?:rewritten|reworded|rephrased) (?:answer|response|version)\b"
    r"|characters left out \.\.\.\]",
    re.IGNORECASE,
)
_LEVEL: Final = (
    r"(?:beginner|novice|newcomer|layperson|non-?expert|expert|intermediate|professional"
    r"|(?:advanced|power) (?:user|reader))"
)
_READER: Final = re.compile(
    rf"\b(?:as|(?:since|because) you(?:['\u2019]re| are)) an? (?:\w+ )?{_LEVEL}\b"
    rf"|\b{_LEVEL}s? like you\b",
    re.IGNORECASE,
)
_DANGLING: Final = re.compile(
    r"(?:[,;(\[{\u2013\u2014-]|\b(?:a|an|and|as|at|because|by|for|from|if|in|into|of|or|the|to|with)"
    r"|^\s*(?:[-*\u2022]|\d+[.)]))\s*\Z",
    re.IGNORECASE | re.MULTILINE,
)


class Shown(NamedTuple):
    """What a twin is held against.

    Attributes:
        asked: All that was said before it, as one text.
        answer: The logged answer.
        guidance: What it was written by.
        names: Names of the groups.
    """

    asked: str
    answer: str
    guidance: Sequence[str]
    names: Sequence[str]


def fault_of(twin: str, shown: Shown, *, max_similarity: float) -> Sifted | None:
    """Why a twin cannot be used; None where it can.

    Args:
        twin: Its text.
        shown: What it belongs to.
        max_similarity: Likeness to the logged answer from which on it is near-identical.
    """
    if not twin.strip():
        return "empty"
    if _refuses(twin) and not _refuses(shown.answer):
        return "refusal"
    if _leaks(twin, shown):
        return "leak"
    if _is_cut(twin) and not _is_cut(shown.answer):
        return "cut"
    if likeness(twin, shown.answer) >= max_similarity:
        return "near_identical"
    return None


def likeness(one: str, other: str) -> float:
    """How alike two texts are in words, marks and line breaks.

    Layout counts, since it may be the very wish: the same words as a list are another answer.

    Args:
        one: A text.
        other: Another.

    Returns:
        Jaccard index of their runs of three tokens, case aside, in [0, 1]; 1 for equal texts.

    Example:
        >>> likeness("Use a list.", "use a list.")
        1.0
        >>> likeness("Use a list.", "Write prose instead!")
        0.0
    """
    ours, theirs = _shingles(one), _shingles(other)
    return len(ours & theirs) / len(ours | theirs) if ours | theirs else 1.0


def _shingles(text: str) -> set[tuple[str, ...]]:
    tokens = _TOKENS.findall(text.strip().casefold())
    last = max(len(tokens) - _SHINGLE, 0) + 1
    return {tuple(tokens[start : start + _SHINGLE]) for start in range(last)} if tokens else set()


def _refuses(text: str) -> bool:
    return _REFUSAL.search(text[:_OPENING]) is not None


def _leaks(twin: str, shown: Shown) -> bool:
    """Whether it says what only its writer could know; what was said before may be taken up."""
    known = f"{shown.asked}\n{shown.answer}".casefold()
    if without_own_text(twin, known=frozenset(shown.guidance)) != twin:
        return True
    found = [m[0] for pattern in (_GUIDANCE, _READER) for m in pattern.finditer(twin)]
    found += [m[0] for name in shown.names for m in _named(name, twin)]
    return any(said.casefold() not in known for said in found)


def _named(name: str, text: str) -> list[re.Match[str]]:
    if len(name) < _SHORTEST_NAME:
        return []
    return [*re.finditer(rf"(?<!\w){re.escape(name)}s?(?!\w)", text, re.IGNORECASE)]


def _is_cut(text: str) -> bool:
    return text.count("```") % 2 == 1 or _DANGLING.search(text.rstrip()) is not None
