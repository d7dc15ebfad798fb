"""From chat messages to turns.

A message list is what every log format comes down to. Tool results are dropped, a developer
is a system, neighbours of the same role are joined by a blank line, an assistant that speaks
first answers an empty utterance, and a last utterance without an answer is kept: it may
still judge the turn before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gpa_agent.conversations.fields import BadRecordError, judgment_of, kind, time_of
from gpa_agent.conversations.normalise import clean_text
from gpa_agent.conversations.own_text import without_own_text
from gpa_agent.conversations.records import Judgment, Turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

ROLES: Final[Mapping[str, str | None]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": None,
    "function": None,
}
"""Role in the log to role here; None is dropped."""


class Said(NamedTuple):
    """One message with what the log says about it.

    Attributes:
        role: ``system``, ``user`` or ``assistant``.
        text: Cleaned text; never blank.
        judgment: An explicit judgment of an assistant's message.
        at: When it was said.
    """

    role: str
    text: str
    judgment: Judgment | None = None
    at: datetime | None = None


def read_messages(value: object, name: str) -> list[Said]:
    """Read a list of ``{"role", "content"}`` objects.

    Args:
        value: What the record holds under ``name``.
        name: The field, for reasons.

    Returns:
        The messages that carry text, neighbours of one role joined.

    Raises:
        BadRecordError: It is not such a list, or a role is not known.
    """
    if not isinstance(value, list):
        raise BadRecordError(f"{name!r} must be a list of messages, not {kind(value)}")
    return joined(said for raw in value if (said := _message(raw, name)) is not None)


def _message(raw: object, name: str) -> Said | None:
    if not isinstance(raw, dict):
        raise BadRecordError(f"each message in {name!r} must be an object, not {kind(raw)}")
    role = raw.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise BadRecordError(
            f"unknown role {role!r:.40} in {name!r}; expected one of {', '.join(ROLES)}"
        )
    ours = ROLES[role]
    judgment = judgment_of(raw)
    if judgment is not None and ours != "assistant":
        raise BadRecordError(f"a judgment belongs to an assistant's message, not to {role!r}")
    if ours is None:
        return None
    text = text_of(raw)
    return Said(ours, text, judgment, time_of(raw, "at", "timestamp")) if text.strip() else None


def text_of(raw: Mapping[str, Any]) -> str:
    """The text of a message whose content is text, null or a list of parts, less our own block."""
    content = raw.get("content")
    if content is None:
        refusal = raw.get("refusal")
        return said_text(refusal) if isinstance(refusal, str) else ""
    if isinstance(content, str):
        return said_text(content)
    if isinstance(content, list):
        return said_text("\n".join(filter(None, map(_part, content))))
    raise BadRecordError(f"'content' must be text, null or a list of parts, not {kind(content)}")


def said_text(text: str) -> str:
    """What somebody said, made safe to keep, without a block that we had put into the prompt."""
    return without_own_text(clean_text(text))


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise BadRecordError(f"a part of 'content' must be an object, not {kind(part)}")
    text = part.get("text", part.get("refusal"))
    return text if isinstance(text, str) else ""


def joined(messages: Iterable[Said]) -> list[Said]:
    """Join neighbours of the same role; the later judgment and time win."""
    found: list[Said] = []
    for said in messages:
        if found and found[-1].role == said.role:
            before = found[-1]
            found[-1] = Said(
                said.role,
                clean_text(f"{before.text}\n\n{said.text}"),
                before.judgment if said.judgment is None else said.judgment,
                said.at or before.at,
            )
        else:
            found.append(said)
    return found


def turns_of(messages: Sequence[Said]) -> tuple[Turn, ...]:
    """Pair utterances with their answers.

    Args:
        messages: Messages without two neighbours of one role; system messages are left out.

    Raises:
        BadRecordError: Neither a user nor an assistant says anything.
    """
    spoken = joined(said for said in messages if said.role != "system")
    turns: list[Turn] = []
    utterance: Said | None = None
    for said in spoken:
        if said.role == "user":
            utterance = said
            continue
        turns.append(
            Turn(
                user=utterance.text if utterance else "",
                assistant=said.text,
                judgment=said.judgment,
                at=said.at or (utterance.at if utterance else None),
            )
        )
        utterance = None
    if utterance is not None:
        turns.append(Turn(user=utterance.text, at=utterance.at))
    if not turns:
        raise BadRecordError("holds no text of a user or an assistant")
    return tuple(turns)


def system_text(messages: Iterable[Said]) -> str:
    """What system messages say, joined."""
    return "\n\n".join(said.text for said in messages if said.role == "system")
