"""What a model claims, weighed: hand-computed figures, and what a claim must show to be served."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.prompts import AspectItem
from gpa_agent.rubrics.claim_evidence import Hearing, Wishes, weigh_claims
from gpa_agent.rubrics.contrast import ContrastConfig
from gpa_agent.rubrics.gate import GateConfig
from gpa_agent.rubrics.records import Aspect, Contrast
from gpa_agent.rubrics.weighing import Weighed

CONTRAST = Contrast("novice", "expert")
STEPS = AspectItem(
    name="amount of steps",
    rating=4,
    interpretation="The first side asks for steps; the second side is better off without.",
    first_wants="Number the steps.",
    second_wants="Leave the steps out.",
    first=[],
    second=[],
)

COSTS = STEPS.model_copy(update={"name": "talk of costs"})


def hearing(
    novices: list[list[int]],
    experts: list[list[int]],
    *,
    claims: tuple[AspectItem, ...] = (STEPS,),
    problems: tuple[str | None, ...] | None = None,
    contrast: Contrast = CONTRAST,
) -> Hearing:
    """One list of wishes (1, 0, -1 of the one claim) per person."""
    people = [*novices, *experts]
    person = [p for p, said in enumerate(people) for _ in said]
    return Hearing(
        intent="debugging",
        contrast=contrast,
        claims=claims,
        problems=problems or (None,) * len(claims),
        wishes=Wishes(
            values=np.array([[w] * len(claims) for said in people for w in said], np.int8),
            person=np.array(person, np.int64),
            first=np.array([p < len(novices) for p in person], dtype=bool),
            ids=tuple(f"pref-{i}" for i in range(len(person))),
        ),
    )


def weigh(*hearings: Hearing, **changes: Any) -> Weighed:
    return weigh_claims(
        hearings,
        (CONTRAST,),
        contrast_config=ContrastConfig(permutations=999, bootstrap=200),
        gate_config=GateConfig(**changes),
    )


def only(weighed: Weighed) -> Aspect:
    return weighed.rubrics[0].aspects[0]


CLEAR = hearing([[1, 0, 1]] * 12, [[-1, 0, 0]] * 12)


def test_the_effect_is_the_difference_of_the_groups_shares() -> None:
    aspect = only(weigh(CLEAR))
    assert aspect.evidence is not None
    # novices 2/3 of their turns for it, experts 1/3 against: 0.667 - (-0.333)
    assert aspect.evidence.effect == pytest.approx(1.0)
    assert aspect.evidence.people == {"novice": 12, "expert": 12}
    assert aspect.evidence.turns == {"novice": 36, "expert": 36}
    assert aspect.status == "approved"
    assert aspect.guidance == {"novice": "Number the steps.", "expert": "Leave the steps out."}


def test_the_interpretation_names_the_groups_and_what_was_counted() -> None:
    text = only(weigh(CLEAR)).interpretation
    assert text.startswith(
        "The novice group asks for steps; the expert group is better off without."
    )
    assert "67% of the voiced wishes of the novice group are 'Number the steps.'" in text
    assert "33% of the voiced wishes of the expert group are 'Leave the steps out.'" in text


def test_links_are_to_those_who_voice_their_own_side_one_a_person() -> None:
    aspect = only(weigh(CLEAR))
    assert aspect.evidence is not None
    links = aspect.evidence.preferences
    assert len(links["novice"]) == 10  # of twelve people
    voicing = {f"pref-{3 * p + turn}" for p in range(12) for turn in (0, 2)}
    assert set(links["novice"]) <= voicing
    assert set(links["expert"]) <= {f"pref-{36 + 3 * p}" for p in range(12)}


def test_one_loud_person_proves_nothing() -> None:
    loud = hearing([[1] * 200] + [[0, 0, 0]] * 11, [[0, 0, 0]] * 12)
    aspect = only(weigh(loud))
    assert aspect.status == "candidate"
    assert aspect.guidance == {}


def test_guidance_needs_five_of_the_groups_own_people() -> None:
    few = hearing([[1, 1, 1]] * 12, [[-1, -1, -1]] * 4 + [[0, 0, 0]] * 8)
    assert only(weigh(few)).guidance == {"novice": "Number the steps."}
    enough = hearing([[1, 1, 1]] * 12, [[-1, -1, -1]] * 5 + [[0, 0, 0]] * 7)
    assert only(weigh(enough)).guidance.keys() == {"novice", "expert"}


def test_a_claim_that_holds_the_other_way_round_is_not_served() -> None:
    turned = hearing([[-1, -1, 0]] * 12, [[1, 1, 0]] * 12)
    aspect = only(weigh(turned))
    assert (aspect.status, aspect.guidance) == ("candidate", {})
    assert aspect.reason == "the people it was tested on want it the other way round"


def test_what_nobody_voices_stays_a_candidate_with_its_figures() -> None:
    aspect = only(weigh(hearing([[0, 0]] * 12, [[0, 0]] * 12)))
    assert aspect.evidence is not None
    assert (aspect.evidence.effect, aspect.evidence.p_value) == (0.0, 1.0)
    assert aspect.status == "candidate"


def test_a_low_rating_or_refused_words_are_not_served_whatever_the_figures() -> None:
    low = STEPS.model_copy(update={"rating": 2})
    aspect = only(weigh(hearing([[1, 1, 1]] * 12, [[-1, -1, -1]] * 12, claims=(low,))))
    assert aspect.reason == "rating 2 is not above 2: too small to matter"
    refused = hearing([[1, 1, 1]] * 12, [[-1, -1, -1]] * 12, problems=("its words are refused",))
    assert only(weigh(refused)).reason == "its words are refused"


def test_a_group_is_never_given_the_opposite_of_what_most_of_it_asks_for() -> None:
    # Experts ask for steps too, only less often; six of twelve ask for none at times.
    experts = hearing([[1, 1, 1]] * 12, [[1, 1, -1]] * 6 + [[1, 1, 0]] * 6)
    aspect = only(weigh(experts))
    assert aspect.status == "approved"
    assert aspect.guidance == {"novice": "Number the steps."}


def test_people_with_many_turns_against_people_with_few_do_not_break_the_null() -> None:
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(60):
        tastes = rng.beta(3, 7, 108)
        novices = [[int(rng.random() < tastes[p]) for _ in range(2)] for p in range(8)]
        experts = [[int(rng.random() < tastes[p]) for _ in range(10)] for p in range(8, 108)]
        evidence = only(weigh(hearing(novices, experts))).evidence
        assert evidence is not None
        rejected += evidence.p_value <= 0.05
    # 60 true nulls at 5%: 3 expected, 8 or more in under 1 of 100; unstudentised about 15.
    assert rejected <= 8


def test_what_the_model_gave_no_answer_to_is_undecided_and_not_tested() -> None:
    silent = dataclasses.replace(CLEAR, undecided="no usable answer")
    weighed = weigh(silent)
    assert weighed.rubrics == ()
    assert weighed.results[0].untested == "no usable answer"
    assert weighed.undecided == {("debugging", "novice", "expert")}


def test_everybody_else_is_given_no_guidance() -> None:
    against_all = hearing([[1, 1, 1]] * 12, [[-1, -1, -1]] * 12, contrast=Contrast("novice"))
    aspect = only(weigh(against_all))
    assert aspect.guidance.keys() == {"novice"}
    assert "everybody else" in aspect.interpretation


def test_too_few_people_are_not_tested_and_told_so() -> None:
    weighed = weigh(hearing([[1] * 10] * 4, [[-1] * 10] * 12))
    assert weighed.rubrics == ()
    assert "'novice' has 4 people and 40 turns that voiced a wish" in (
        weighed.results[0].untested or ""
    )


def test_without_claims_the_rubric_is_empty() -> None:
    weighed = weigh(hearing([[0, 0]] * 12, [[0, 0]] * 12, claims=()))
    assert weighed.rubrics[0].aspects == ()
    assert weighed.tested == 0


def test_all_claims_of_a_run_are_corrected_together() -> None:
    alone = only(weigh(CLEAR)).evidence
    nothing = hearing([[1, 0], [0, 1]] * 6, [[1, 0], [0, 1]] * 6)
    among = weigh(CLEAR, *[nothing] * 9)
    assert alone is not None
    evidence = among.rubrics[0].aspects[0].evidence
    assert evidence is not None
    # Ten tests, this one with the smallest p: q = 10 p / 1.
    assert among.tested == 10
    assert evidence.q_value == pytest.approx(10 * evidence.p_value)
    assert evidence.p_value == alone.p_value


@given(st.permutations(range(24)))
def test_who_is_called_what_and_in_which_order_changes_nothing(order: list[int]) -> None:
    people = [([1, 0, 1] if p % 3 else [0, 1, 0]) if p < 12 else [0, -1, 0] for p in range(24)]
    novices = [people[p] for p in order if p < 12]
    experts = [people[p] for p in order if p >= 12]
    straight = only(weigh(hearing(people[:12], people[12:]))).evidence
    mixed = only(weigh(hearing(novices, experts))).evidence
    assert straight is not None
    assert mixed is not None
    assert straight.model_copy(update={"preferences": {}}) == mixed.model_copy(
        update={"preferences": {}}
    )


@given(st.lists(st.lists(st.sampled_from([-1, 0, 1]), min_size=2, max_size=4), min_size=16))
def test_exchanging_the_sides_turns_the_effect(people: list[list[int]]) -> None:
    half = len(people) // 2
    one = only(weigh(hearing(people[:half], people[half:]), min_people=2, min_turns=2))
    flipped = [[-w for w in said] for said in people]
    other = only(weigh(hearing(flipped[half:], flipped[:half]), min_people=2, min_turns=2))
    assert one.evidence is not None
    assert other.evidence is not None
    assert one.evidence.effect == pytest.approx(other.evidence.effect)


def test_turns_served_under_a_claim_are_no_evidence_for_it() -> None:
    two = hearing([[1, 1, 0]] * 12, [[-1, 0, 0]] * 12, claims=(STEPS, COSTS))
    # Every novice's first turn was served under the one claim; of the other it still speaks.
    masked = np.zeros(two.wishes.values.shape, dtype=bool)
    masked[np.arange(0, 36, 3), 0] = True
    own = dataclasses.replace(two, wishes=dataclasses.replace(two.wishes, masked=masked))
    evidence = {a.name: a.evidence for a in weigh(own).rubrics[0].aspects}
    steps, costs = evidence[STEPS.name], evidence[COSTS.name]
    assert steps is not None
    assert costs is not None
    # One of the novices' two turns that are left voices it: 1/2 - (-1/3).
    assert steps.effect == pytest.approx(5 / 6)
    assert steps.turns == {"novice": 24, "expert": 36}
    # All three of them: two thirds of the novices, less a third of the experts against.
    assert costs.effect == pytest.approx(1.0)
    assert costs.turns == {"novice": 36, "expert": 36}


def test_a_claim_that_everybody_is_served_has_nothing_to_rest_on() -> None:
    masked = np.zeros(CLEAR.wishes.values.shape, dtype=bool)
    masked[12:36] = True  # all but four novices
    own = dataclasses.replace(CLEAR, wishes=dataclasses.replace(CLEAR.wishes, masked=masked))
    aspect = only(weigh(own))
    assert aspect.evidence is not None
    assert (aspect.status, aspect.evidence.p_value) == ("candidate", 1.0)
    assert "4 people on one side have turns that can speak for it" in (aspect.reason or "")


def test_older_turns_weigh_less() -> None:
    # Each novice said it once, long ago, and twice not: 0.25 / (0.25 + 1 + 1) = 1/9 of the weight.
    weight = np.tile([0.25, 1.0, 1.0], 24)
    heard = hearing([[1, 0, 0]] * 12, [[0, 0, 0]] * 12)
    aged = dataclasses.replace(heard, wishes=dataclasses.replace(heard.wishes, weight=weight))
    aspect = only(weigh(aged))
    assert aspect.evidence is not None
    assert aspect.evidence.effect == pytest.approx(1 / 9)
    assert "11% of the voiced wishes of the novice group" in aspect.interpretation


def test_what_was_said_ages_ago_by_everybody_is_no_evidence_any_more() -> None:
    weight = np.full(72, 0.03)  # three turns of a person weigh 0.09 together
    old = dataclasses.replace(CLEAR, wishes=dataclasses.replace(CLEAR.wishes, weight=weight))
    aspect = only(weigh(old))
    assert aspect.evidence is not None
    assert aspect.evidence.people == {"novice": 0, "expert": 0}
    assert aspect.status == "candidate"
