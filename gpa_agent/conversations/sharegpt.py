"""ShareGPT: ``{"conversations": [{"from": "human", "value": "..."}, ...]}``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gpa_agent.conversations.chat import conversation_id
from gpa_agent.conversations.fields import BadRecordError, id_of, kind, name_of, rest_of
from gpa_agent.conversations.messages import Said, joined, said_text, system_text, turns_of
from gpa_agent.conversations.records import Conversation

if TYPE_CHECKING:
    from collections.abc import Mapping

_KNOWN: Final = frozenset({"id", "user", "group", "intent", "conversations", "system"})

ROLES: Final[Mapping[str, str | None]] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "system": "system",
    "tool": None,
    "function_call": None,
    "function_response": None,
    "observation": None,
}
"""Name in the log to role here; None is dropped."""


def looks_like(raw: Mapping[str, Any]) -> bool:
    """Whether a record has a list under ``conversations``."""
    return isinstance(raw.get("conversations"), list)


def read(raw: Mapping[str, Any]) -> Conversation:
    """Read a conversation.

    Raises:
        BadRecordError: There is no list under ``conversations``, or a message is not right.
    """
    listed = raw.get("conversations")
    if not isinstance(listed, list):
        raise BadRecordError(f"'conversations' must be a list of messages, not {kind(listed)}")
    said = joined(message for item in listed if (message := _message(item)) is not None)
    turns = turns_of(said)
    group, intent = name_of(raw, "group"), name_of(raw, "intent")
    metadata = rest_of(raw, _KNOWN)
    system = raw.get("system")
    if system := said_text(system) if isinstance(system, str) else system_text(said):
        metadata["system"] = system
    return Conversation(
        id=id_of(raw, "id") or conversation_id(turns, group, intent),
        turns=turns,
        user=id_of(raw, "user"),
        group=group,
        intent=intent,
        metadata=metadata,
    )


def _message(raw: object) -> Said | None:
    if not isinstance(raw, dict):
        raise BadRecordError(f"each message must be an object, not {kind(raw)}")
    sender, value = raw.get("from"), raw.get("value")
    if not isinstance(sender, str) or sender not in ROLES:
        raise BadRecordError(
            f"unknown role {sender!r:.40} under 'from'; expected one of {', '.join(ROLES)}"
        )
    if value is not None and not isinstance(value, str):
        raise BadRecordError(f"'value' must be text, not {kind(value)}")
    role = ROLES[sender]
    text = said_text(value or "")
    return Said(role, text) if role is not None and text.strip() else None
