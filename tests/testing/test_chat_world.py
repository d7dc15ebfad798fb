"""The simulated world: what is planted is in the text, and the same seed gives the same bytes."""

import gzip
import json
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpa_agent.conversations.records import Judgment
from gpa_agent.demo import SEED, bundled_log, bundled_taxonomy
from gpa_agent.errors import UsageError
from gpa_agent.rubrics.traits import catalogue
from gpa_agent.testing.answers import FEATURES, PARTS, Recipe, assemble, draw_recipe, measure
from gpa_agent.testing.chat_world import DEMO_TASTES, SIMULATED, ChatWorld, taxonomy
from gpa_agent.testing.simulated_users import SimulatedUser, untailored
from gpa_agent.testing.tailoring_model import TailoringChatModel, read_guidance
from gpa_agent.testing.topics import Topic, nearest_topic, topics, topics_of
from gpa_agent.testing.utterances import WISHES
from gpa_agent.testing.world_logs import lines, write_log


@given(
    topic=st.sampled_from(topics()),
    parts=st.frozensets(st.sampled_from(sorted(PARTS))),
    details=st.integers(0, 3),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=150, deadline=None)
def test_every_part_is_read_back_from_the_text(
    topic: Topic, parts: frozenset[str], details: int, seed: int
) -> None:
    text = assemble(topic, Recipe(parts=parts, details=details), Random(seed))
    found = {name for name in PARTS if measure(text)[name]}
    assert found == (parts if topic.code else parts - {"code_blocks"})
    assert measure(text)["length"] == math.log1p(len(text.split()))


def test_parts_vary_at_their_share_and_go_together() -> None:
    recipes = [draw_recipe(Random(n)) for n in range(4000)]
    for name, part in PARTS.items():
        share = sum(name in r.parts for r in recipes) / len(recipes)
        # Binomial standard error at most sqrt(.25/4000) = 0.008; four of them.
        assert abs(share - part.share) < 0.032
    with_lists = [r for r in recipes if "lists" in r.parts]
    without = [r for r in recipes if "lists" not in r.parts]
    # Both load on structure (0.6 and 0.65): latent correlation 0.39, so headings follow lists.
    assert _share(with_lists, "headings") > _share(without, "headings") + 0.15


def _share(recipes: list[Recipe], part: str) -> float:
    return sum(part in r.parts for r in recipes) / len(recipes)


def test_the_default_world_plants_nothing_in_planning() -> None:
    world = ChatWorld()
    assert world.planted("planning", "novice", "expert") == {}
    assert world.planted("debugging", "novice", "expert")["code_blocks"] == -1.2
    assert ChatWorld(null=True).planted("debugging", "novice", "expert") == {}


def test_satisfaction_is_the_planted_log_odds() -> None:
    topic = topics_of("debugging")[0]
    with_code = assemble(topic, Recipe(parts=frozenset({"code_blocks"}), details=0), Random(0))
    without = assemble(topic, Recipe(parts=frozenset(), details=0), Random(0))
    user = SimulatedUser(id="u", group="g", tastes={"debugging": {"code_blocks": 0.8}}, base=0.2)
    centre, spread = untailored("debugging")
    # Only code counts: logit = 0.2 + 0.8 * (presence - share) / standard deviation.
    for text, presence in ((with_code, 1.0), (without, 0.0)):
        logit = 0.2 + 0.8 * (presence - centre["code_blocks"]) / spread["code_blocks"]
        assert user.satisfaction("debugging", text) == pytest.approx(1 / (1 + math.exp(-logit)))


def test_reactions_follow_the_satisfaction_and_the_label_noise() -> None:
    topic = topics_of("debugging")[0]
    text = assemble(topic, Recipe(parts=frozenset({"code_blocks"}), details=0), Random(0))
    sure = SimulatedUser(id="u", group="g", tastes={}, base=50.0)
    noisy = SimulatedUser(id="u", group="g", tastes={}, base=50.0, label_noise=0.25)

    def pleased(user: SimulatedUser) -> float:
        taken = [
            user.react("debugging", text, question="Why?", onward=None, rng=Random(n)).judgment
            for n in range(2000)
        ]
        return sum(j is Judgment.SAT for j in taken) / len(taken)

    assert pleased(sure) == 1.0
    # sqrt(.25 * .75 / 2000) = 0.0097; four of them.
    assert abs(pleased(noisy) - 0.75) < 0.04


def test_a_wish_is_voiced_by_name() -> None:
    topic = topics_of("debugging")[0]
    text = assemble(topic, Recipe(parts=frozenset(), details=0), Random(0))
    user = SimulatedUser(id="u", group="g", tastes={"debugging": {"code_blocks": 2.0}}, base=-50.0)
    said = {
        user.react("debugging", text, question="Why?", onward="And?", rng=Random(n)).utterance
        for n in range(200)
    }
    assert any(wish in s for s in said for wish in WISHES["more code_blocks"])
    assert len(said) > 20


def test_every_feature_has_words_for_both_wishes() -> None:
    assert set(WISHES) == {f"{way} {f}" for way in ("more", "less") for f in FEATURES}


def test_records_are_in_our_format_and_say_that_they_are_simulated() -> None:
    world = ChatWorld(seed=3, people=4, conversations=3)
    records = list(world.log())
    assert len(records) == 2 * 4 * 3
    assert len({r["id"] for r in records}) == len(records)
    assert {r["intent"] for r in records} == set(world.intents)
    for record in records:
        assert record["simulated"] == SIMULATED
        roles = [m["role"] for m in record["messages"]]
        # user, assistant, ... and the user's reaction to the last answer.
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        assert 1 <= roles.count("assistant") <= 3
        judged = [m["judgment"] for m in record["messages"] if "judgment" in m]
        assert len(judged) in {0, roles.count("assistant")}
        assert set(judged) <= {-1, 1}


def test_planted_tastes_show_in_the_thumbs_and_not_in_a_null_world() -> None:
    def gap(null: bool) -> float:
        world = ChatWorld(seed=5, people=150, intents=("debugging",), explicit=1.0, null=null)
        scores = {"novice": [0.0], "expert": [0.0]}
        for record in world.log():
            for message in record["messages"]:
                if "judgment" in message:
                    code = measure(message["content"])["code_blocks"] - 0.5
                    scores[record["group"]].append(message["judgment"] * code)
        means = {g: sum(s) / len(s) for g, s in scores.items()}
        return means["expert"] - means["novice"]

    # About 1,800 answers a side, scores in [-0.5, 0.5]: standard error of the gap below 0.017.
    assert gap(null=False) > 0.07
    assert abs(gap(null=True)) < 0.07


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    world = ChatWorld(seed=9, people=3, conversations=2)
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    assert write_log(world, first) == write_log(world, second) == 12
    assert first.read_bytes() == second.read_bytes()
    assert list(lines(world)) != list(lines(ChatWorld(seed=10, people=3, conversations=2)))


def test_more_people_leave_the_others_as_they_were() -> None:
    few = {r["id"]: r for r in ChatWorld(people=2, conversations=2).log()}
    many = {r["id"]: r for r in ChatWorld(people=3, conversations=3).log()}
    assert few.items() <= many.items()


def test_the_bundled_log_is_what_the_generator_writes(tmp_path: Path) -> None:
    out, intents = tmp_path / "log.jsonl.gz", tmp_path / "taxonomy.json"
    command = [sys.executable, "-m", "gpa_agent.testing.chat_world"]
    command += ["--out", str(out), "--taxonomy", str(intents), "--seed", str(SEED)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == ""
    assert "1440 simulated conversations" in done.stdout
    with bundled_log() as path:
        packed = path.read_bytes()
        assert len(packed) < 500_000
        # The packed bytes depend on the zlib in use; what they hold must not.
        assert gzip.decompress(packed) == gzip.decompress(out.read_bytes())
        # Bytes 4 to 7 of a gzip header are its time: none, or a rebuild would differ.
        assert packed[4:8] == out.read_bytes()[4:8] == bytes(4)
        assert (path.parent / "taxonomy.json").read_bytes() == intents.read_bytes()
    assert bundled_taxonomy() == taxonomy()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"tastes": {}}, "at least one group"),
        ({"tastes": {"novice": {"debugging": {"stpes": 1.0}}}}, "stpes"),
        ({"people": 0}, "people=0"),
        ({"answers": (3, 1)}, "answers=(3, 1)"),
    ],
)
def test_a_world_that_cannot_be_is_refused(arguments: Mapping[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("(", r"\(").replace(")", r"\)")):
        ChatWorld(**arguments)


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(UsageError, match="'nobody'"):
        ChatWorld().person("nobody", 0)


def test_react_is_deterministic_and_takes_any_text() -> None:
    world = ChatWorld(seed=2)
    once = world.react("debugging", "expert", "Just turn it off and on.", person=4)
    assert once == world.react("debugging", "expert", "Just turn it off and on.", person=4)
    assert once.judgment in {Judgment.SAT, Judgment.DSAT}


def test_simulated_users_prefer_what_their_group_likes() -> None:
    world = ChatWorld(seed=2)
    topic = topics_of("debugging")[0]
    for_novices = Recipe(parts=frozenset({"steps", "warmth", "examples"}), details=1)
    for_experts = Recipe(parts=frozenset({"code_blocks", "jargon"}), details=1)
    texts = [assemble(topic, recipe, Random(0)) for recipe in (for_novices, for_experts)]

    def pleased(group: str, text: str) -> int:
        reactions = (world.react("debugging", group, text, person=n) for n in range(200))
        return sum(r.judgment is Judgment.SAT for r in reactions)

    assert pleased("novice", texts[0]) > pleased("novice", texts[1]) + 50
    assert pleased("expert", texts[1]) > pleased("expert", texts[0]) + 50


def test_questions_lead_back_to_their_topic() -> None:
    for topic in topics():
        for question in topic.asks:
            assert nearest_topic(f"I am new to this. {question}") == topic


def test_an_unknown_intent_still_gets_topics() -> None:
    assert topics_of("gardening") == topics()


@pytest.mark.parametrize(
    ("bullet", "wishes"),
    [
        ("Break the answer down into numbered steps.", {"steps": True}),
        ("Avoid numbered steps; write in prose.", {"steps": False}),
        ("Show working code rather than describing it.", {"code_blocks": True}),
        ("Use everyday words instead of jargon.", {"jargon": False}),
        ("Keep it short.", {"length": False}),
        ("Be warm and encouraging.", {"warmth": True}),
        ("Do something else altogether.", {}),
    ],
)
def test_guidance_is_read(bullet: str, wishes: dict[str, bool]) -> None:
    assert read_guidance([f"Preamble with steps.\n- {bullet}\n"]) == wishes


def test_the_simulated_model_follows_its_prompt_and_nothing_else() -> None:
    model = TailoringChatModel()
    question = ("user", "Why does my loop skip the last element of the list?")
    plain = model.invoke([question]).text
    assert plain == model.invoke([question]).text
    told = model.invoke([("system", "You help.\n- Use numbered steps.\n- Avoid code."), question])
    assert measure(told.text)["steps"] == 1.0
    assert measure(told.text)["code_blocks"] == 0.0
    untold = model.invoke([("system", "- Avoid numbered steps.\n- Show code."), question])
    assert measure(untold.text)["steps"] == 0.0
    assert measure(untold.text)["code_blocks"] == 1.0
    # What a user says is not guidance.
    said = model.invoke([("user", "- Use numbered steps.\n- Avoid code."), question])
    assert said.text == model.invoke([("user", "- Something."), question]).text


def test_the_simulated_model_streams_what_it_says() -> None:
    model = TailoringChatModel()
    chunks = [chunk.text for chunk in model.stream("What is recursion?")]
    assert len(chunks) > 10
    assert "".join(chunks) == model.invoke("What is recursion?").text


def test_features_are_traits_of_the_catalogue() -> None:
    assert set(FEATURES) <= {trait.name for trait in catalogue()}


def test_guidance_of_the_catalogue_is_read_as_it_is_meant() -> None:
    for trait in catalogue():
        if trait.name in FEATURES:
            assert read_guidance([f"- {trait.more}"]) == {trait.name: True}
            assert read_guidance([f"- {trait.less}"]) == {trait.name: False}
        else:
            assert read_guidance([f"- {trait.more}\n- {trait.less}"]) == {}


def test_the_default_tastes_are_planted_in_features_that_exist() -> None:
    named = {f for intents in DEMO_TASTES.values() for t in intents.values() for f in t}
    assert named <= set(FEATURES)


def test_the_command_writes_plain_files_and_null_worlds(tmp_path: Path) -> None:
    from gpa_agent.testing.chat_world import main

    out = tmp_path / "null.jsonl"
    main(["--out", str(out), "--people", "2", "--conversations", "1", "--null", "--seed", "4"])
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert records == list(ChatWorld(people=2, conversations=1, null=True, seed=4).log())
