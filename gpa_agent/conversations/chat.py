"""Our own JSON Lines, which OpenAI's ``messages`` lines are a part of.

A line is a conversation (``messages``) or a preference pair (``chosen``, ``rejected`` and,
unless both start with it, ``prompt``; each a list of messages or a text, as in TRL's
conversational and standard preference formats). Fields we do not know become metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gpa_agent.conversations.fields import (
    BadRecordError,
    derived_id,
    id_of,
    kind,
    name_of,
    rest_of,
)
from gpa_agent.conversations.messages import (
    Said,
    joined,
    read_messages,
    said_text,
    system_text,
    turns_of,
)
from gpa_agent.conversations.records import Conversation, Message, PreferencePair, Record, Turn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHARED: Final = frozenset({"id", "user", "group", "intent"})
_CONVERSATION: Final = _SHARED | {"messages"}
_PAIR: Final = _SHARED | {"prompt", "chosen", "rejected"}


def looks_like(raw: Mapping[str, Any]) -> bool:
    """Whether a record has the fields of this format."""
    return isinstance(raw.get("messages"), list) or ("chosen" in raw and "rejected" in raw)


def read(raw: Mapping[str, Any]) -> Record:
    """Read a conversation or a preference pair.

    Raises:
        BadRecordError: It is neither, or its fields are not what they should be.
    """
    if "chosen" in raw or "rejected" in raw:
        return _pair(raw)
    if "messages" in raw:
        return _conversation(raw)
    raise BadRecordError("has neither 'messages' nor 'chosen' and 'rejected'")


def conversation_id(turns: Sequence[Turn], *names: str | None) -> str:
    """The id of a conversation whose log gives none, from what was said."""
    parts = [name or "" for name in names]
    for turn in turns:
        parts += (turn.user, "\x00" if turn.assistant is None else turn.assistant)
    return derived_id(parts)


def _conversation(raw: Mapping[str, Any]) -> Conversation:
    said = read_messages(raw["messages"], "messages")
    turns = turns_of(said)
    group, intent = name_of(raw, "group"), name_of(raw, "intent")
    metadata = rest_of(raw, _CONVERSATION)
    if system := system_text(said):
        metadata.setdefault("system", system)
    return Conversation(
        id=id_of(raw, "id") or conversation_id(turns, group, intent),
        turns=turns,
        user=id_of(raw, "user"),
        group=group,
        intent=intent,
        metadata=metadata,
    )


def _pair(raw: Mapping[str, Any]) -> PreferencePair:
    prompt, chosen, rejected = _sides(raw)
    if not prompt or prompt[-1].role != "user":
        raise BadRecordError("'prompt' must end with a user's message")
    better, worse = _answer(chosen, "chosen"), _answer(rejected, "rejected")
    if better == worse:
        raise BadRecordError("'chosen' and 'rejected' are the same answer")
    group, intent = name_of(raw, "group"), name_of(raw, "intent")
    parts = [part for said in prompt for part in (said.role, said.text)]
    return PreferencePair(
        id=id_of(raw, "id") or derived_id([group or "", intent or "", *parts, better, worse]),
        prompt=tuple(Message(said.role, said.text) for said in prompt),
        chosen=better,
        rejected=worse,
        user=id_of(raw, "user"),
        group=group,
        intent=intent,
        metadata=rest_of(raw, _PAIR),
    )


def _sides(raw: Mapping[str, Any]) -> tuple[list[Said], list[Said], list[Said]]:
    """Prompt, chosen and rejected as messages, the prompt taken out of both where implicit."""
    chosen = _side(raw.get("chosen"), "chosen", "assistant")
    rejected = _side(raw.get("rejected"), "rejected", "assistant")
    if raw.get("prompt") is not None:
        return _side(raw["prompt"], "prompt", "user"), chosen, rejected
    if isinstance(raw.get("chosen"), str) or isinstance(raw.get("rejected"), str):
        raise BadRecordError("a pair of texts needs a 'prompt'")
    shared = 0
    for ours, theirs in zip(chosen[:-1], rejected[:-1], strict=False):
        if ours[:2] != theirs[:2]:
            break
        shared += 1
    return chosen[:shared], chosen[shared:], rejected[shared:]


def _side(value: object, name: str, role: str) -> list[Said]:
    if isinstance(value, str):
        return [Said(role, text)] if (text := said_text(value)).strip() else []
    if value is None:
        raise BadRecordError(f"{name!r} is missing")
    if not isinstance(value, list):
        raise BadRecordError(f"{name!r} must be text or a list of messages, not {kind(value)}")
    return read_messages(value, name)


def _answer(side: list[Said], name: str) -> str:
    if any(said.role == "user" for said in side):
        raise BadRecordError(f"{name!r} must hold only the assistant's answer after the prompt")
    spoken = joined(said for said in side if said.role == "assistant")
    if not spoken:
        raise BadRecordError(f"{name!r} holds no answer")
    return spoken[0].text
