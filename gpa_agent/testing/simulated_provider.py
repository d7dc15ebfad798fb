"""A simulation of a language model that answers the project's own prompts.

`SimulatedProvider` is a function from messages to text. It recognises which prompt it is sent
by the system text, reads the quoted data of the user message, and answers by keywords: the
vocabulary of `gpa_agent.testing.wishes`, the words of the topics, turns of praise and complaint,
the manners of groups. That is all it knows. It never sees what a world planted, sees one
question at a time and remembers none, so whatever is found through it was in the texts.

What it is good for: counts of what a pipeline finds, misses and makes up under readings that go
wrong (``noise``), claims without ground (``invent``), obedience to what a log says (``gullible``)
and the same wish in several wordings (``paraphrases``); and crashes, limits and resumption at the
speed of a loopback server. What it cannot show: how well a real model reads real people. No
figure obtained with it is a result about any model.

All chance is a function of the seed and the question's text, never of order or time: the same
question always gets the same answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple

from gpa_agent.errors import UsageError
from gpa_agent.prompts import PromptName, load
from gpa_agent.testing import simulated_comparing, simulated_reading
from gpa_agent.testing.simulated_reading import Choices, Data, Reader

MODEL_NAME = "simulated"
"""What the simulation calls itself; under no circumstances the name of a real model."""


@dataclass(frozen=True, kw_only=True)
class SimulatedProvider:
    """The simulated model; pure.

    Example:
        >>> from gpa_agent.prompts import satisfaction_ask
        >>> ask = satisfaction_ask("Why?", "Because.", "Thanks, that worked.", subject="t:c:0")
        >>> print(SimulatedProvider().answer([("system", ask.system), ("user", ask.data)]))
        {"sat":["gratitude","compliance"],"dsat":[],"verdict":"satisfied","confidence":90}
    """

    noise: float = 0.0
    """Share in [0, 1] of readings that go wrong: the verdict turned, another wish, its opposite."""
    invent: float = 0.0
    """Probability in [0, 1] that an answer holds something without ground: a wish nobody voiced,
    an aspect out of nothing, a number that was not shown."""
    gullible: bool = False
    """Whether it obeys instructions in quoted data."""
    paraphrases: bool = True
    """Whether the same wish is worded in several ways."""
    seed: int = 0
    """Of all chance, together with the question's text."""

    def __post_init__(self) -> None:
        for name in ("noise", "invent"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name}={getattr(self, name)!r} must be between 0 and 1")

    def answer(self, messages: Sequence[tuple[str, str]]) -> str:
        """Answer a question.

        Args:
            messages: ``(role, text)`` in order; a system message and the data first. A repair
                conversation goes on from there and gets the same answer.

        Returns:
            JSON as the prompt asks for it; a plain sentence where the prompt is none of ours.
        """
        task = _task(next((text for role, text in messages if role == "system"), ""))
        said = next((text for role, text in messages if role in {"user", "human"}), "")
        data = _data(said) if task else None
        if task is None or data is None:
            return f"This is a simulation and answers only gpa-agent's prompts. You said: {said}"
        rng = Random(f"{self.seed}/{task.prompt}/{said}")
        reader = Reader(
            noise=self.noise,
            invent=self.invent,
            gullible=self.gullible,
            paraphrases=self.paraphrases,
            rng=rng,
        )
        answer = _ANSWERS[task.prompt](reader, data, task.choices)
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


class _Task(NamedTuple):
    prompt: PromptName
    choices: Choices


@lru_cache(maxsize=256)
def _task(system: str) -> _Task | None:
    """Which of the prompts a system text begins with."""
    for name in _ANSWERS:
        instructions = load(name).instructions
        if system.startswith(instructions):
            return _Task(name, _choices(system[len(instructions) :]))
    return None


def _choices(rest: str) -> Choices:
    """The names of the one object below the instructions: intents or groups."""
    listed = _data(rest[rest.find("{") :]) if "{" in rest else None
    return tuple(one["choice"] for one in (listed or {}).get("choices", ()))


def _data(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


_ANSWERS: dict[PromptName, Callable[[Reader, Data, Choices], dict[str, Any]]] = {
    "satisfaction": simulated_reading.satisfaction,
    "preference_sat": simulated_reading.preference,
    "preference_dsat": simulated_reading.preference,
    "aspects": simulated_comparing.aspects,
    "merging": simulated_comparing.merging,
    "voices": simulated_comparing.voices,
    "validity": simulated_comparing.validity,
    "intent": simulated_reading.intent,
    "group": simulated_reading.group,
}
