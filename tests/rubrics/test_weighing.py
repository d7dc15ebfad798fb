from __future__ import annotations

import numpy as np
import pytest

from gpa_agent.rubrics.contrast import ContrastConfig
from gpa_agent.rubrics.gate import GateConfig, refusal
from gpa_agent.rubrics.records import Aspect, Contrast, Evidence, Rubric
from gpa_agent.rubrics.weighing import Weighed, plan_contrasts, weigh
from gpa_agent.rubrics.wording import guidance_for, interpretation_of, rating_of
from gpa_agent.testing.worlds import (
    GROUPS,
    Planted,
    PlantedTrait,
    PlantedWorld,
    recall_and_false_discoveries,
)

BOTH = Contrast(*GROUPS)
CODE = PlantedTrait(
    name="code", family="content", phrase="code", more="Show code.", less="Leave code out."
)


def weighed(planted: Planted) -> Weighed:
    return weigh(
        planted.observations,
        planted.traits,
        [BOTH],
        contrast_config=ContrastConfig(permutations=1999, bootstrap=100),
        gate_config=GateConfig(),
    )


def passing(found: Weighed) -> list[str]:
    return [a.name for r in found.rubrics for a in r.aspects if a.status == "approved"]


def scores(world: PlantedWorld, seeds: int) -> tuple[float, float]:
    planted = [world.sample(seed=s) for s in range(seeds)]
    pairs = [recall_and_false_discoveries(passing(weighed(p)), p.divergent) for p in planted]
    return float(np.mean([r for r, _ in pairs])), float(np.mean([f for _, f in pairs]))


@pytest.mark.slow
def test_planted_world_meets_the_promise() -> None:
    recall, false = scores(PlantedWorld(), seeds=20)
    assert recall >= 0.85
    assert false <= 0.10


@pytest.mark.slow
def test_planted_world_of_500_people_meets_the_promise() -> None:
    recall, false = scores(PlantedWorld(people=500, answers=10), seeds=8)
    assert recall >= 0.95
    assert false <= 0.10


@pytest.mark.slow
def test_null_world_is_silent() -> None:
    live = sum(
        bool(passing(weighed(PlantedWorld(shuffled=True).sample(seed=s)))) for s in range(50)
    )
    assert live <= 5


def test_the_correction_runs_over_everything_tested() -> None:
    planted = PlantedWorld(people=30).sample(seed=0)
    found = weighed(planted)
    # One intent and one contrast: 30 traits and 6 families.
    assert found.tested == 36
    everything = np.concatenate([found.results[0].p, found.results[0].family_p])
    for aspect in found.rubrics[0].aspects:
        assert aspect.evidence is not None
        ranked = np.sort(everything)
        rank = int(np.searchsorted(ranked, aspect.evidence.p_value, side="right"))
        assert aspect.evidence.q_value <= aspect.evidence.p_value * 36 / rank + 1e-12


def test_every_aspect_carries_evidence_and_a_status_with_its_reason() -> None:
    found = weighed(PlantedWorld(people=60).sample(seed=4))
    assert found.rubrics[0].aspects
    for aspect in found.rubrics[0].aspects:
        assert aspect.evidence is not None
        assert aspect.evidence.people == {"novice": 60, "expert": 60}
        assert aspect.evidence.turns == {"novice": 300, "expert": 300}
        assert (aspect.reason is None) == (aspect.status == "approved")


def test_default_contrasts() -> None:
    assert plan_contrasts(("a", "b")) == (Contrast("a", "b"),)
    assert plan_contrasts(("a", "b", "c")) == (Contrast("a"), Contrast("b"), Contrast("c"))
    assert plan_contrasts(("a",)) == (Contrast("a"),)
    assert plan_contrasts(("a", "b"), [Contrast("b")]) == (Contrast("b"),)


@pytest.mark.parametrize(
    ("effect", "rating"), [(0.0, 1), (0.049, 1), (-0.05, 2), (0.1, 3), (-0.25, 4), (0.5, 5), (9, 5)]
)
def test_rating_marks(effect: float, rating: int) -> None:
    assert rating_of(effect) == rating


def test_rating_without_data_is_one() -> None:
    assert rating_of(3.0, has_data=False) == 1


def test_guidance_follows_each_groups_own_wish() -> None:
    opposite = guidance_for(CODE, BOTH, -1.0, np.array([-0.5, 0.5]))
    assert opposite == {"novice": "Leave code out.", "expert": "Show code."}
    indifferent = guidance_for(CODE, BOTH, 0.6, np.array([0.6, 0.0]))
    assert indifferent == {"novice": "Show code.", "expert": "Leave code out."}
    both_like_it = guidance_for(CODE, BOTH, 0.5, np.array([0.9, 0.4]))
    assert both_like_it == {"novice": "Show code."}
    against_all = guidance_for(CODE, Contrast("novice"), -1.0, np.array([-0.5, 0.5]))
    assert against_all == {"novice": "Leave code out."}


def test_interpretation_reads_as_a_sentence() -> None:
    said = interpretation_of(CODE, BOTH, -0.7, np.array([-0.4, 0.3]))
    # exp(0.7) = 2.01.
    assert said == (
        "Answers with more code displease novice users and please expert users; a step of one "
        "standard deviation changes the odds of a pleased reaction 2.01 times as much."
    )
    weaker = interpretation_of(CODE, BOTH, 0.5, np.array([0.9, 0.4]))
    assert weaker.startswith("Answers with more code please novice users more than expert users;")


def evidence(**change: object) -> Evidence:
    fields: dict[str, object] = {
        "effect": 0.5,
        "interval": (0.2, 0.8),
        "p_value": 0.001,
        "q_value": 0.01,
        "people": {"a": 9, "b": 9},
        "turns": {"a": 20, "b": 20},
    }
    return Evidence.model_validate({**fields, **change})


@pytest.mark.parametrize(
    ("change", "rating", "guidance", "protected", "said"),
    [
        ({}, 3, {"a": "x"}, False, None),
        ({"q_value": 0.06}, 3, {"a": "x"}, False, "above 0.05"),
        ({}, 2, {"a": "x"}, False, "rating 2"),
        ({"people": {"a": 4, "b": 9}}, 3, {"a": "x"}, False, "4 people"),
        ({"turns": {"a": 14, "b": 20}}, 3, {"a": "x"}, False, "14 judged turns"),
        ({}, 3, {"a": "x"}, True, "safety"),
        ({}, 3, {}, False, "no group"),
    ],
)
def test_the_gate_names_the_test_that_failed(
    change: dict[str, object],
    rating: int,
    guidance: dict[str, str],
    protected: bool,
    said: str | None,
) -> None:
    why = refusal(
        evidence(**change),
        rating=rating,
        guidance=guidance,
        protected=protected,
        config=GateConfig(),
    )
    assert (why is None) if said is None else (why is not None and said in why)


def test_rubric_guidance_is_of_live_aspects_only() -> None:
    def aspect(name: str, status: str) -> Aspect:
        return Aspect.model_validate(
            {
                "name": name,
                "rating": 3,
                "interpretation": "x",
                "guidance": {"a": name},
                "status": status,
            }
        )

    rubric = Rubric.model_validate(
        {
            "intent": "i",
            "contrast": {"group": "a"},
            "version": 1,
            "aspects": [aspect("one", "live"), aspect("two", "candidate")],
        }
    )
    assert rubric.guidance("a") == ("one",)
    assert rubric.guidance("b") == ()
