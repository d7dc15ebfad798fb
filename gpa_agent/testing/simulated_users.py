"""A simulated user: tastes planted in advance, and reactions drawn from them.

Satisfaction with an answer is Bernoulli with log-odds::

    base + mood + sum over features of (taste + own taste) * z

where z is the feature of the answer's text in standard deviations over untailored answers of
the intent (`gpa_agent.testing.answers.measure`), the taste is the group's and own taste and
mood are the person's own. With probability ``label_noise`` the user then shows the opposite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from gpa_agent.conversations.records import Judgment
from gpa_agent.testing.answers import FEATURES, assemble, draw_recipe, measure, standardise
from gpa_agent.testing.topics import topics_of
from gpa_agent.testing.utterances import voice

if TYPE_CHECKING:
    from collections.abc import Mapping


class Reaction(NamedTuple):
    """How a simulated user took an answer.

    Attributes:
        judgment: SAT or DSAT, after label noise: what a thumb would say.
        utterance: What the user says next; may say nothing about the answer.
    """

    judgment: Judgment
    utterance: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedUser:
    """One person of a simulated world."""

    id: str
    """Made up; no person stands behind it."""
    group: str
    """The group the log names for this person."""
    tastes: Mapping[str, Mapping[str, float]]
    """Intent to feature to log-odds of SAT per standard deviation, the group's."""
    own: Mapping[str, float] = field(default_factory=dict[str, float])
    """The person's own addition to every intent's tastes."""
    mood: float = 0.0
    """Log-odds added to every answer: some people are easily pleased."""
    base: float = 0.0
    """Log-odds of an average answer."""
    label_noise: float = 0.0
    """Probability in [0, 0.5) of showing the opposite of what was felt."""
    voiced: float = 1.0
    """Probability in [0, 1] that the next utterance shows it at all."""

    def contributions(self, intent: str, answer: str) -> dict[str, float]:
        """What each feature of an answer adds to the log-odds of satisfaction.

        Args:
            intent: What the answer is about.
            answer: Its text.
        """
        centre, spread = untailored(intent)
        z = standardise(measure(answer), centre, spread)
        tastes = self.tastes.get(intent, {})
        return {f: (tastes.get(f, 0.0) + self.own.get(f, 0.0)) * z[f] for f in FEATURES}

    def satisfaction(self, intent: str, answer: str) -> float:
        """Probability in (0, 1) that the answer pleases, before label noise."""
        logit = self.base + self.mood + sum(self.contributions(intent, answer).values())
        return 1 / (1 + math.exp(-logit))

    def react(
        self, intent: str, answer: str, *, question: str, onward: str | None, rng: Random
    ) -> Reaction:
        """Take an answer.

        Args:
            intent: What it is about.
            answer: Its text, from a simulated or a real model.
            question: The question it answers.
            onward: What this user asks next; None ends the conversation.
            rng: Source of randomness; the same state gives the same reaction.
        """
        pleased = rng.random() < self.satisfaction(intent, answer)
        if rng.random() < self.label_noise:
            pleased = not pleased
        judgment = Judgment.SAT if pleased else Judgment.DSAT
        shown = judgment if rng.random() < self.voiced else Judgment.NEITHER
        about = self._wish(intent, answer) if rng.random() < 0.4 else None
        said = voice(shown, about=about, question=question, onward=onward, rng=rng)
        return Reaction(judgment, said)

    def _wish(self, intent: str, answer: str) -> str | None:
        """What the user would change first, if one feature stands out."""
        parts = self.contributions(intent, answer)
        worst = min(parts, key=parts.__getitem__)
        if parts[worst] > -0.3:
            return None
        taste = self.tastes.get(intent, {}).get(worst, 0.0) + self.own.get(worst, 0.0)
        return f"{'more' if taste > 0 else 'less'} {worst}"


@cache
def untailored(intent: str) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation of every feature over untailored answers of an intent.

    Args:
        intent: Any name; the answers are about its topics.

    Returns:
        ``(centre, spread)``; a feature that never varies has spread 0.
    """
    subjects = topics_of(intent)
    rows: list[dict[str, float]] = []
    for n in range(600):
        rng = Random(f"untailored/{n}")
        rows.append(measure(assemble(subjects[n % len(subjects)], draw_recipe(rng), rng)))
    centre = {f: math.fsum(r[f] for r in rows) / len(rows) for f in FEATURES}
    spread = {
        f: math.sqrt(math.fsum((r[f] - centre[f]) ** 2 for r in rows) / len(rows)) for f in FEATURES
    }
    return centre, spread
