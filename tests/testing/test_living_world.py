"""Simulated users who come back: the same visits every time, and tastes that flip exactly."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from random import Random

from gpa_agent.testing.answers import Recipe, assemble
from gpa_agent.testing.chat_world import ChatWorld
from gpa_agent.testing.living_world import START, LivingWorld, SimulatedClock
from gpa_agent.testing.topics import topics_of

WORLD = LivingWorld(world=ChatWorld(seed=3, people=10))


def test_the_same_number_is_the_same_visit() -> None:
    visits = list(islice(WORLD.visits(), 30))
    assert next(WORLD.visits(first=17)).thread == visits[17].thread
    assert next(WORLD.visits(first=17)).said == visits[17].said
    assert len({v.thread for v in visits}) == 30
    assert visits[20].at == START + timedelta(days=1)
    assert {len(v.onward) + 1 for v in visits} <= {2, 3, 4}


def test_people_come_back() -> None:
    people = [v.person.id for v in islice(WORLD.visits(), 200)]
    # Twenty people, 200 visits: whoever never comes has a chance of 0.95 ** 200 < 1e-4.
    assert len(set(people)) == 20


def test_a_talk_goes_on_until_the_last_answer_and_takes_what_was_answered() -> None:
    visit = next(v for v in WORLD.visits() if len(v.onward) == 2)
    heard: list[str] = []
    turns = list(visit.talk(lambda said: heard.append(said) or "It is like a list."))  # type: ignore[func-returns-value]
    assert [t.said for t in turns] == heard
    assert heard[0] == visit.said
    assert len(turns) == 3
    assert turns == list(visit.talk(lambda said: "It is like a list."))
    assert all(0 < t.satisfaction < 1 for t in turns)


def test_a_flip_exchanges_what_pleases_the_groups_and_nothing_else() -> None:
    flipped = WORLD.flipped()
    assert flipped.flipped() == WORLD
    planted = WORLD.world.planted("debugging", "novice", "expert")
    assert flipped.world.planted("debugging", "novice", "expert") == {
        feature: -gap for feature, gap in planted.items()
    }
    before, after = next(WORLD.visits(first=5)), next(flipped.visits(first=5))
    assert (before.said, before.person.own) == (after.said, after.person.own)
    assert before.person.tastes != after.person.tastes


def test_what_pleased_displeases_after_the_flip() -> None:
    topic = topics_of("debugging")[0]
    steps = assemble(topic, Recipe(parts=frozenset({"steps"}), details=0), Random(0))
    now, then = WORLD.world, WORLD.flipped().world
    for number in range(10):
        novice, turned = now.person("novice", number), then.person("novice", number)
        # The group's taste for steps falls from 1.0 to -0.7; all else about the person stays.
        assert novice.satisfaction("debugging", steps) > turned.satisfaction("debugging", steps)


def test_the_clock_moves_only_when_it_is_told_to() -> None:
    clock = SimulatedClock()
    assert clock() == clock() == START
    clock.advance(timedelta(hours=1))
    clock.advance(timedelta(days=-1))
    assert clock() == START - timedelta(hours=23)
