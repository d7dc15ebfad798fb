"""The miniature's little world: what is asked, and what any answer is put together from.

24 programming tasks are asked about in 15 ways (8 of intent ``howto``, 7 of ``debug``): 360
prompts, of which 72 are held out. An answer names the task and then has any of five segments,
each with the facts of its own task:

====================  =====================================================
``analogy``           "It is like reading a ledger line by line."
``steps``             "First, ... Then ..."
``code``              a line of code in backticks
``jargon``            a sentence with two words of the trade
``warmth``            a kind word at the end
====================  =====================================================

Everything here is made up for the project; a model that learned it knows nothing else.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from random import Random
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pydantic import TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Collection

Feature = Literal["analogy", "steps", "code", "jargon", "warmth"]
"""A segment that an answer may have."""

CHANCE: Final[dict[Feature, float]] = {
    "analogy": 0.4,
    "steps": 0.4,
    "code": 0.45,
    "jargon": 0.4,
    "warmth": 0.35,
}
"""How often an untailored answer has each segment, in the order in which it has them."""

INTENTS: Final = {
    "howto": "Asking how a programming task is done.",
    "debug": "Asking why a programming task fails.",
}
"""The two intents, by description."""

GROUPS: Final = ("novice", "expert")
"""The two groups; `gpa_agent.testing.miniature.checks` says what each of them likes."""

_HELD_OUT: Final = 72


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One thing people want to do, and its facts."""

    name: str
    """What follows "to": ``read a csv file``; every answer holds it."""
    thing: str
    """What it is done to, with its article."""
    code: str
    """One line."""
    analogy: str
    """Follows "It is like"."""


class Prompt(NamedTuple):
    """One question.

    Attributes:
        text: What the user says.
        intent: ``howto`` or ``debug``.
        task: What it is about.
    """

    text: str
    intent: str
    task: Task


@cache
def tasks() -> tuple[Task, ...]:
    """All tasks, in the order of the file."""
    text = (
        resources.files("gpa_agent.testing.miniature")
        .joinpath("tasks.toml")
        .read_text(encoding="utf-8")
    )
    return TypeAdapter(tuple[Task, ...]).validate_python(tomllib.loads(text)["task"])


def prompts(split: Literal["train", "holdout"] = "train") -> tuple[Prompt, ...]:
    """The prompts of a split: 288 to learn from, 72 that nothing learns from.

    Args:
        split: Which; every task is in both.

    Returns:
        Prompts in a fixed random order.
    """
    mixed = _mixed()
    return mixed[:_HELD_OUT] if split == "holdout" else mixed[_HELD_OUT:]


def task_of(text: str) -> Task | None:
    """The task that a prompt names; None where it names none.

    Args:
        text: What was asked.
    """
    said = text.lower()
    return next((task for task in tasks() if task.name in said), None)


def draw_features(rng: Random) -> frozenset[Feature]:
    """Which segments an untailored answer has.

    Args:
        rng: Draws each segment by itself with its `CHANCE`.
    """
    return frozenset(feature for feature, chance in CHANCE.items() if rng.random() < chance)


def write_reply(prompt: Prompt, features: Collection[Feature]) -> str:
    """An answer to a prompt.

    Args:
        prompt: What was asked.
        features: The segments it is to have.

    Returns:
        An opening that names the task, and segments in `CHANCE`'s order, in one line.
    """
    parts = segments(prompt.task)
    kept = [parts[feature] for feature in CHANCE if feature in features]
    return " ".join([openers(prompt.task)[prompt.intent], *kept])


def openers(task: Task) -> dict[str, str]:
    """Intent to how an answer about a task begins."""
    return {
        "howto": f"To {task.name}, begin with {task.thing}.",
        "debug": f"If you cannot {task.name}, look at {task.thing}.",
    }


def segments(task: Task) -> dict[Feature, str]:
    """Segment to its words for a task."""
    return {
        "analogy": f"It is like {task.analogy}.",
        "steps": f"First, open {task.thing}. Then run the call.",
        "code": f"Write `{task.code}`.",
        "jargon": f"Mind the latency and the overhead of {task.thing}.",
        "warmth": "Take your time, you got this.",
    }


_ASKS: Final = {
    "howto": (
        "How do I {}?",
        "How can I {}?",
        "What is the way to {}?",
        "Show me how to {}.",
        "I want to {}, how?",
        "Please explain how to {}.",
        "What do I need to {}?",
        "Is there a good way to {}?",
    ),
    "debug": (
        "Why can I not {}?",
        "I tried to {} and it failed, why?",
        "It crashes when I {}.",
        "What goes wrong when I {}?",
        "I cannot {}, what is broken?",
        "My attempt to {} fails.",
        "Help, I fail to {}!",
    ),
}


@cache
def _mixed() -> tuple[Prompt, ...]:
    asked = [
        Prompt(ask.format(task.name), intent, task)
        for task in tasks()
        for intent, asks in _ASKS.items()
        for ask in asks
    ]
    rng = Random("miniature/prompts")
    return tuple(asked.pop(int(rng.random() * len(asked))) for _ in range(len(asked)))
