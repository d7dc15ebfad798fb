"""Simulated users who keep coming back to an app, over days, with tastes that may flip.

`gpa_agent.testing.chat_world` writes a log that is finished; here the app answers, so what it
has learned meanwhile shows in what users say next. `LivingWorld.visits` says who comes when and
asks what, `Visit.talk` holds the conversation with whatever answers. Time is simulated: a
`SimulatedClock` moves from visit to visit and nobody waits.

A flip exchanges the tastes of the groups: every person stays who they are (their own tastes,
their mood), and what divides the groups turns into its opposite.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from gpa_agent.testing.chance import pick
from gpa_agent.testing.chat_world import ChatWorld
from gpa_agent.testing.topics import topics_of
from gpa_agent.testing.utterances import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpa_agent.conversations.records import Judgment
    from gpa_agent.testing.simulated_users import SimulatedUser

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
"""When simulated time begins: a Monday morning."""

_LEAVES = 0.35
"""Probability of leaving after an answer, once two are given."""


class SimulatedClock:
    """Tells a time that moves only when it is told to.

    Args:
        now: What it shows first.

    Example:
        >>> clock = SimulatedClock()
        >>> clock.advance(timedelta(days=1))
        >>> clock().isoformat()
        '2026-01-06T08:00:00+00:00'
    """

    def __init__(self, now: datetime = START) -> None:
        self._now = now

    def __call__(self) -> datetime:
        """The simulated time, in UTC."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move on, or back where a clock is to be set wrongly.

        Args:
            by: How far.
        """
        self._now += by


class Turn(NamedTuple):
    """One answer, and how it was taken.

    Attributes:
        said: What the user said.
        answer: What the app answered.
        satisfaction: Probability in (0, 1) that this answer pleases this user.
        judgment: What a thumb would say: drawn from it, after label noise.
    """

    said: str
    answer: str
    satisfaction: float
    judgment: Judgment


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """One user with one matter."""

    thread: str
    """Name of the conversation."""
    at: datetime
    """When it begins."""
    person: SimulatedUser
    intent: str
    opening: str
    """The question without the user's manner of asking."""
    said: str
    """How the user puts it."""
    onward: tuple[str, ...]
    """What the user asks after each answer; one fewer than there are answers."""
    thumb: bool
    """Whether the last answer, which no words follow, gets a thumb."""
    seed: str
    """Decides how answers are taken."""

    def talk(self, answer: Callable[[str], str]) -> Iterator[Turn]:
        """Hold the conversation; each turn comes as soon as it has been answered.

        Args:
            answer: The app: takes what the user says and returns what it answers.
        """
        rng = Random(self.seed)
        question, said = self.opening, self.said
        for onward in (*self.onward, None):
            text = answer(said)
            reaction = self.person.react(
                self.intent, text, question=question, onward=onward, rng=rng
            )
            pleasing = self.person.satisfaction(self.intent, text)
            yield Turn(said, text, pleasing, reaction.judgment)
            question, said = onward or question, reaction.utterance


@dataclass(frozen=True, kw_only=True)
class LivingWorld:
    """People of a `ChatWorld` who come and go.

    Example:
        >>> world = LivingWorld(world=ChatWorld(seed=1))
        >>> visit = next(world.visits())
        >>> [turn.judgment.name for turn in visit.talk(lambda said: "Have a look at the log.")]
        ['SAT', 'SAT', 'DSAT']
    """

    world: ChatWorld = field(default_factory=ChatWorld)
    """Who the people are and what they like; its ``conversations`` and ``answers`` are not used."""
    visits_a_day: float = 20.0
    """Conversations per simulated day."""
    longest: int = 4
    """Most answers in a conversation, at least two."""

    def flipped(self) -> LivingWorld:
        """The same people with the tastes of the groups exchanged: each has its neighbour's."""
        groups, tastes = self.world.groups, self.world.tastes
        moved = zip(groups, (*groups[1:], groups[0]), strict=True)
        exchanged = {group: tastes[neighbour] for group, neighbour in moved}
        return replace(self, world=replace(self.world, tastes=exchanged))

    def visits(self, *, first: int = 0) -> Iterator[Visit]:
        """Who comes, one after the other, without end.

        Args:
            first: Number of the visit to begin with; the same number is always the same visit.
        """
        number = first
        while True:
            yield self._visit(number)
            number += 1

    def _visit(self, number: int) -> Visit:
        world = self.world
        seed = f"{world.seed}/visit/{number}"
        rng = Random(seed)
        group, intent = pick(rng, world.groups), pick(rng, world.intents)
        person = world.person(group, int(rng.random() * world.people))
        topic = pick(rng, topics_of(intent))
        opening = pick(rng, topic.asks)
        more = list(topic.followups)
        onward = [more.pop(int(rng.random() * len(more)))]
        while len(onward) < self.longest - 1 and more and rng.random() > _LEAVES:
            onward.append(more.pop(int(rng.random() * len(more))))
        return Visit(
            thread=f"visit-{world.seed}-{number:06d}",
            at=START + timedelta(days=number / self.visits_a_day),
            person=person,
            intent=intent,
            opening=opening,
            said=ask(opening, group, rng),
            onward=tuple(onward),
            thumb=rng.random() < world.explicit,
            seed=f"{seed}/taken",
        )
