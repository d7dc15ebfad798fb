"""WildChat (Zhao et al. 2024): one conversation a record, in JSON Lines or Parquet.

The user is the hashed IP address and the group is the country the address lies in: a
location is a possible group like any other. Addresses, request headers and the moderation
scores are not kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gpa_agent.conversations.chat import conversation_id
from gpa_agent.conversations.fields import (
    BadRecordError,
    as_name,
    id_of,
    kind,
    name_of,
    rest_of,
)
from gpa_agent.conversations.messages import read_messages, system_text, turns_of
from gpa_agent.conversations.records import Conversation

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_KEPT: Final = frozenset(
    {
        "conversation_hash",
        "conversation",
        "hashed_ip",
        "header",
        "openai_moderation",
        "detoxify_moderation",
        "group",
        "intent",
    }
)


def looks_like(raw: Mapping[str, Any]) -> bool:
    """Whether a record has a list of messages under ``conversation``."""
    return isinstance(raw.get("conversation"), list)


def read(raw: Mapping[str, Any]) -> Conversation:
    """Read a conversation.

    Raises:
        BadRecordError: There is no list under ``conversation``, or a message is not right.
    """
    listed = raw.get("conversation")
    if not isinstance(listed, list):
        raise BadRecordError(f"'conversation' must be a list of messages, not {kind(listed)}")
    said = read_messages(listed, "conversation")
    turns = turns_of(said)
    metadata = rest_of(raw, _NOT_KEPT)
    if system := system_text(said):
        metadata["system"] = system
    country = _of_either(raw, listed, "country")
    group = as_name(country, "country") if isinstance(country, str) else None
    return Conversation(
        id=id_of(raw, "conversation_hash") or conversation_id(turns, group),
        turns=turns,
        user=id_of({"hashed_ip": _of_either(raw, listed, "hashed_ip")}, "hashed_ip"),
        group=name_of(raw, "group") or group,
        intent=name_of(raw, "intent"),
        metadata=metadata,
    )


def _of_either(raw: Mapping[str, Any], listed: list[Any], name: str) -> object:
    """A field of the record, else of the first message that has it (as in the first release)."""
    if raw.get(name) is not None:
        return raw[name]
    return next((m[name] for m in listed if isinstance(m, dict) and m.get(name)), None)
