"""Text from a log, made safe to keep: one Unicode form, nothing invisible, no end of length.

Invisible characters are a known way to smuggle instructions past a reader (zero-width and
bidirectional controls, Unicode tags, variation selectors, private use; Boucher et al. 2022,
"Bad Characters"), NUL bytes and lone surrogates break databases. What is visible stays as it
was, but in Unicode's composed form (NFC), so that equal texts are equal strings.
"""

from __future__ import annotations

import re
from typing import Any, Final
from unicodedata import is_normalized, normalize

MAX_CHARS: Final = 200_000
"""Characters kept of one message; the rest is cut off."""

MAX_DEPTH: Final = 32
"""How deeply metadata may be nested."""

_NEWLINES: Final = re.compile("\r\n?|[\u2028\u2029\x85]")
_ASCII_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_ALWAYS: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and newline
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners, fillers
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\uffa0"  # zero width, bidirectional
    "\ue000-\uf8ff\ufe00-\ufe0d\ufeff\ufff9-\ufffb"  # private use, variation, BOM, annotation
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff"  # tags, private planes
)
_INVISIBLE: Final = re.compile(
    f"[{_ALWAYS}]"
    # Joiners are spelling in Persian and Indic scripts and in composed emoji; elsewhere noise.
    "|(?<![\u0620-\u115e\u1161-\u17b3\u17b6-\u180a\u1810-\u1dff\u2600-\u27bf\ufe0f"
    "\U0001f000-\U0001faff])[\u200c\u200d]"
)
_SUSPECT: Final = re.compile(f"[{_ALWAYS}\u200c\u200d\u2028\u2029\ud800-\udfff]")


def clean_text(text: str, *, limit: int = MAX_CHARS) -> str:
    r"""Normalise a text from outside.

    Args:
        text: Anything a log may hold.
        limit: Characters to keep.

    Returns:
        NFC text without control characters (but newline and tab), invisible formatting
        characters and surrogates; cleaning it again changes nothing.

    Example:
        >>> clean_text("a\u200b\x00b\r\nc")
        'ab\nc'
    """
    text = text[: 2 * limit]
    if text.isascii():
        if _ASCII_CONTROLS.search(text):
            text = _INVISIBLE.sub("", _NEWLINES.sub("\n", text))
        return text[:limit]
    if not _SUSPECT.search(text) and is_normalized("NFC", text):
        return text[:limit]
    text = _NEWLINES.sub("\n", _SURROGATES.sub("\ufffd", text))
    while True:
        # Until nothing changes: taking a character out can bring together what composes.
        shorter = normalize("NFC", _INVISIBLE.sub("", text))
        if shorter == text:
            return text[:limit]
        text = shorter


def clean_metadata(value: Any, *, depth: int = MAX_DEPTH) -> Any:  # noqa: ANN401 -- JSON, or a type that differs by SQLAlchemy release
    """Normalise every string and key of a JSON value.

    Args:
        value: What ``json.loads`` returned.
        depth: Levels of lists and objects it may still have.

    Raises:
        ValueError: It is nested more deeply.
    """
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, (dict, list)) and not depth:
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return {clean_text(str(k)): clean_metadata(v, depth=depth - 1) for k, v in value.items()}
    if isinstance(value, list):
        return [clean_metadata(v, depth=depth - 1) for v in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return clean_text(str(value))
