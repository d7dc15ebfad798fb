"""The miniature's domain, checks, pairs, log and twins; no model is trained here."""

import json
from collections import Counter
from random import Random
from typing import NamedTuple

import pytest

from gpa_agent.alignment.pair import Said
from gpa_agent.errors import UsageError
from gpa_agent.prompts import load, read_answer, twin_ask
from gpa_agent.rubrics.traits import catalogue, measure
from gpa_agent.testing.miniature.checks import (
    TASTES,
    Checks,
    coherent,
    compare,
    features,
    flipped_share,
    score,
)
from gpa_agent.testing.miniature.domain import (
    CHANCE,
    GROUPS,
    INTENTS,
    draw_features,
    prompts,
    task_of,
    tasks,
    write_reply,
)
from gpa_agent.testing.miniature.preferences import pairs, style
from gpa_agent.testing.miniature.twins import TwinWriter, rewrite, wishes_of
from gpa_agent.testing.miniature.world import MiniatureWorld, taxonomy

QUESTION = "How do I sort a list?"
OPENER = "To sort a list, begin with the list."
ANALOGY = "It is like lining up children by height."
CODE = "Write `xs.sort(key=len)`."
STEPS = "First, open the list. Then run the call."
JARGON = "Mind the latency and the overhead of the list."
WARMTH = "Take your time, you got this."


class _Asked(NamedTuple):
    prompt: tuple[Said, ...]


def test_there_are_288_prompts_to_learn_from_and_72_that_are_held_out() -> None:
    learned, held = prompts("train"), prompts("holdout")
    assert (len(learned), len(held)) == (288, 72)
    assert not {p.text for p in learned} & {p.text for p in held}
    assert {p.task for p in learned} == {p.task for p in held} == set(tasks())
    assert {p.intent for p in held} == set(INTENTS)


def test_every_prompt_names_its_own_task() -> None:
    for prompt in (*prompts("train"), *prompts("holdout")):
        assert task_of(prompt.text) == prompt.task
    assert task_of("How do I bake bread?") is None


def test_no_two_tasks_share_a_fact() -> None:
    for facts in (
        [t.name for t in tasks()],
        [t.code for t in tasks()],
        [t.analogy for t in tasks()],
    ):
        assert len(set(facts)) == 24


def test_what_is_written_is_coherent_and_has_the_features_it_was_to_have() -> None:
    rng = Random("written")
    for prompt in prompts("holdout"):
        wanted = draw_features(rng)
        said = write_reply(prompt, wanted)
        assert features(said) == wanted
        assert coherent(prompt.text, said)


def test_untailored_answers_have_each_segment_as_often_as_said() -> None:
    rng = Random("drawn")
    found = Counter(f for _ in range(2000) for f in draw_features(rng))
    for feature, chance in CHANCE.items():
        # 4 standard errors of a share of 2000: 4 * sqrt(.45 * .55 / 2000) = .044
        assert found[feature] / 2000 == pytest.approx(chance, abs=0.045)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "To read a csv file, begin with the csv file.",  # another task
        OPENER[:-1],  # cut off
        f"{OPENER} Write `s = s[::-1]`.",  # another task's code
        f"{OPENER} {ANALOGY} {ANALOGY}",  # twice
        f"{OPENER} {ANALOGY} It is",  # cut off later
        f"{OPENER}{ANALOGY}",
        f"{OPENER} {ANALOGY}\nfoo",
        f"{ANALOGY} {OPENER}",
    ],
)
def test_text_that_is_not_all_the_tasks_own_is_incoherent(text: str) -> None:
    assert not coherent(QUESTION, text)


def test_coherence_needs_a_task_that_was_asked_for() -> None:
    assert coherent(QUESTION, f"{OPENER} {CODE} {ANALOGY}")  # in whichever order
    assert not coherent("How do I bake bread?", OPENER)


def test_scores_are_shares_of_five_wishes() -> None:
    # Novices want analogy, steps and warmth, no code and no jargon: a bare answer has 2 of 5.
    assert score(OPENER, "novice") == 0.4
    assert score(f"{OPENER} {ANALOGY} {STEPS} {WARMTH}", "novice") == 1.0
    assert score(f"{OPENER} {JARGON} {CODE}", "novice") == 0.0
    # Experts want it the other way round.
    assert score(OPENER, "expert") == 0.6
    assert score(f"{OPENER} {CODE} {JARGON}", "expert") == 1.0
    assert score(f"{OPENER} {ANALOGY} {STEPS} {WARMTH}", "expert") == 0.0
    with pytest.raises(UsageError, match="'nobody' is not one of"):
        score(OPENER, "nobody")


def test_scores_look_at_style_alone() -> None:
    rubbish = "First, It is like Then Take your time Take"
    assert score(rubbish, "novice") == 1.0
    assert not coherent(QUESTION, rubbish)


def test_checks_judge_and_tell_nonsense() -> None:
    asked = [_Asked((Said(role="user", content=QUESTION),))] * 2
    answers = [f"{OPENER} {CODE}", f"{ANALOGY} nonsense"]
    # Code without jargon fulfils four of an expert's five wishes; an analogy alone two.
    assert Checks().score(asked, answers, "expert") == [0.8, 0.4]
    assert Checks().coherent(asked, answers) == [True, False]


def test_compared_scores_are_won_tied_and_lost() -> None:
    assert compare([1.0, 0.5, 0.25, 1.0], [0.5, 0.5, 0.5, 0.75]) == (0.5, 0.25, 0.25)


def test_each_groups_style_fulfils_all_its_wishes_and_none_of_the_others() -> None:
    for group, other in (GROUPS, GROUPS[::-1]):
        said = write_reply(prompts()[0], style(group))
        assert (score(said, group), score(said, other)) == (1.0, 0.0)


def test_pairs_prefer_what_fits_the_group_better() -> None:
    for group in GROUPS:
        made = pairs(group, 60, seed=3)
        assert len(made) == 60
        assert flipped_share(made) == 0
        assert {p.group for p in made} == {group}
        assert {p.split for p in made} == {"train"}
        assert {p.judgment for p in made} == {1, -1}
        assert len({p.person for p in made}) == 12
        assert len({p.subject for p in made}) == 60
        for pair in made:
            assert coherent(pair.prompt[0].content, pair.chosen[0].content)
            assert score(pair.chosen[0].content, group) > score(pair.rejected[0].content, group)


def test_flipped_pairs_stand_the_wrong_way_round_and_are_as_many_as_asked_for() -> None:
    straight, crooked = pairs("novice", 50, seed=1), pairs("novice", 50, seed=1, flipped=0.3)
    assert flipped_share(crooked) == 0.3
    turned = [(a, b) for a, b in zip(straight, crooked, strict=True) if a != b]
    assert len(turned) == 15
    for a, b in turned:
        assert (b.chosen, b.rejected, b.judgment) == (a.rejected, a.chosen, -(a.judgment or 0))


def test_held_out_pairs_share_neither_prompt_nor_person_with_the_others() -> None:
    learned, held = pairs("expert", 200), pairs("expert", 40, split="holdout")
    assert {p.split for p in held} == {"holdout"}
    assert not {p.prompt for p in learned} & {p.prompt for p in held}
    assert not {p.person for p in learned} & {p.person for p in held}


def test_pairs_are_the_same_for_the_same_seed() -> None:
    assert pairs("novice", 20, seed=4) == pairs("novice", 20, seed=4)
    assert pairs("novice", 20, seed=4) != pairs("novice", 20, seed=5)


@pytest.mark.parametrize(
    ("group", "n", "flipped"), [("x", 1, 0.0), ("novice", -1, 0.0), ("novice", 1, 2.0)]
)
def test_pairs_say_what_they_can_be_made_for(group: str, n: int, flipped: float) -> None:
    with pytest.raises(UsageError, match="pairs are made for one of"):
        pairs(group, n, flipped=flipped)


def test_the_log_has_both_groups_both_intents_and_judging_replies() -> None:
    world = MiniatureWorld(people=3, conversations=2)
    records = list(world.log())
    assert len(records) == 2 * 3 * 2
    assert {r["group"] for r in records} == set(world.groups)
    assert {r["intent"] for r in records} == set(taxonomy())
    assert len({r["user"] for r in records}) == 6
    assert all("no person" in r["simulated"] for r in records)
    for record in records:
        roles = [m["role"] for m in record["messages"]]
        assert roles == ["user", "assistant", "user"]
    assert json.dumps(records) == json.dumps(list(world.log()))


def test_every_answer_of_the_log_answers_what_stands_before_it() -> None:
    learned = {p.text for p in prompts()}
    for record in MiniatureWorld(people=20, conversations=2).log():
        question, answer, _ = (m["content"] for m in record["messages"])
        assert coherent(question, answer)
        assert question in learned


def test_a_world_without_people_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        MiniatureWorld(people=0)


def test_answers_vary_in_what_the_catalogue_measures() -> None:
    names = [t.name for t in catalogue()]
    bare = measure(QUESTION, OPENER)
    for segment, trait in {
        ANALOGY: "analogies",
        CODE: "inline_code",
        STEPS: "steps",
        JARGON: "jargon",
        WARMTH: "warmth",
    }.items():
        full = measure(QUESTION, f"{OPENER} {segment}")
        assert full[names.index(trait)] > bare[names.index(trait)]


def test_the_writer_puts_in_and_leaves_out_what_the_guidance_says() -> None:
    guidance = [
        "Explain with an analogy from everyday life.",
        "Use everyday words in place of technical terms.",
        "Set names of commands, files and functions in backticks.",
        "Address the user as you.",  # nothing of the miniature's
    ]
    ask = twin_ask(QUESTION, f"{OPENER} {STEPS} {JARGON}", guidance, subject="t:c:0")
    said = read_answer(load(ask.prompt), TwinWriter().invoke(ask.messages()).text)
    assert said.model_dump() == {"response": f"{OPENER} {ANALOGY} {STEPS} {CODE}"}


def test_the_writer_reads_every_groups_wishes_from_the_catalogue_and_from_other_words() -> None:
    by_name = {t.name: t for t in catalogue()}
    traits = {
        "analogy": "analogies", "steps": "steps", "jargon": "jargon",
        "warmth": "warmth", "code": "inline_code",
    }  # fmt: skip
    for wishes in TASTES.values():
        lines = [
            f"- {by_name[traits[f]].more if sign > 0 else by_name[traits[f]].less}"
            for f, sign in wishes.items()
        ]
        assert wishes_of("# Guidance\n" + "\n".join(lines)) == {f: s > 0 for f, s in wishes.items()}
    assert wishes_of("# Guidance\n- Avoid jargon, please\n- Number the steps") == {
        "jargon": False,
        "steps": True,
    }
    assert wishes_of("- Avoid jargon\n# Guidance\n") == {}


def test_the_writer_knows_nothing_but_the_miniature() -> None:
    assert rewrite("How do I bake bread?", "Heat the oven.", {}) == ""
    assert TwinWriter().invoke("no data at all").text == '{"response": ""}'
