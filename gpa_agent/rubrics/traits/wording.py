"""Wording: how hard, how varied and how technical the words are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gpa_agent.rubrics.traits.jargon import TECHNICAL
from gpa_agent.rubrics.traits.trait import LOG_RATE, Trait, rate

if TYPE_CHECKING:
    from gpa_agent.rubrics.traits.answer import Answer

FAMILY = "wording"

_SEGMENT = 50
"""Words of a segment of the type-token ratio."""

_SOUNDED_E = ("le", "ee", "ye", "ue", "oe", "ie")
_PUNCTUATION = ".,;:!?()[]{}*_'\"/-"
_EVERYDAY_CAPITALS = frozenset(
    ("AI", "AM", "DR", "II", "III", "IV", "NOT", "OK", "PM", "TL", "TV", "UK", "US", "USA")
)


class _Vowels(dict[int, str]):
    """For `str.translate`: vowels stay, everything else becomes a space."""

    def __missing__(self, key: int) -> str:
        return " "


_ACCENTED = "\u00e0\u00e1\u00e2\u00e4\u00e8\u00e9\u00ea\u00eb\u00ee\u00ef\u00f4\u00f6\u00fb\u00fc"
_VOWELS = _Vowels((ord(c), c) for c in "aeiouy" + _ACCENTED)


def _readability(answer: Answer) -> float:
    words = answer.words
    if not words:
        return 0.0
    per_word = _syllables(words) / len(words)
    ease = 206.835 - 1.015 * answer.sentence_length - 84.6 * per_word
    return min(max(ease / 100, -1.0), 1.3)


def _syllables(words: list[str]) -> int:
    # Groups of vowels less silent e's, as is usual without a dictionary of pronunciation.
    groups = len(" ".join(words).translate(_VOWELS).split())
    silent = sum(w[-1] == "e" and len(w) > 3 and not w.endswith(_SOUNDED_E) for w in words)
    return max(groups - silent, len(words))


def _lexical_variety(answer: Answer) -> float:
    words = answer.words
    n = len(words)
    if n < 2:
        return float(n)
    if n < _SEGMENT:
        return math.pow(_SEGMENT, math.log(len(set(words))) / math.log(n) - 1)
    starts = range(0, n - _SEGMENT + 1, _SEGMENT)
    return sum(len(set(words[i : i + _SEGMENT])) for i in starts) / (len(starts) * _SEGMENT)


def _jargon(answer: Answer) -> float:
    return rate(answer.count(TECHNICAL) + _acronyms(answer.marked), answer)


def _acronyms(text: str) -> int:
    capitals = [w.strip(_PUNCTUATION) for w in text.split() if w.isupper()]
    return sum(
        2 <= len(w) <= 6 and w.isascii() and w.isalpha() and w not in _EVERYDAY_CAPITALS
        for w in capitals
    )


TRAITS = (
    Trait(
        name="readability",
        family=FAMILY,
        definition="Flesch reading ease of the prose, with syllables estimated from vowels.",
        unit="Flesch reading ease / 100, from -1 to 1.3",
        more="Choose everyday words of few syllables.",
        less="Choose precise, demanding vocabulary.",
        phrase="plain, simple words",
        source="Flesch 1948, A new readability yardstick",
        measure=_readability,
    ),
    Trait(
        name="lexical_variety",
        family=FAMILY,
        definition="Share of distinct words in segments of fifty words, extrapolated where there "
        "are fewer.",
        unit="mean type-token ratio of 50 words",
        more="Vary the vocabulary; avoid saying the same thing twice.",
        less="Stay with the same few terms throughout.",
        phrase="variety of words",
        source="Johnson 1944, Studies in language behavior; Herdan 1960 for fewer words",
        measure=_lexical_variety,
    ),
    Trait(
        name="jargon",
        family=FAMILY,
        definition="How often the answer uses technical terms of some field, or acronyms.",
        unit=LOG_RATE,
        more="Use the technical terms of the field freely.",
        less="Use everyday words in place of technical terms.",
        phrase="technical terms",
        measure=_jargon,
    ),
)
