"""The voiced world: what is planted is said, in words that can be told apart, and nothing else."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpa_agent.conversations.records import Judgment
from gpa_agent.errors import UsageError
from gpa_agent.rubrics.traits import catalogue, measure
from gpa_agent.testing import utterances
from gpa_agent.testing.topics import topics
from gpa_agent.testing.voiced_world import (
    CANARY,
    MANNERS,
    SIMULATED,
    VoicedWorld,
    main,
    planted_of,
    taxonomy,
)
from gpa_agent.testing.wishes import Voiced, read_wishes, remarks, wishes
from gpa_agent.testing.world_logs import lines, write_log

PAIR = ("novice", "expert")


def test_there_are_two_dozen_wishes_beyond_the_catalogue() -> None:
    assert len(wishes()) == 24
    assert not set(wishes()) & {trait.name for trait in catalogue()}


@pytest.mark.parametrize("name", list(wishes()))
def test_every_remark_speaks_of_its_wish_alone_and_with_its_pole(name: str) -> None:
    for wanted in (True, False):
        for present in (True, False):
            said = remarks(name, wanted=wanted, present=present)
            assert len(set(said)) >= 5
            for text in said:
                assert read_wishes(text) == (Voiced(name, wanted),), text
    for text in (name, *wishes()[name].nouns, *wishes()[name].fulfilled):
        assert planted_of(text) == {name}, text


def test_what_fulfils_a_wish_moves_no_trait_of_the_catalogue_much() -> None:
    told = VoicedWorld(seed=1, people=20, conversations=2).told()
    answers = [reply.answer for _, replies in told for reply in replies]
    spread = np.std([measure("Why?", answer) for answer in answers], axis=0) + 1e-9
    plain = answers[:20]
    before = np.array([measure("Why?", answer) for answer in plain])
    moved = [
        (np.array([measure("Why?", f"{answer} {text}") for answer in plain]) - before).mean(axis=0)
        for wish in wishes().values()
        for text in wish.fulfilled
    ]
    # Any sentence makes an answer longer; what counts is what sets one apart from the others.
    apart = (np.array(moved) - np.median(moved, axis=0)) / spread
    assert np.abs(apart).max() < 0.6


def test_nothing_else_that_users_say_speaks_of_a_wish() -> None:
    asked = [text for topic in topics() for text in topic.asks + topic.followups]
    manners = [text for texts in MANNERS.values() for text in texts]
    said = [
        utterances.voice(j, about=None, question="Why?", onward=onward, rng=_rng(n))
        for j in Judgment
        for onward in (None, "And then?")
        for n in range(100)
    ]
    assert [text for text in asked + manners + said if read_wishes(text)] == []


def test_records_are_in_our_format_and_say_that_they_are_simulated() -> None:
    world = VoicedWorld(seed=3, people=4, conversations=3)
    records = list(world.log())
    assert len(records) == 2 * 4 * 3
    assert len({r["id"] for r in records}) == len(records)
    assert {r["intent"] for r in records} == set(world.intents)
    for record in records:
        assert record["simulated"] == SIMULATED
        roles = [m["role"] for m in record["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        assert not any("judgment" in m for m in record["messages"])


def test_the_truth_that_is_told_is_that_of_the_texts() -> None:
    for record, replies in VoicedWorld(seed=3, people=10).told():
        said = [m["content"] for m in record["messages"] if m["role"] == "user"]
        assert [*said[1:]] == [reply.text for reply in replies]
        for reply in replies:
            if reply.named is not None:
                assert reply.shown is not Judgment.NEITHER
                assert reply.named in read_wishes(reply.text)
                present = reply.named.wish in planted_of(reply.answer)
                assert present == (reply.named.wanted == (reply.judgment is Judgment.SAT))


def test_planted_wishes_are_signed_and_balanced() -> None:
    world = VoicedWorld(seed=1)
    for intent in world.intents:
        gaps = world.planted(intent, *PAIR)
        # 0.9 for the one side and -0.9 for the other, each side ahead in half of them.
        assert sorted(gaps.values()) == [-1.8, -1.8, 1.8, 1.8]
        assert world.planted(intent, *reversed(PAIR)) == {w: -g for w, g in gaps.items()}


def test_what_is_planted_is_named_by_one_side_and_refused_by_the_other() -> None:
    world = VoicedWorld(seed=1)
    named = _named(world, "debugging")
    for wish, gap in world.planted("debugging", *PAIR).items():
        ahead, behind = PAIR if gap > 0 else PAIR[::-1]
        # Some 30 remarks on either side; label noise of 5% and own tastes turn a few around.
        assert named[ahead, wish, True] > 10 > 3 * named[ahead, wish, False]
        assert named[behind, wish, False] > 10 > 3 * named[behind, wish, True]


def test_shared_wishes_are_voiced_as_often_and_alike() -> None:
    world = VoicedWorld(seed=1)
    named = _named(world, "debugging")
    shared = set(world.tastes["novice"]["debugging"]) - set(world.planted("debugging", *PAIR))
    assert len(shared) == 4
    for group in PAIR:
        loud = sum(named[group, wish, True] for wish in shared)
        assert loud > 40
        assert loud > 10 * sum(named[group, wish, False] for wish in shared)


def test_in_a_null_world_nothing_is_planted_and_both_groups_say_the_same() -> None:
    world = VoicedWorld(seed=1, null=True, people=300)
    tastes = VoicedWorld(seed=1).planted("debugging", *PAIR)
    assert world.planted("debugging", *PAIR) == {}
    named = _named(world, "debugging")
    for wish in tastes:
        shares = []
        for group in PAIR:
            wants, refuses = named[group, wish, True], named[group, wish, False]
            assert wants + refuses > 60
            shares.append(wants / (wants + refuses))
        # About 150 remarks a side, from fewer people: four standard errors of 0.06.
        assert abs(shares[0] - shares[1]) < 0.24


def test_one_intent_may_be_alike() -> None:
    world = VoicedWorld(one_intent_alike=True)
    assert [len(world.planted(i, *PAIR)) for i in world.intents] == [4, 4, 0]


def test_with_three_groups_each_wish_has_both_sides() -> None:
    world = VoicedWorld(groups=("a", "b", "c"), divergent=6)
    for wish in {w for g in world.groups for w in world.tastes[g]["planning"]}:
        values = {world.tastes[g]["planning"].get(wish) for g in world.groups}
        assert values in ({0.9}, {0.9, -0.9})
    divergent = {w for g in ("b", "c") for w in world.planted("planning", "a", g)}
    assert 1 <= len(divergent) <= 6


def test_records_need_not_name_group_and_intent_nor_users_say_anything() -> None:
    silent = VoicedWorld(seed=2, people=5, voiced=0.0, name_groups=False, name_intents=False)
    for record, replies in silent.told():
        assert not {"group", "intent"} & set(record)
        assert {reply.shown for reply in replies} == {Judgment.NEITHER}
    assert {r.named for _, rs in VoicedWorld(people=5, named=0.0).told() for r in rs} == {None}


def test_thumbs_are_the_judgments() -> None:
    for record, replies in VoicedWorld(seed=2, people=5, explicit=1.0).told():
        thumbs = [m["judgment"] for m in record["messages"] if m["role"] == "assistant"]
        assert thumbs == [int(reply.judgment) for reply in replies]


def test_manners_give_groups_away_as_often_as_asked() -> None:
    def shares(manners: float) -> dict[str, float]:
        world = VoicedWorld(seed=4, manners=manners)
        given: Counter[str] = Counter()
        for record in world.log():
            opening = record["messages"][0]["content"]
            given[record["group"]] += any(opening.startswith(m) for m in MANNERS[record["group"]])
        return {g: given[g] / (world.people * world.conversations) for g in PAIR}

    assert shares(0.0) == {"novice": 0.0, "expert": 0.0}
    # 400 conversations a group: four standard errors are 4 * sqrt(.35 * .65 / 400) = 0.095.
    assert all(abs(share - 0.35) < 0.095 for share in shares(0.35).values())


def test_poison_is_in_users_texts_as_often_as_asked() -> None:
    poisoned = 0
    for record, replies in VoicedWorld(seed=5, poison=0.2).told():
        texts = dict.fromkeys(("user", "assistant"), "")
        for message in record["messages"]:
            texts[message["role"]] += message["content"]
        assert CANARY not in texts["assistant"]
        assert (CANARY in texts["user"]) == replies[-1].poisoned
        poisoned += replies[-1].poisoned
    # 800 conversations: four standard errors are 4 * sqrt(.2 * .8 / 800) = 0.057.
    assert abs(poisoned / 800 - 0.2) < 0.057


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    world = VoicedWorld(seed=9, people=3, conversations=2)
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    assert write_log(world, first) == write_log(world, second) == 12
    assert first.read_bytes() == second.read_bytes()
    assert gzip.decompress(first.read_bytes()).decode() == "".join(lines(world))
    assert list(lines(world)) != list(lines(VoicedWorld(seed=10, people=3, conversations=2)))


def test_other_processes_write_the_same(tmp_path: Path) -> None:
    out = tmp_path / "log.jsonl"
    command = [sys.executable, "-m", "gpa_agent.testing.voiced_world", "--out", str(out)]
    command += ["--people", "2", "--conversations", "1", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == ""
    assert "4 simulated conversations" in done.stdout
    world = VoicedWorld(people=2, conversations=1, seed=7)
    assert out.read_text(encoding="utf-8") == "".join(lines(world))


def test_the_command_writes_the_taxonomy_and_null_worlds(tmp_path: Path) -> None:
    out, intents = tmp_path / "null.jsonl", tmp_path / "taxonomy.json"
    arguments = ["--out", str(out), "--people", "2", "--conversations", "1", "--null"]
    main([*arguments, "--taxonomy", str(intents)])
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert records == list(VoicedWorld(people=2, conversations=1, null=True).log())
    assert list(json.loads(intents.read_text(encoding="utf-8"))) == list(taxonomy())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"groups": ("novice",)}, "two groups"),
        ({"people": 0}, "people=0"),
        ({"answers": (3, 1)}, "answers="),
        ({"divergent": 22}, "divergent=22"),
        ({"shared": -1}, "shared=-1"),
    ],
)
def test_a_world_that_cannot_be_is_refused(arguments: Mapping[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        VoicedWorld(**arguments)


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(UsageError, match="'nobody'"):
        VoicedWorld().person("nobody", 0)


def _named(world: VoicedWorld, intent: str) -> Counter[tuple[str, str, bool]]:
    """How often each group named each wish, wanted and not."""
    counts: Counter[tuple[str, str, bool]] = Counter()
    for record, replies in world.told():
        if record["intent"] == intent:
            named = [reply.named for reply in replies if reply.named]
            counts.update([(record["group"], wish, wanted) for wish, wanted in named])
    return counts


def _rng(number: int) -> Any:
    from random import Random

    return Random(f"test/{number}")
