"""A simulated chat app with planted truth at the level of text.

Run it::

    python -m gpa_agent.testing.chat_world --out log.jsonl.gz --taxonomy taxonomy.json

`ChatWorld` writes a log in our format: simulated users of several groups ask, answers are
assembled from parts with correlated probabilities, and the next user utterance shows (or
does not show) whether the answer pleased. Which parts please which group is planted, so that
you can try your own settings on it and count what is found, missed and made up. One intent
of the default world has tastes that are the same in all groups: its rubric must be empty.
In a ``null`` world every person has the tastes of a random group, whatever group the log
names, so nothing at all may be found.

Everything is simulated and says so in each record. The same seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from gpa_agent.errors import UsageError
from gpa_agent.settings import Intent
from gpa_agent.testing.answers import FEATURES, assemble, draw_recipe
from gpa_agent.testing.chance import gauss, pick
from gpa_agent.testing.simulated_users import Reaction, SimulatedUser
from gpa_agent.testing.topics import Topic, topics, topics_of
from gpa_agent.testing.utterances import ask
from gpa_agent.testing.world_logs import write_from_command_line

Tastes = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Group to intent to feature to log-odds of SAT per standard deviation."""

_SHARED = {"lists": 0.6, "headings": 0.4, "questions_back": 0.3}

DEMO_TASTES: Tastes = {
    "novice": {
        "debugging": {"steps": 1.0, "warmth": 0.6, "jargon": -0.7},
        "explanation": {"analogies": 1.0, "definitions": 0.8, "jargon": -0.7},
        "planning": _SHARED,
    },
    "expert": {
        "debugging": {"steps": -0.7, "warmth": -0.6, "code_blocks": 1.2},
        "explanation": {"analogies": -0.7, "summary_first": 1.0, "jargon": 0.6},
        "planning": _SHARED,
    },
}
"""What the bundled log was made with; planning does not differ between the groups."""

TAXONOMY: dict[str, str] = {
    "debugging": "Finding out why code or a program does not do what it should, and repairing it.",
    "explanation": "Understanding a concept: what it is, how it works, why it is so.",
    "planning": "Planning something ahead: a trip, a meal, a training, a move, a budget.",
}
"""The intents of the default world, by description."""

SIMULATED = "gpa_agent.testing.chat_world: no person and no model stands behind this"
"""What every record of a simulated log carries under ``simulated``."""


@dataclass(frozen=True, kw_only=True)
class ChatWorld:
    """A chat app whose users' tastes are known.

    Example:
        >>> world = ChatWorld(seed=1, people=2, conversations=1)
        >>> [record["group"] for record in world.log()]
        ['novice', 'novice', 'expert', 'expert']
    """

    tastes: Tastes = field(default_factory=lambda: DEMO_TASTES)
    """What pleases whom; its keys are the groups."""
    intents: tuple[str, ...] = tuple(TAXONOMY)
    """Each person goes through them in turn."""
    people: int = 120
    """People per group."""
    conversations: int = 6
    """Conversations per person."""
    answers: tuple[int, int] = (1, 3)
    """Least and most answers per conversation."""
    base: float = 0.2
    """Log-odds of SAT of an average answer."""
    own_taste: float = 0.2
    """Standard deviation of a person's own taste for each feature, in log-odds."""
    mood: float = 0.5
    """Standard deviation of a person's own log-odds."""
    label_noise: float = 0.05
    """Probability in [0, 0.5) of showing the opposite of what was felt."""
    voiced: float = 0.85
    """Probability in [0, 1] that the next utterance shows what was felt."""
    explicit: float = 0.4
    """Share in [0, 1] of conversations whose answers carry a thumb."""
    null: bool = False
    """Whether groups differ in nothing but their name and manner of asking."""
    seed: int = 0
    """Everything follows from it."""

    def __post_init__(self) -> None:
        if not self.tastes or not self.intents:
            raise UsageError("ChatWorld needs at least one group in tastes and one intent")
        for group, intents in self.tastes.items():
            for intent, features in intents.items():
                unknown = set(features) - set(FEATURES)
                if unknown:
                    raise UsageError(
                        f"tastes[{group!r}][{intent!r}] names {sorted(unknown)!r}; "
                        f"simulated answers vary in {list(FEATURES)!r}"
                    )
        low, high = self.answers
        if not 1 <= low <= high or self.people < 1 or self.conversations < 1:
            raise UsageError(
                f"people={self.people!r}, conversations={self.conversations!r} and "
                f"answers={self.answers!r} must be at least 1, the least first"
            )

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups, in the order of the tastes."""
        return tuple(self.tastes)

    def planted(self, intent: str, group: str, other: str) -> dict[str, float]:
        """The truth: by how much two groups' tastes differ, where they do.

        Args:
            intent: One of the intents.
            group: The first-named group; positive means it likes the feature more.
            other: The group it is compared with.
        """
        if self.null:
            return {}
        ours, theirs = (self.tastes[g].get(intent, {}) for g in (group, other))
        gaps = {f: ours.get(f, 0.0) - theirs.get(f, 0.0) for f in FEATURES}
        return {f: gap for f, gap in gaps.items() if gap}

    def person(self, group: str, number: int) -> SimulatedUser:
        """One of a group's people; the same number is always the same person.

        Args:
            group: One of the groups.
            number: Any whole number; the log has those below ``people``.
        """
        if group not in self.tastes:
            raise UsageError(f"group {group!r} is not one of {list(self.groups)!r}")
        rng = Random(f"{self.seed}/person/{group}/{number}")
        like = pick(rng, self.groups) if self.null else group
        return SimulatedUser(
            id=f"simulated-{self.seed}-{self.groups.index(group)}-{number:04d}",
            group=group,
            tastes=self.tastes[like],
            own={f: self.own_taste * gauss(rng) for f in FEATURES},
            mood=self.mood * gauss(rng),
            base=self.base,
            label_noise=self.label_noise,
            voiced=self.voiced,
        )

    def log(self) -> Iterator[dict[str, Any]]:
        """The conversations of all people in our log format, one dictionary each."""
        for group in self.groups:
            for number in range(self.people):
                person = self.person(group, number)
                for n in range(self.conversations):
                    yield self._conversation(person, n)

    def question(self, intent: str, group: str, number: int = 0) -> str:
        """A question of an intent in the manner of a group."""
        rng = Random(f"{self.seed}/question/{intent}/{group}/{number}")
        return ask(pick(rng, pick(rng, topics_of(intent)).asks), group, rng)

    def react(
        self,
        intent: str,
        group: str,
        answer: str,
        *,
        person: int = 0,
        question: str = "my question",
        onward: str | None = None,
    ) -> Reaction:
        """How a simulated user of a group takes an answer, from whichever model.

        Args:
            intent: What the answer is about.
            group: The user's group.
            answer: Its text.
            person: Which of the group's people.
            question: The question it answers.
            onward: What the user asks next; None ends the conversation.
        """
        rng = Random(f"{self.seed}/react/{intent}/{group}/{person}/{question}/{answer}")
        user = self.person(group, person)
        return user.react(intent, answer, question=question, onward=onward, rng=rng)

    def _conversation(self, person: SimulatedUser, n: int) -> dict[str, Any]:
        rng = Random(f"{self.seed}/conversation/{person.id}/{n}")
        intent = self.intents[n % len(self.intents)]
        topic = pick(rng, topics_of(intent))
        low, high = self.answers
        count = low + int(rng.random() * (high - low + 1))
        thumbs = rng.random() < self.explicit
        messages = list(_messages(person, intent, topic, count=count, thumbs=thumbs, rng=rng))
        return {
            "id": f"{person.id}-{n}",
            "user": person.id,
            "group": person.group,
            "intent": intent,
            "messages": messages,
            "simulated": SIMULATED,
        }


def _messages(
    person: SimulatedUser, intent: str, topic: Topic, *, count: int, thumbs: bool, rng: Random
) -> Iterator[dict[str, Any]]:
    """The messages of one conversation; it ends with the user's reaction to the last answer."""
    question = pick(rng, topic.asks)
    said = ask(question, person.group, rng)
    followups = list(topic.followups)
    for left in range(count - 1, -1, -1):
        yield {"role": "user", "content": said}
        answer = assemble(topic, draw_recipe(rng), rng)
        onward = followups.pop(int(rng.random() * len(followups))) if left and followups else None
        reaction = person.react(intent, answer, question=question, onward=onward, rng=rng)
        thumb = {"judgment": int(reaction.judgment)} if thumbs else {}
        yield {"role": "assistant", "content": answer, **thumb}
        question, said = onward or question, reaction.utterance
        if onward is None:
            break
    yield {"role": "user", "content": said}


def taxonomy() -> dict[str, Intent]:
    """The intents of the default world, with the opening questions as examples."""
    return {
        name: Intent(
            description=description,
            examples=tuple(q for t in topics() if t.intent == name for q in t.asks),
        )
        for name, description in TAXONOMY.items()
    }


def main(argv: list[str] | None = None) -> None:
    """Write a simulated log (and its taxonomy) to files."""
    write_from_command_line(
        argv,
        ChatWorld,
        taxonomy,
        module="gpa_agent.testing.chat_world",
        about="Write the log of a simulated chat app with planted preferences.",
        people=120,
        conversations=6,
    )


if __name__ == "__main__":
    main()
