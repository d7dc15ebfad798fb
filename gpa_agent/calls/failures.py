"""What went wrong with a call, and what it means for the next one.

Every provider's SDK has exceptions of its own, so they are told by what they carry (a status
code, response headers) and by the names of their classes, never by importing an SDK. An
integration may wrap the SDK's exception: its causes are looked at, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, NamedTuple

Kind = Literal["limited", "passing", "refused", "barred", "unknown"]
"""``limited``: too many requests. ``passing``: the same call may work later. ``refused``: this
question will never work. ``barred``: no question will. ``unknown``: none of these."""

_PASSING_STATUS: Final = frozenset({408, 409, 425})
_BARRED_STATUS: Final = frozenset({401, 402, 403, 404})
_PASSING_NAMES: Final = frozenset(
    {
        "TimeoutError",
        "ConnectionError",
        "APIError",
        "ModelConnectionError",
        "ModelTimeoutError",
        "ModelAPIError",
        "TransportError",
        "ClientConnectionError",
        "ClientPayloadError",
        "IncompleteRead",
        "JSONDecodeError",
    }
)
"""Classes of the standard library, LangChain, httpx, aiohttp and the OpenAI SDK; subclasses
count. ``JSONDecodeError``: a body cut short, or a proxy's page in its place."""
_NO_CREDIT: Final = "insufficient_quota"
"""What OpenAI's 429 says when waiting will not help."""
_KEY: Final = re.compile(r"\b(?:sk|key|bearer)[-_ ][\w*.-]{6,}", re.IGNORECASE)
_SAID_CHARACTERS: Final = 300


class Failure(NamedTuple):
    """A failed call.

    Attributes:
        kind: What it means for the next call.
        error: What the model raised; its text may quote the question, so it is not shown.
        status: HTTP status, where there was one.
        wait: Seconds the provider asks to wait, where it does.
        said: The provider's message, short and printable, keys taken out.
    """

    kind: Kind
    error: Exception
    status: int | None = None
    wait: float | None = None
    said: str = ""

    @property
    def name(self) -> str:
        """The class of what lies at its bottom: an SDK calls a refused connection a timeout."""
        *_, root = _chain(self.error)
        return type(root).__name__


def classify(error: Exception, now: datetime) -> Failure:
    """Tell what a model's exception means.

    Args:
        error: What the model raised.
        now: Timezone-aware; a ``Retry-After`` may name a date.

    Returns:
        The failure. Its fields hold nothing of the question's text but what the provider quotes.
    """
    for link in _chain(error):
        status = _status(link)
        if status is not None:
            kind = _kind(status, link)
            wait = _retry_after(link, now) if kind in {"limited", "passing"} else None
            return Failure(kind, error, status, wait, _said(link))
        if any(base.__name__ in _PASSING_NAMES for base in type(link).__mro__):
            return Failure("passing", error)
    return Failure("unknown", error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(5):
        if link is None:
            return
        yield link
        link = link.__cause__


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    named = [getattr(error, name, None) for name in ("status_code", "status", "code")]
    for value in (*named, getattr(response, "status_code", None)):
        if isinstance(value, int) and 400 <= value < 600:
            return value
    return None


def _kind(status: int, error: BaseException) -> Kind:
    if status == 429:
        return "barred" if getattr(error, "code", None) == _NO_CREDIT else "limited"
    if status in _BARRED_STATUS:
        return "barred"
    if status in _PASSING_STATUS or status >= 500:
        return "passing"
    return "refused"


def _retry_after(error: BaseException, now: datetime) -> float | None:
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", None) or {}
    value = headers.get("retry-after") or headers.get("Retry-After")
    return None if value is None else seconds_of(value, now)


def seconds_of(retry_after: str, now: datetime) -> float | None:
    """Read a ``Retry-After`` header (RFC 9110, 10.2.3).

    Args:
        retry_after: Seconds or an HTTP date.
        now: Timezone-aware.

    Returns:
        Seconds, at least 0; None where it is neither.

    Example:
        >>> seconds_of("1.5", datetime.now(UTC))
        1.5
    """
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _said(error: BaseException) -> str:
    body: Any = getattr(error, "body", None)
    message = body.get("message") if isinstance(body, Mapping) else None
    text = str(message or getattr(error, "message", None) or error)
    printable = "".join(char if char.isprintable() else " " for char in text)
    return _KEY.sub("[key]", " ".join(printable.split()))[:_SAID_CHARACTERS]
