"""OpenAI's ``messages`` JSON Lines: stored completions and fine-tuning files.

The messages are read by our own reader, which knows null content, lists of parts, refusals
and tool messages; here is only what tells the format apart, and the fields that mean
something else there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gpa_agent.conversations import chat
from gpa_agent.conversations.fields import BadRecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpa_agent.conversations.records import Record

_OURS: Final = frozenset({"id", "group", "intent", "chosen", "rejected", "prompt"})
_PLUMBING: Final = ("tools", "functions", "parallel_tool_calls")


def looks_like(raw: Mapping[str, Any]) -> bool:
    """Whether a record shows what only OpenAI's format has: tools, parts, null content.

    Plain messages are left to our own reader, which also takes pairs.
    """
    listed = raw.get("messages")
    if not isinstance(listed, list) or _OURS & raw.keys():
        return False
    return any(name in raw for name in _PLUMBING) or any(map(_shows_it, listed))


def _shows_it(message: object) -> bool:
    return isinstance(message, dict) and (
        "tool_calls" in message
        or message.get("role") in ("tool", "function", "developer")
        or isinstance(message.get("content"), list)
    )


def read(raw: Mapping[str, Any]) -> Record:
    """Read a conversation; schemas of tools are left out, they are no one's words.

    Raises:
        BadRecordError: There is no list of messages, or one is not what it should be.
    """
    if "messages" not in raw:
        raise BadRecordError("has no 'messages'")
    return chat.read({name: value for name, value in raw.items() if name not in _PLUMBING})
