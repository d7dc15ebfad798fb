"""The gate on real adapters of the miniature: what helps passes, what collapsed does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer

from gpa_agent.alignment.gating.gate import Gate, GateConfig, Taxed, Verdict
from gpa_agent.alignment.gating.generating import generate
from gpa_agent.alignment.gating.judging import Asked, Judge, load_judge
from gpa_agent.alignment.pair import Pair
from gpa_agent.rubrics.records import Aspect, ContrastModel, Evidence, Rubric
from gpa_agent.testing.miniature.checks import Checks
from gpa_agent.testing.miniature.preferences import pairs
from tests.alignment.tuned_miniatures import TARGETS, Tuned, good, hot, load, long

__all__ = ["good", "hot", "long"]

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

CONFIG = GateConfig(max_new_tokens=96, samples=1)
SMALL = GateConfig(max_new_tokens=96, samples=1, max_prompts=20)
HELD_OUT = {group: pairs(group, 100, split="holdout") for group in ("novice", "expert")}
WISHES = {"steps": 0.6, "analogies": 0.5, "warmth": 0.5, "jargon": -0.5}


def _rubric(intent: str) -> Rubric:
    """What a run on the miniature's log could find: traits that novices like more."""
    return Rubric(
        intent=intent,
        contrast=ContrastModel(group="novice", other="expert"),
        version=1,
        aspects=tuple(
            Aspect(
                name=name,
                rating=4,
                interpretation="",
                guidance={"novice": "Do.", "expert": "Do not."},
                status="live",
                evidence=Evidence(
                    effect=effect,
                    interval=(effect, effect),
                    p_value=0.001,
                    q_value=0.001,
                    people={},
                    turns={},
                ),
            )
            for name, effect in WISHES.items()
        ),
    )


def _gate(base: Path, judge: Judge, held_out: Any = HELD_OUT, **given: Any) -> Gate:
    tokenizer = AutoTokenizer.from_pretrained(base)
    given = {"config": CONFIG, **given}
    return Gate(load(base), tokenizer, held_out=held_out, judge=judge, **given)


@pytest.fixture(scope="module")
def by_program(miniature_base: Path) -> Gate:
    """A gate whose judge can tell whether an answer makes sense."""
    torch.set_num_threads(1)
    return _gate(miniature_base, Checks())


@pytest.fixture(scope="module")
def by_style(miniature_base: Path) -> Gate:
    """A gate whose judge sees style alone: the default."""
    every = [pair for held in HELD_OUT.values() for pair in held]
    judge = load_judge(None, rubrics=[_rubric("howto"), _rubric("debug")], pairs=every)
    return _gate(miniature_base, judge)


def _examine(gate: Gate, base: Path, adapter: Path, group: str = "novice") -> Verdict:
    return gate.examine(load(base, adapter), group)


def test_an_adapter_that_helps_passes(
    by_program: Gate, by_style: Gate, good: Tuned, miniature_base: Path
) -> None:
    for gate in (by_program, by_style):
        verdict = _examine(gate, miniature_base, good.folder)

        assert verdict.passed, verdict.reasons
        assert verdict.figures["people"] == 20
        assert (verdict.figures["win"] or 0) > 0.6
        assert (verdict.figures["advantage:expert"] or 0) < 0


@pytest.mark.parametrize("judged", ["by_program", "by_style"])
@pytest.mark.parametrize("trap", ["hot", "long"])
def test_what_trl_finds_perfect_and_is_gibberish_is_refused(
    trap: str, judged: str, request: pytest.FixtureRequest, miniature_base: Path
) -> None:
    tuned: Tuned = request.getfixturevalue(trap)
    gate: Gate = request.getfixturevalue(judged)

    verdict = _examine(gate, miniature_base, tuned.folder)

    assert tuned.accuracy == 1.0
    assert not verdict.passed
    assert any("coherent" in reason for reason in verdict.reasons), verdict.reasons


def test_another_groups_adapter_is_refused(
    by_program: Gate, good: Tuned, miniature_base: Path
) -> None:
    verdict = _examine(by_program, miniature_base, good.folder, "expert")

    assert not verdict.passed
    assert any("wins for group 'novice' too" in reason for reason in verdict.reasons)


def test_an_adapter_that_changes_nothing_is_refused(by_program: Gate, miniature_base: Path) -> None:
    fresh = get_peft_model(load(miniature_base), LoraConfig(target_modules=TARGETS))

    verdict = by_program.examine(fresh, "novice")

    # Base and adapter draw the same random numbers, so that equal models say the same.
    assert verdict.figures["tie"] == 1.0
    assert "the judge sees no difference" in verdict.reasons[0]


def test_weights_that_are_not_numbers_are_refused(
    by_program: Gate, good: Tuned, miniature_base: Path
) -> None:
    model = load(miniature_base, good.folder)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(float("nan"))

    verdict = by_program.examine(model, "novice")

    assert not verdict.passed
    assert verdict.figures["chosen_rise"] is None


def test_too_few_people_are_refused_with_the_remedy(good: Tuned, miniature_base: Path) -> None:
    few = HELD_OUT["novice"][:25]
    gate = _gate(miniature_base, Checks(), {"novice": few})

    for group, said in (("novice", "25 held-out pairs of 5 people"), ("expert", "0 held-out")):
        verdict = _examine(gate, miniature_base, good.folder, group)

        assert not verdict.passed
        assert said in verdict.reasons[0]
        assert "Collect" in verdict.reasons[0]


def test_a_tax_refuses_and_leaves_its_figures(good: Tuned, miniature_base: Path) -> None:
    asked: list[bool] = []

    def tax(model: Any, tokenizer: Any) -> Taxed:
        asked.append(model.active_adapter == "default" and tokenizer.eos_token_id is not None)
        return Taxed(("counts to ten in 20% where the base does in 90%",), {"counting": 0.2})

    gate = _gate(miniature_base, Checks(), _of_few_prompts(), config=SMALL, taxes=[tax])

    verdict = _examine(gate, miniature_base, good.folder)

    assert asked == [True]
    assert verdict.reasons[-1].startswith("counts to ten")
    assert verdict.figures["counting"] == 0.2


def _of_few_prompts() -> dict[str, list[Pair]]:
    return {"novice": HELD_OUT["novice"]}


def test_prompts_are_taken_evenly_from_all_people(good: Tuned, miniature_base: Path) -> None:
    gate = _gate(miniature_base, Checks(), _of_few_prompts(), config=SMALL)

    figures = _examine(gate, miniature_base, good.folder).figures

    assert (figures["prompts"], figures["people"]) == (20, 20)


def test_every_look_at_the_same_people_is_harder_to_pass(good: Tuned, miniature_base: Path) -> None:
    gate = _gate(miniature_base, Checks(), _of_few_prompts(), config=SMALL)
    model = load(miniature_base, good.folder)

    looks = [gate.examine(model, "novice", checkpoint=step).figures for step in (1, 2, 3)]

    assert len({figures["advantage"] for figures in looks}) == 1
    lows = [figures["advantage_low"] or 0.0 for figures in looks]
    assert lows == sorted(lows, reverse=True)
    assert lows[0] > lows[2]
    assert gate.looks("novice") == 3
    later = _gate(miniature_base, Checks(), _of_few_prompts(), config=SMALL, looks={"novice": 2})
    assert later.examine(model, "novice").figures["advantage_low"] == lows[2]
    worn = _gate(miniature_base, Checks(), _of_few_prompts(), config=SMALL, looks={"novice": 15})
    (reason,) = worn.examine(model, "novice").reasons
    assert "too often on the same people" in reason


def test_a_win_for_another_group_is_as_plain_at_every_look(
    good: Tuned, miniature_base: Path
) -> None:
    held_out = {"expert": HELD_OUT["expert"]}
    gate = _gate(miniature_base, Checks(), held_out, config=SMALL, groups=["novice", "expert"])
    model = load(miniature_base, good.folder)

    looks = [gate.examine(model, "expert", checkpoint=step).reasons for step in (1, 2, 3)]

    said = {reason for reasons in looks for reason in reasons if "for group 'novice' too" in reason}
    assert len(said) == 1  # with the same interval: a wider one would let it pass one day
    assert all(said & set(reasons) for reasons in looks)


def test_a_model_is_examined_without_a_trace(
    by_program: Gate, good: Tuned, miniature_base: Path
) -> None:
    model = load(miniature_base, good.folder)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    flags = [parameter.requires_grad for parameter in model.parameters()]
    training, random = model.training, torch.get_rng_state()

    by_program.examine(model, "novice")

    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert model.training == training
    assert torch.equal(torch.get_rng_state(), random)
    assert model.active_adapter == "default"
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in model.modules())


def test_style_alone_would_have_let_gibberish_win(hot: Tuned, miniature_base: Path) -> None:
    tokenizer, held_out = AutoTokenizer.from_pretrained(miniature_base), HELD_OUT["novice"]
    asked = [Asked(pair.prompt, pair.intent) for pair in held_out]
    hot_said, base_said = (
        [
            answer.text
            for (answer,) in generate(
                model, tokenizer, [what.prompt for what in asked], max_new_tokens=96
            )
        ]
        for model in (load(miniature_base, hot.folder), load(miniature_base))
    )
    hot_liked, base_liked = (
        np.array(Checks().score(asked, said, "novice")) for said in (hot_said, base_said)
    )

    assert np.mean(hot_liked > base_liked) > 0.7
    assert np.mean(Checks().coherent(asked, hot_said)) < 0.5
