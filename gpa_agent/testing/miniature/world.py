"""A simulated log of the miniature: people of two groups whose next utterance judges.

Answers are untailored; what pleases whom is planted (`gpa_agent.testing.miniature.checks.TASTES`)
and shows in what the user says next, in varied words. Prompts are those that are not held out.
The same seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from gpa_agent.conversations.records import Judgment
from gpa_agent.errors import UsageError
from gpa_agent.settings import Intent
from gpa_agent.testing.chance import gauss, pick
from gpa_agent.testing.miniature.domain import GROUPS, INTENTS, draw_features, prompts, write_reply
from gpa_agent.testing.miniature.preferences import pleases
from gpa_agent.testing.utterances import voice

SIMULATED: Final = "gpa_agent.testing.miniature: no person and no model stands behind this"
"""What every record of the log carries under ``simulated``."""

_MOOD: Final = 0.5
"""Standard deviation of a person's own log-odds of being pleased."""


@dataclass(frozen=True, kw_only=True)
class MiniatureWorld:
    """A chat app that answers about 24 programming tasks, and its people.

    Example:
        >>> world = MiniatureWorld(people=2, conversations=1)
        >>> [record["group"] for record in world.log()]
        ['novice', 'novice', 'expert', 'expert']
    """

    people: int = 100
    """People per group."""
    conversations: int = 6
    """Conversations per person, of one answer each; the intents take turns."""
    seed: int = 0
    """Everything follows from it."""

    def __post_init__(self) -> None:
        if self.people < 1 or self.conversations < 1:
            raise UsageError(
                f"people={self.people!r} and conversations={self.conversations!r}: at least 1 each"
            )

    @property
    def groups(self) -> tuple[str, ...]:
        """The two groups."""
        return GROUPS

    def log(self) -> Iterator[dict[str, Any]]:
        """The conversations of all people in our log format, one dictionary each."""
        for group in GROUPS:
            for person in range(self.people):
                for number in range(self.conversations):
                    yield self._conversation(group, person, number)

    def _conversation(self, group: str, person: int, number: int) -> dict[str, Any]:
        user = f"miniature-{self.seed}-{group}-{person:04d}"
        mood = _MOOD * gauss(Random(f"{user}/mood"))
        rng = Random(f"{user}/{number}")
        intent = tuple(INTENTS)[number % len(INTENTS)]
        return {
            "id": f"{user}-{number}",
            "user": user,
            "group": group,
            "intent": intent,
            "messages": list(_messages(group, intent, mood, rng)),
            "simulated": SIMULATED,
        }


def taxonomy() -> dict[str, Intent]:
    """The two intents, with some of their questions as examples."""
    return {
        name: Intent(
            description=description,
            examples=tuple(p.text for p in prompts() if p.intent == name)[:10],
        )
        for name, description in INTENTS.items()
    }


def _messages(group: str, intent: str, mood: float, rng: Random) -> Iterator[dict[str, str]]:
    """A question, its answer, and what the user says of it."""
    prompt = pick(rng, [p for p in prompts() if p.intent == intent])
    answer = write_reply(prompt, draw_features(rng))
    took = Judgment.SAT if pleases(answer, group, rng, own=mood) else Judgment.DSAT
    yield {"role": "user", "content": prompt.text}
    yield {"role": "assistant", "content": answer}
    said = voice(took, about=None, question=prompt.text, onward=None, rng=rng)
    yield {"role": "user", "content": said}
