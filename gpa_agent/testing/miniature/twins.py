"""A simulated writer of twins: answers the prompt ``twin`` by putting segments in or leaving them.

It stands in for a chat model where `alignment.pairs.making` asks for an answer under other
guidance, sees what a model would see, and knows nothing but the miniature.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import BaseMessage, SystemMessage
from pydantic import Field
from typing_extensions import override

from gpa_agent.rubrics.traits import catalogue
from gpa_agent.testing.chat_models import Script, ScriptedChatModel
from gpa_agent.testing.miniature.checks import features
from gpa_agent.testing.miniature.domain import (
    CHANCE,
    Feature,
    Prompt,
    openers,
    task_of,
    write_reply,
)
from gpa_agent.testing.tailoring_model import read_guidance

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_TRAIT: Final[Mapping[str, Feature]] = {
    "analogies": "analogy",
    "code_blocks": "code",
    "enthusiasm": "warmth",
    "inline_code": "code",
    "jargon": "jargon",
    "lists": "steps",
    "steps": "steps",
    "warmth": "warmth",
}
"""The segment by which an answer gets more of a trait."""
_GUIDANCE: Final = "# Guidance"


def wishes_of(system: str) -> dict[Feature, bool]:
    """Read the guidance of a twin's prompt.

    Args:
        system: The system text; guidance stands under its last heading, one bullet a line. The
            catalogue's own words are known exactly, others are read for what they mention.

    Returns:
        Segment to whether it is to be there; later lines win.
    """
    wishes: dict[Feature, bool] = {}
    for line in system.rpartition(_GUIDANCE)[2].splitlines():
        traits = _catalogued().get(line.removeprefix("- ").strip()) or read_guidance([line])
        wishes.update((_OF_TRAIT[t], more) for t, more in traits.items() if t in _OF_TRAIT)
    return wishes


def rewrite(question: str, answer: str, wishes: Mapping[Feature, bool]) -> str:
    """An answer to the same question with other segments.

    Args:
        question: What was asked.
        answer: What was answered.
        wishes: Segments to put in or leave out; the others stay as they are.

    Returns:
        The answer; empty where the question is about no task of the miniature.
    """
    task = task_of(question) or task_of(answer)
    if task is None:
        return ""
    found = features(answer)
    kept: list[Feature] = [f for f in CHANCE if wishes.get(f, f in found)]
    opened = (i for i, opener in openers(task).items() if answer.startswith(opener))
    return write_reply(Prompt(question, next(opened, "howto"), task), kept)


def answer_twin(messages: list[BaseMessage]) -> str:
    """Answer the prompt ``twin``.

    Args:
        messages: The system text with the guidance, and the data as JSON.

    Returns:
        JSON with ``response``.
    """
    system = "\n".join(m.text for m in messages if isinstance(m, SystemMessage))
    data = _data(messages[-1].text)
    said = rewrite(str(data.get("question", "")), str(data.get("answer", "")), wishes_of(system))
    return json.dumps({"response": said})


class TwinWriter(ScriptedChatModel):
    r"""Writes twins of the miniature's answers; simulated, and good for nothing else.

    Example:
        >>> writer = TwinWriter()
        >>> told = [
        ...     ("system", "# Guidance\n- Explain with an analogy from everyday life."),
        ...     ("user", '{"question": "How do I sort a list?", "answer": ""}'),
        ... ]
        >>> writer.invoke(told).text[-42:]
        'It is like lining up children by height."}'
    """

    script: Script = Field(default_factory=lambda: answer_twin)
    """Reads the prompt; see `answer_twin`."""
    model_name: str = "miniature-twins"
    """What traces and pairs call the model."""

    @property
    @override
    def _llm_type(self) -> str:
        return "gpa-simulated"


def _data(text: str) -> dict[str, Any]:
    """The data of a prompt: the JSON object that the text holds."""
    start = text.find("{")
    try:
        data, _ = json.JSONDecoder().raw_decode(text[start:]) if start >= 0 else ({}, 0)
    except json.JSONDecodeError:
        return {}
    return data if isinstance(data, dict) else {}


@cache
def _catalogued() -> dict[str, dict[str, bool]]:
    """The catalogue's guidance to the trait it speaks of and whether it wants more."""
    said = [(t.more, t.name, True) for t in catalogue()]
    said += [(t.less, t.name, False) for t in catalogue()]
    return {words: {name: more} for words, name, more in said if words}
