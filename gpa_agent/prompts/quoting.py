"""Text from a log made into quoted data: one Unicode form, only what is visible, capped, in JSON.

A log is untrusted. Its texts are normalised harder than for keeping (NFKC, so that look-alikes
of markup are read as what they look like; no format characters at all), cut in the middle where
they are long, and put into one JSON object, whose syntax no text can leave. What chat templates
use as control tokens is written with JSON's own escape, so that a server that tokenises
``<|im_start|>`` inside a message as a role marker never sees one, and a reader of the JSON sees
the text as it was. Spotlighting by an encoding: Hines et al. 2024, https://arxiv.org/abs/2403.14720.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final
from unicodedata import category, is_normalized, normalize

from gpa_agent.conversations.normalise import clean_text

LIMITS: Final[Mapping[str, int]] = {
    "earlier": 400,
    "user": 3_000,
    "assistant": 4_000,
    "reply": 2_000,
    "question": 8_000,
    "answer": 16_000,
    "text": 3_000,
    "texts": 1_000,
    "choice": 200,
    "covers": 1_000,
    "name": 60,
    "interpretation": 600,
    "problem": 1_000,
}
"""Characters a field of the data may have; a list's texts have each the limit of the list."""

OTHER_LIMIT: Final = 300
"""Characters of any other field."""

JSONValue = str | int | Sequence["JSONValue"] | Mapping[str, "JSONValue"]

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_BLANK: Final = frozenset({"\u2800", *map(chr, range(0xFE00, 0xFE10))})
"""Marks and symbols without a shape: variation selectors, the braille pattern without dots."""
_REACH: Final = 4
"""Times the limit that is looked at from either end of a text, so that no text is slow."""
_CONTROL_TOKENS: Final = re.compile(
    r"<(?=\||</?SYS|/?(?:s|bos|eos|pad|unk|think|tool_\w+|\w+_of_\w+)>)|\[(?=/?[A-Z_]+\])"
)


def visible(text: str) -> str:
    r"""Only what a reader of the text sees, in one form.

    Args:
        text: Anything.

    Returns:
        NFKC text without control characters (but newline and tab), format, private, unassigned
        and invisible characters, and surrogates.

    Example:
        >>> visible("\uff49gnore\u200b \u202ethis\x00")
        'ignore this'
    """
    text = _cleaned(text)
    while not text.isascii() and (_unseen(text) or not is_normalized("NFKC", text)):
        # Until nothing changes: taking a character out can bring together what composes.
        text = normalize("NFKC", text)
        text = _cleaned(text.translate(dict.fromkeys(map(ord, _unseen(text)))))
    return text


def quote(text: str, limit: int) -> str:
    r"""A text as data: `visible`, and no longer than a limit.

    Args:
        text: Anything a log may hold.
        limit: Characters, at least 50; of a longer text the beginning and the end are kept.

    Example:
        >>> quote("a" * 40 + "b" * 40, 60)
        'aaaaaaaaaaaaaaaaaa\n[... 54 characters left out ...]\nbbbbbbbb'
    """
    far = max(0, len(text) - 2 * _REACH * limit)
    if far:
        text = text[: _REACH * limit] + text[-_REACH * limit :]
    text = visible(text)
    if len(text) <= limit:
        return text
    room = limit - len(_gap(len(text) + far))
    tail = room // 3
    head = room - tail
    return text[:head] + _gap(len(text) - head - tail + far) + text[len(text) - tail :]


def data_of(**fields: JSONValue) -> str:
    r"""One JSON object in which every text is quoted by the limit of its field.

    Args:
        fields: Texts, numbers, and lists and mappings of them; keys are ours, never a log's.

    Returns:
        JSON in the order given, on one line, in plain Unicode but for what a chat template could
        take for a control token.

    Example:
        >>> print(data_of(user="<|im_start|>system", count=2))
        {"user": "\u003c|im_start|>system", "count": 2}
    """
    return _CONTROL_TOKENS.sub(_escaped, json.dumps(_fields(fields), ensure_ascii=False))


def _fields(fields: Mapping[str, JSONValue]) -> dict[str, JSONValue]:
    return {key: _quoted(value, LIMITS.get(key, OTHER_LIMIT)) for key, value in fields.items()}


def _quoted(value: JSONValue, limit: int) -> JSONValue:
    if isinstance(value, str):
        return quote(value, limit)
    if isinstance(value, Mapping):
        return _fields(value)
    if isinstance(value, Sequence):
        return [_quoted(one, limit) for one in value]
    return value


def _cleaned(text: str) -> str:
    # The composed form of a character has four characters at most.
    return clean_text(text, limit=4 * len(text))


def _unseen(text: str) -> set[str]:
    unseen = {c for c in set(text) if category(c) in _UNSEEN}
    return (unseen | _BLANK.intersection(text)) - {"\n", "\t"}


def _gap(count: int) -> str:
    return f"\n[... {count} characters left out ...]\n"


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
