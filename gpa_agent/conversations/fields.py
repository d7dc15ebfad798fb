"""Fields of a log record, read with their types checked and their reasons said.

Every format reader is built from these. A record that is not what it should be raises
:class:`BadRecordError` with a reason that fits behind "line 12: ".
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from gpa_agent.conversations.normalise import clean_metadata, clean_text
from gpa_agent.conversations.records import UNKNOWN, Judgment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_ID: Final = 4000
"""Characters an id may have: in research data a whole profile can stand for the person."""

MAX_NAME: Final = 200
"""Characters the name of a group or an intent may have."""

DERIVED_PREFIX: Final = "content:"
"""How an id starts that was derived from the content because the log gave none."""

_MILLISECONDS: Final = 1e11
"""Epoch numbers above this (in seconds: the year 5138) are milliseconds."""


class BadRecordError(ValueError):
    """A record that cannot be used; its text is the reason."""


def id_of(raw: Mapping[str, Any], name: str) -> str | None:
    """An identifier: text or whole number; None where absent, null or empty."""
    value = raw.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise BadRecordError(f"{name!r} must be text or a whole number, not {kind(value)}")
    text = clean_text(str(value)).strip()
    if len(text) > MAX_ID:
        raise BadRecordError(f"{name!r} is longer than {MAX_ID} characters")
    return text or None


def name_of(raw: Mapping[str, Any], name: str) -> str | None:
    """The name of a group or an intent; None where absent, empty or ``unknown``."""
    value = raw.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadRecordError(f"{name!r} must be text, not {kind(value)}")
    return as_name(value, name)


def as_name(value: str, name: str) -> str | None:
    """Clean a text that serves as the name of a group or an intent."""
    text = " ".join(clean_text(value).split())
    if text == "*":
        raise BadRecordError(f"{name!r} is '*', which stands for everybody else; use another name")
    if len(text) > MAX_NAME:
        raise BadRecordError(f"{name!r} is longer than {MAX_NAME} characters")
    return None if text.casefold() in ("", UNKNOWN) else text


def judgment_of(raw: Mapping[str, Any]) -> Judgment | None:
    """An explicit judgment: -1, 0 or 1; None where absent."""
    value = raw.get("judgment")
    if value is None:
        return None
    if type(value) is not int or value not in (-1, 0, 1):
        raise BadRecordError(f"'judgment' must be -1, 0 or 1, not {value!r:.40}")
    return Judgment(value)


def time_of(raw: Mapping[str, Any], *names: str) -> datetime | None:
    """A time: ISO 8601 text or seconds (or milliseconds) since 1970; None where absent."""
    for name in names:
        value = raw.get(name)
        if value is None:
            continue
        try:
            return _as_time(value)
        except (ValueError, TypeError, OverflowError, OSError) as exc:
            raise BadRecordError(
                f"{name!r} must be an ISO 8601 time or seconds since 1970, not {value!r:.40}"
            ) from exc
    return None


def _as_time(value: object) -> datetime:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str):
        moment = datetime.fromisoformat(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        moment = datetime.fromtimestamp(value / 1000 if value > _MILLISECONDS else value, UTC)
    else:
        raise TypeError(kind(value))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def rest_of(raw: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The fields we do not know, cleaned, as metadata."""
    found: dict[str, Any] = {}
    for name, value in raw.items():
        if name in known:
            continue
        try:
            found[clean_text(name)] = clean_metadata(value)
        except ValueError as exc:
            raise BadRecordError(f"{name!r:.60} {exc}") from exc
    return found


def derived_id(parts: Iterable[str]) -> str:
    """An id from the content: the same for the same texts in the same order.

    The person is left out, because an id is not a secret and the content stands beside it:
    the person's raw id could be found from it by trying. The ledger tells people with the same
    content apart by their keyed hash.
    """
    digest = blake2b(digest_size=16)
    for part in parts:
        data = part.encode()
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return DERIVED_PREFIX + digest.hexdigest()


def kind(value: object) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    return {"str": "text", "list": "a list", "dict": "an object"}.get(
        type(value).__name__, type(value).__name__
    )
