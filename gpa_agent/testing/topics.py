"""What simulated users ask about, and the parts simulated answers are put together from.

The text lies in ``topics.toml`` beside this module and was written for the project: nothing
comes from a log or a person. A topic belongs to one intent (debugging, explanation,
planning) of an imagined app that helps people to code, to learn and to plan.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pydantic import TypeAdapter


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """One thing people ask about."""

    name: str
    """Short noun phrase."""
    intent: str
    """The intent its questions belong to."""
    asks: tuple[str, ...]
    """Questions that open a conversation."""
    followups: tuple[str, ...]
    """Questions that carry it on."""
    core: str
    """The answer in one sentence; every answer holds it."""
    details: tuple[str, ...]
    """Sentences that make an answer longer."""
    steps: tuple[str, ...]
    """The items of a numbered list."""
    points: tuple[str, ...]
    """The items of a bullet list."""
    code: str
    """A code block; empty where the topic has none."""
    example: str
    """Follows "For example,"."""
    analogy: str
    """Follows "It is like"."""
    term: str
    """What is defined."""
    definition: str
    """Follows "<term> means"."""
    jargon: str
    """A sentence in the words of the trade."""


@cache
def topics() -> tuple[Topic, ...]:
    """All topics, in the order of the file."""
    text = resources.files("gpa_agent.testing").joinpath("topics.toml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[Topic, ...]).validate_python(tomllib.loads(text)["topic"])


def topics_of(intent: str) -> tuple[Topic, ...]:
    """The topics of an intent; all of them where no topic names it, so that any name works.

    Args:
        intent: A name of the caller's taxonomy.
    """
    return tuple(t for t in topics() if t.intent == intent) or topics()


def nearest_topic(text: str) -> Topic:
    """The topic whose questions share most words with a text; the first one where none does.

    Args:
        text: What a user said.
    """
    words = _words(text)

    def overlap(topic: Topic) -> float:
        return max(
            len(words & _words(q)) / (1 + len(_words(q))) for q in (*topic.asks, *topic.followups)
        )

    return max(topics(), key=overlap)


def _words(text: str) -> frozenset[str]:
    cleaned = "".join(c if c.isalnum() else " " for c in text.lower())
    return frozenset(w for w in cleaned.split() if len(w) > 2)
