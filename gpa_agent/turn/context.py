"""Who asks: read from the run's context or from its ``configurable`` keys.

A LangGraph run carries static context (``graph.invoke(..., context=GPAContext(...))``) and a
``configurable`` mapping. Both may name the user, the group and the intent; both may be absent;
the context wins. A host's own context object or mapping with fields of these names is read
just as well, so nobody has to give up their context schema for us.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class GPAContext:
    """What a caller may say about who asks; every field is optional.

    Example:
        ```python
        graph.invoke({"messages": [...]}, context=GPAContext(user_id="u1", group="novice"))
        ```
    """

    user_id: str | None = None
    """The person in the host app; hashed before it is stored."""
    group: str | None = None
    """The person's group, where the caller knows it."""
    intent: str | None = None
    """What kind of task this is, where the caller knows it."""


class Asker(NamedTuple):
    """Who asks, as far as the caller said.

    Attributes:
        user_id: Raw id of the person in the host app.
        group: The group the caller named.
        intent: The intent the caller named.
        thread_id: The conversation's id in the host app.
    """

    user_id: str | None = None
    group: str | None = None
    intent: str | None = None
    thread_id: str | None = None


def _text(value: object) -> str | None:
    """A usable name: stripped text; numbers as text; anything else and blanks are None."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value).strip() or None


def _field(source: object, name: str) -> str | None:
    if source is None:
        return None
    value = (
        source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)  # pyright: ignore[reportUnknownMemberType] -- any mapping a host passes
    )
    return _text(value)


def read_asker(context: object, configurable: Mapping[str, Any] | None) -> Asker:
    """Read who asks; the context wins over ``configurable``.

    Args:
        context: The run's context: an object, a mapping, or None.
        configurable: The run config's ``configurable`` mapping, or None.

    Returns:
        What is known of the asker; all None where nothing was said.
    """
    keys = configurable or {}
    return Asker(
        user_id=_field(context, "user_id") or _field(keys, "user_id"),
        group=_field(context, "group") or _field(keys, "group"),
        intent=_field(context, "intent") or _field(keys, "intent"),
        thread_id=_field(keys, "thread_id"),
    )
