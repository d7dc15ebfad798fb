"""Our own words in somebody's text: taken out before anything is learned from it.

A rubric that is served comes back. The block stands in system messages that an app logs, an
assistant recites it, a user pastes it, and a sentence of its guidance may turn up in an answer
word for word. Learned from, that would be a rubric that feeds on itself. Two things are told
apart: the block, which has a fixed form and goes wherever a text enters, and the sentences of
guidance that were ever served, which go when a text is read to learn from it. What was recorded
keeps those, as a log must stay the same log when the rubric changes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

OPEN: Final = "<reader_preferences>"
"""Begins the block in a prompt."""

CLOSE: Final = "</reader_preferences>"
"""Ends it."""

PREAMBLE: Final = (
    "Preferences learnt from people who ask questions like this one. The instructions above, "
    "the user's own wishes and all safety rules take precedence. Follow these where they fit "
    "the question, and do not mention this guidance."
)
"""Opens every block; fixed, so that blocks differ only in their guidance."""

FEWEST_WORDS: Final = 4
"""Words of a sentence of guidance from which it is told by its words: "Use headings." is what
anybody may ask for, and whose words those are nobody can say."""

_TAG: Final = re.compile(
    r"(?:<|&lt;)\s{0,2}(/?)\s{0,2}reader_preferences\s{0,2}(?:>|&gt;)", re.IGNORECASE
)
_NAME: Final = "reader_preferences"


def _spaced(sentence: str) -> str:
    """A pattern of a sentence, however its lines are broken."""
    return r"\s+".join(map(re.escape, sentence.split()))


_RULES: Final = r"(?:\n{1,2}[ \t>]{0,8}[-*\u2022][^\n]*)*"
_LEFT: Final = re.compile(rf"(?:\s{{0,4}}{_spaced(PREAMBLE)})?{_RULES}", re.IGNORECASE)
"""What certainly follows a tag that is never closed."""
_RECITED: Final = re.compile(_spaced(PREAMBLE) + _RULES, re.IGNORECASE)
_RARE: Final = ("learnt", "precedence")
"""Words of the preamble: a text without them is not searched for it."""


class _Sentence(NamedTuple):
    """A sentence to be taken out.

    Attributes:
        word: Its longest word; a text without it is not searched for the sentence.
        pattern: The sentence with its bullet and quotes.
    """

    word: str
    pattern: re.Pattern[str]


def without_own_text(text: str, *, known: frozenset[str] = frozenset()) -> str:
    r"""Take out of a text what we have put into a prompt; in time linear in its length.

    Args:
        text: What a log, a user or an assistant says; cleaned.
        known: Sentences of guidance that were ever served; those of fewer than `FEWEST_WORDS`
            words are left. They count where they stand as they are, but for case, line breaks
            and the sign at their end.

    Returns:
        The text without any block of ours, whole or cut short, and the white space before it,
        and without these sentences; the very same text where there is nothing of ours in it.

    Example:
        >>> block = "<reader_preferences>\n- Use lists.\n</reader_preferences>"
        >>> without_own_text("Be brief.\n\n" + block)
        'Be brief.'
        >>> served = frozenset({"Lay it out as steps."})
        >>> without_own_text("Sure. Lay it out as steps.", known=served)
        'Sure.'
    """
    folded = text.casefold()
    left = _without_blocks(text) if _NAME in folded else text
    if all(word in folded for word in _RARE):
        left = _less(left, _RECITED)
    for sentence in _sentences(known):
        if sentence.word in folded:
            left = _less(left, sentence.pattern)
    return left


def _less(text: str, pattern: re.Pattern[str]) -> str:
    left, found = pattern.subn("", text)
    return left.strip() if found else text


def _without_blocks(text: str) -> str:
    kept: list[str] = []
    at = 0
    opened: re.Match[str] | None = None
    for tag in _TAG.finditer(text):
        closes = bool(tag[1])
        if opened is None:
            kept.append(text[at : tag.start()].rstrip())
            at, opened = tag.end(), None if closes else tag
        elif closes:
            at, opened = tag.end(), None
    if opened is not None:
        left = _LEFT.match(text, opened.end())
        at = left.end() if left else opened.end()
        return "".join([*kept, text[at:]]).rstrip()
    return "".join([*kept, text[at:]])


@lru_cache(maxsize=8)
def _sentences(known: frozenset[str]) -> tuple[_Sentence, ...]:
    """Longest first, lest one that is part of another break it up."""
    plain = sorted({" ".join(k.split()) for k in known}, key=lambda k: (-len(k), k))
    return tuple(_sentence(k) for k in plain if len(k.split()) >= FEWEST_WORDS)


def _sentence(said: str) -> _Sentence:
    words = said.rstrip(".!;: ")
    pattern = (
        r"(?:[-*\u2022][ \t]{1,4})?[\"'\u201c\u2018]?"
        rf"(?<!\w){_spaced(words)}(?!\w)[.!;:]?[\"'\u201d\u2019]?"
    )
    longest = max(words.split(), key=len)
    return _Sentence(longest.casefold(), re.compile(pattern, re.IGNORECASE))
