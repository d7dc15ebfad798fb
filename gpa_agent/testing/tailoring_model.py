"""A simulated chat model that does what the guidance in its prompt says.

It stands in for a real model where no key is set, and sees what a real model would see: the
messages, nothing else. It reads the bulleted guidance of the system messages, turns each
bullet into "more" or "less" of a part, and assembles an answer on the nearest topic it knows
with those parts put in or left out. What the guidance does not speak of varies from answer to
answer as in `gpa_agent.testing.answers`. The same messages give the same answer.
"""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from pydantic import Field
from typing_extensions import override

from gpa_agent.testing.answers import PARTS, Recipe, assemble, draw_recipe
from gpa_agent.testing.chat_models import Script, ScriptedChatModel
from gpa_agent.testing.topics import nearest_topic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def tailored_answer(messages: list[BaseMessage]) -> str:
    """Answer the last question as the guidance in the system messages asks.

    Args:
        messages: A prompt.

    Returns:
        A simulated answer in Markdown.
    """
    said = [m.text for m in messages if isinstance(m, HumanMessage)]
    question = said[-1] if said else ""
    # A follow-up ("Is it slower?") names no topic; the whole talk does.
    topic = nearest_topic(" ".join(said))
    wishes = read_guidance(m.text for m in messages if isinstance(m, SystemMessage))
    rng = Random(f"{len(said)}/{question}")
    return assemble(topic, _follow(draw_recipe(rng), wishes), rng)


def read_guidance(texts: Sequence[str] | Iterator[str]) -> dict[str, bool]:
    """Turn bulleted guidance into parts to put in (True) or leave out (False).

    Args:
        texts: System messages; only lines that start with a bullet are read.

    Returns:
        Feature to more or less; where bullets contradict each other the last one counts.
    """
    wishes: dict[str, bool] = {}
    for text in texts:
        for line in text.splitlines():
            bullet = re.match(r"\s*[-*•]\s+(.+)", line)
            if bullet:
                wishes.update(_read_bullet(bullet.group(1)))
    return wishes


class TailoringChatModel(ScriptedChatModel):
    """Answers as the guidance in its prompt asks; simulated, and good only for trying things out.

    Example:
        >>> model = TailoringChatModel()
        >>> told = [("system", "- Use numbered steps."), ("user", "How do I fix a KeyError?")]
        >>> "1. " in model.invoke(told).text
        True
    """

    script: Script = Field(default_factory=lambda: tailored_answer)
    """Reads the prompt; see `tailored_answer`."""
    model_name: str = "simulated"
    """What traces call the model."""

    @property
    @override
    def _llm_type(self) -> str:
        return "gpa-simulated"


def _follow(recipe: Recipe, wishes: dict[str, bool]) -> Recipe:
    wanted = {part for part in PARTS if wishes.get(part)}
    unwanted = {part for part in PARTS if wishes.get(part) is False}
    details = recipe.details
    if "length" in wishes:
        details = 3 if wishes["length"] else 0
    return Recipe(parts=(recipe.parts | wanted) - unwanted, details=details)


def _read_bullet(text: str) -> dict[str, bool]:
    """The features a bullet speaks of; the first mention of each counts."""
    wishes: dict[str, bool] = {}
    for clause, opposed in _clauses(text.lower()):
        less = opposed != bool(_LESS.search(clause))
        for feature, words in _WORDS.items():
            if words.search(clause):
                wishes.setdefault(feature, not less)
    return wishes


def _clauses(text: str) -> Iterator[tuple[str, bool]]:
    """Pieces of a sentence, each with whether it names what is not wanted."""
    for piece in re.split(r"[;:.](?:\s|$)|,\s", text):
        kept, *opposed = re.split(r"\b(?:instead of|rather than|not)\b", piece)
        yield kept, False
        for part in opposed:
            yield part, True


_LESS = re.compile(
    r"\b(?:avoid|fewer|less|no|without|skip|leave out|leave off|drop|omit|don't|never|"
    r"sparingly|only if|only when|only where|limit|at most|keep .{0,20}(?:few|minimum|rare)|"
    r"short|shorter|brief|briefly|concise|plain words|plain language|everyday words)\b"
)
_WORDS: dict[str, re.Pattern[str]] = {
    "length": re.compile(r"\b(?:length|longer|shorter|short|brief|briefly|concise|detail)\b"),
    "steps": re.compile(r"\bsteps?\b|\bnumbered\b"),
    "lists": re.compile(r"\bbullets?\b|\bbulleted\b|\blists?\b(?<!numbered list)"),
    "headings": re.compile(r"\bheadings?\b|\bheaders?\b"),
    "code_blocks": re.compile(r"\bcode\b|\bsnippets?\b"),
    "examples": re.compile(r"\bexamples?\b"),
    "analogies": re.compile(r"\banalog(?:y|ies)\b|\bcomparisons?\b|\bmetaphors?\b"),
    "definitions": re.compile(r"\bdefin(?:e|es|itions?)\b|\bexplain (?:the )?terms?\b"),
    "jargon": re.compile(r"\bjargon\b|\btechnical (?:terms?|words?|vocabulary|language)\b"),
    "hedging": re.compile(r"\bhedg(?:e|es|ing)\b|\buncertain(?:ty)?\b|\btentative\b"),
    "warmth": re.compile(r"\bwarm(?:th|ly)?\b|\bencourag\w+\b|\bfriendl\w+\b|\bcheer\w*\b"),
    "summary_first": re.compile(
        r"\bsummar(?:y|ise|ize)\b|\bconclusion first\b|\bin short\b|\banswer first\b"
    ),
    "questions_back": re.compile(r"\bquestions?\b|\bask(?: back)?\b"),
}
