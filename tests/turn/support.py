"""What the turn's tests share: a rubric, a classifier from a script, a run's config."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gpa_agent.conversations.records import GENERAL_INTENT, Label
from gpa_agent.rubrics.records import Aspect, ContrastModel, Rubric

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = "Give numbered steps, one action each."
TERSE = "Answer in a few words."


def seed(intent: str = GENERAL_INTENT) -> Rubric:
    """A hand-written rubric: novices want steps, experts want few words."""
    return Rubric(
        intent=intent,
        contrast=ContrastModel(group="novice", other="expert"),
        version=1,
        aspects=(
            Aspect(
                name="steps",
                rating=4,
                interpretation="Some want steps.",
                guidance={"novice": STEPS, "expert": TERSE},
                status="live",
            ),
        ),
    )


class Scripted:
    """A classifier that answers what it is told, after a while, and counts its calls."""

    version = "scripted"

    def __init__(self, value: str, confidence: float = 0.9, *, seconds: float = 0.0) -> None:
        self.label = Label(value, confidence, "classifier")
        self.seconds = seconds
        self.seen: list[str] = []

    def classify(self, texts: Sequence[str]) -> list[Label]:
        self.seen.extend(texts)
        time.sleep(self.seconds)
        return [self.label for _ in texts]


class Turns(list[dict[str, Any]]):
    """What was recorded, in order."""


def thread(name: str = "t", **keys: str) -> Any:
    """A run's config for a conversation."""
    return {"configurable": {"thread_id": name, **keys}}
