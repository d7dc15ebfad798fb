"""The rubric as text in a prompt: one block of our own after the host's system prompt.

The block is a function of (rubric, group) and nothing else, so its bytes are the same in
every turn and a provider's prompt cache keeps hitting; it comes after the host's text, so
the host's cached prefix survives. It never names a group: the model is told what to do, not
whom it is supposed to be talking to. GPA-CT (Group Preference Alignment, section 4.1;
Table 20) lists the rubric in the prompt likewise, but with the group's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from langchain_core.messages import BaseMessage, ChatMessage, SystemMessage

from gpa_agent.conversations.own_text import CLOSE, OPEN, PREAMBLE, without_own_text
from gpa_agent.rubrics.guidance import guidance_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpa_agent.rubrics.records import Rubric

RUBRIC_MESSAGE_ID = "gpa-rubric"
"""Id of the system message that carries the block inside a graph that keeps its own history:
``add_messages`` replaces a message of the same id, so the history never holds two."""

_System = TypeVar("_System", bound=BaseMessage)


def rubric_block(rubric: Rubric, group: str) -> str | None:
    """Write the block for a group.

    Args:
        rubric: The rubric of the turn's intent.
        group: The asker's group; its name does not appear in the block.

    Returns:
        The block, the same bytes for the same arguments; None where no live aspect has
        guidance for the group.
    """
    lines = guidance_lines(rubric, group)
    if not lines:
        return None
    return "\n".join([OPEN, PREAMBLE, *(f"- {line}" for line in lines), CLOSE])


def strip_rubric(text: str) -> str:
    """Remove our own block from a text, so that nothing is ever learnt from it.

    Args:
        text: A prompt, or an answer that quotes one.

    Returns:
        The text without any block; unchanged where there is none.
    """
    return without_own_text(text)


def _without_block(content: str | list[str | dict[str, object]]) -> str | list[object]:
    if isinstance(content, str):
        return strip_rubric(content)
    return [part for part in content if not (isinstance(part, dict) and _is_block(part))]


def _is_block(part: dict[str, object]) -> bool:
    text = part.get("text")
    return isinstance(text, str) and text.startswith(OPEN)


def _appended(system: _System, block: str) -> _System:
    if block in system.text:
        return system
    content = _without_block(system.content)
    if isinstance(content, str):
        updated: object = f"{content}\n\n{block}" if content else block
    else:
        updated = [*content, {"type": "text", "text": block}]
    return system.model_copy(update={"content": updated})


def with_rubric(system: SystemMessage | None, block: str) -> SystemMessage:
    """Append the block to a system message; the message itself is not changed.

    Text stays text and a list of content blocks stays a list; id, ``additional_kwargs`` and
    ``cache_control`` are kept. A block that is there already is not added twice, and one of
    another version is replaced.

    Args:
        system: The host's system message, or None.
        block: What `rubric_block` wrote.

    Returns:
        A system message that starts with the host's own bytes and ends with the block.
    """
    return SystemMessage(content=block) if system is None else _appended(system, block)


def _is_system(message: BaseMessage) -> bool:
    return isinstance(message, SystemMessage) or (
        isinstance(message, ChatMessage) and message.role in {"system", "developer"}
    )


def messages_with_rubric(messages: Sequence[BaseMessage], block: str | None) -> list[BaseMessage]:
    """Put the block into a prompt: after the last leading system message, else in front.

    Args:
        messages: The prompt; neither the list nor a message in it is changed.
        block: What `rubric_block` wrote, or None for a plain turn.

    Returns:
        A new list.
    """
    if block is None:
        return list(messages)
    lead = 0
    while lead < len(messages) and _is_system(messages[lead]):
        lead += 1
    if lead == 0:
        return [SystemMessage(content=block, id=RUBRIC_MESSAGE_ID), *messages]
    return [*messages[: lead - 1], _appended(messages[lead - 1], block), *messages[lead:]]
