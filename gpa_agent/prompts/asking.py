"""One question for a chat model: fixed instructions first, quoted data last.

The system text is the same for every question of a stage, so that a provider's prompt cache
keeps hitting; what differs from question to question is one JSON object in the user message,
whose values are quoted data and never instructions. Messages are built from strings as they
are: nothing here is a template, so nothing from a log can become one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


class Ask(NamedTuple):
    """One question; plain strings, so that it can travel to another process.

    Attributes:
        prompt: Name of the prompt it is built from (`gpa_agent.prompts.load` finds it).
        version: Version of that prompt; part of the call's key.
        system: Instructions and what the operator configured; the same for a whole stage.
        data: The JSON object that holds the quoted data.
        subject: What the question is about (``t:<conversation>:<idx>``,
            ``conversation:<id>``, ``pair:<id>``), so that an answer finds its row and forgetting
            finds the call; None where several people's preferences are in it.
    """

    prompt: str
    version: str
    system: str
    data: str
    subject: str | None = None

    def messages(self) -> list[BaseMessage]:
        """The question as chat messages."""
        from langchain_core.messages import (  # noqa: PLC0415 -- serving loads no prompt
            HumanMessage,
            SystemMessage,
        )

        return [SystemMessage(self.system), HumanMessage(self.data)]
