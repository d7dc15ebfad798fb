from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpa_agent.rubrics.contrast import ContrastConfig, ContrastResult, run_contrast
from gpa_agent.rubrics.observations import Observations
from gpa_agent.rubrics.records import Contrast
from gpa_agent.rubrics.scores import person_scores, shrinkage, weight_cap
from gpa_agent.testing.worlds import GROUPS, INTENT, PlantedWorld

BOTH = Contrast(*GROUPS)
QUICK = ContrastConfig(permutations=499, bootstrap=100)
SMALL = PlantedWorld(traits=6, divergent=2, people=40, answers=5, wrong_labels=0.0)


def contrast_of(
    observations: Observations, contrast: Contrast = BOTH, config: ContrastConfig = QUICK
) -> ContrastResult:
    width = observations.values.shape[1]
    families = {"one": range(width // 2), "two": range(width // 2, width)}
    return run_contrast(
        observations, intent=INTENT, contrast=contrast, families=families, config=config
    )


def test_effect_is_the_difference_of_the_log_odds() -> None:
    # 4,000 people with one answer each, slopes +0.3 and -0.3 in one trait: a difference of 0.6,
    # estimated in one step from the pooled slope and shrunk by 600/8000 = 7.5% of the information.
    world = PlantedWorld(
        traits=1,
        divergent=1,
        divergence=0.3,
        people=4000,
        answers=1,
        wrong_labels=0.0,
        shared_taste=0.0,
        own_level=0.0,
    )
    result = contrast_of(world.sample(seed=1).observations)
    assert abs(result.effect[0]) == pytest.approx(0.6 / 1.075, abs=0.08)
    assert result.slopes[:, 0] == pytest.approx(
        [result.effect[0] / 2, -result.effect[0] / 2], abs=0.06
    )
    low, high = result.interval[0]
    assert low < result.effect[0] < high


def test_swapping_the_groups_flips_every_effect() -> None:
    observations = SMALL.sample(seed=3).observations
    one, two = contrast_of(observations), contrast_of(observations, Contrast("expert", "novice"))
    assert one.effect == pytest.approx(-two.effect)
    assert one.slopes == pytest.approx(two.slopes[::-1])
    assert one.people == two.people[::-1]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_the_log_changes_nothing(seed: int) -> None:
    observations = SMALL.sample(seed=5).observations
    order = np.random.default_rng(seed).permutation(len(observations))
    shuffled = Observations(
        values=observations.values[order],
        sat=observations.sat[order],
        paired=observations.paired[order],
        person=observations.person[order],
        group=tuple(observations.group[i] for i in order),
        intent=tuple(observations.intent[i] for i in order),
        ids=tuple(observations.ids[i] for i in order),
    )
    one, two = contrast_of(observations), contrast_of(shuffled)
    assert one.effect == pytest.approx(two.effect)
    assert one.p == pytest.approx(two.p)


def test_what_people_are_called_changes_nothing() -> None:
    observations = SMALL.sample(seed=5).observations
    names = np.random.default_rng(0).permutation(80)
    renamed = replace(observations, person=names[observations.person])
    one, two = contrast_of(observations), contrast_of(renamed)
    assert one.p.tolist() == two.p.tolist()
    assert one.interval == pytest.approx(two.interval)


def test_swapping_chosen_and_rejected_is_a_judgment_turned_round() -> None:
    rng = np.random.default_rng(0)
    difference = rng.normal(size=(60, 2))
    first = np.repeat([True, False], 30)
    people = np.arange(60)
    paired = np.ones(60, dtype=bool)
    one = person_scores(difference, paired, paired, people, first)
    two = person_scores(-difference, ~paired, paired, people, first)
    assert one.adjusted == pytest.approx(two.adjusted)


def test_pairs_show_a_planted_difference() -> None:
    rng = np.random.default_rng(7)
    people, first = np.repeat(np.arange(80), 4), np.repeat([True, False], 160)
    difference = rng.normal(size=(320, 3))
    taste = np.where(first, 1.0, -1.0)
    wins = rng.random(320) < 1 / (1 + np.exp(-difference[:, 0] * taste))
    difference[~wins] *= -1
    observations = Observations(
        values=difference,
        sat=np.ones(320, dtype=bool),
        paired=np.ones(320, dtype=bool),
        person=people,
        group=tuple(np.where(first, *GROUPS).tolist()),
        intent=(INTENT,) * 320,
        ids=tuple(map(str, range(320))),
    )
    result = contrast_of(observations)
    assert result.p[0] == pytest.approx(1 / 500)
    assert result.effect[0] > 1
    assert result.p[1:].min() > 0.01


def test_everybody_else_holds_other_and_unknown_groups() -> None:
    observations = SMALL.sample(seed=1).observations
    groups = tuple(
        g if g == "novice" else (None if i % 2 else "third")
        for i, g in enumerate(observations.group)
    )
    result = contrast_of(replace(observations, group=groups), Contrast("novice"))
    assert result.people == (40, 40)
    assert result.turns == (200, 200)


def test_a_person_on_both_sides_counts_once_on_each() -> None:
    observations = SMALL.sample(seed=1).observations
    both = replace(observations, person=observations.person % 40)
    assert contrast_of(both).people == (40, 40)


def test_one_loud_person_weighs_no_more_than_the_cap() -> None:
    rows = np.array([1] * 50 + [2000])
    assert weight_cap(rows) == 10.0
    values = np.random.default_rng(0).normal(size=(2050, 1))
    person = np.repeat(np.arange(51), rows)
    sat = values[:, 0] > 0
    scores = person_scores(values, sat, np.zeros(2050, dtype=bool), person, person % 2 == 0)
    assert scores.weight.max() == 10.0


def test_shrinkage_fades_with_data() -> None:
    # 600/rows between its bounds 0.02 and 0.3.
    assert [shrinkage(n) for n in (1, 2000, 6000, 10**6)] == pytest.approx([0.3, 0.3, 0.1, 0.02])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"person": np.zeros(400, dtype=np.int64)}, "has 1 people"),
        ({"sat": np.ones(400, dtype=bool)}, "0 displeased"),
        ({"values": np.zeros((400, 6))}, "all answers are alike"),
        ({"group": ("novice",) * 400}, "'expert' has 0 people"),
    ],
)
def test_what_cannot_be_tested_says_why(change: dict[str, object], said: str) -> None:
    observations = replace(SMALL.sample(seed=1).observations, **change)  # type: ignore[arg-type]  # a table of fields
    result = contrast_of(observations)
    assert result.untested is not None
    assert said in result.untested
    assert len(result.p) == 0


def test_linked_preferences_come_from_different_people_and_speak_for_it() -> None:
    observations = SMALL.sample(seed=2).observations
    result = contrast_of(observations)
    for_first, for_other = result.preferences[int(np.argmin(result.p))]
    row = {id_: i for i, id_ in enumerate(observations.ids)}
    assert len({int(observations.person[row[i]]) for i in for_first}) == len(for_first) == 10
    assert {observations.group[row[i]] for i in for_other} == {"expert"}


def test_a_shared_taste_is_no_difference_where_one_side_has_more_pairs() -> None:
    rng = np.random.default_rng(3)
    rows, people = 1200, 200
    first = np.repeat([True, False], rows // 2)
    values = rng.normal(size=(rows, 3))
    # Both sides want the first trait alike (0.8); nine in ten of the first side's rows are pairs,
    # one in ten of the other's.
    sat = rng.random(rows) < 1 / (1 + np.exp(-0.8 * values[:, 0]))
    paired = rng.random(rows) < np.where(first, 0.9, 0.1)
    values[paired & ~sat] *= -1
    observations = Observations(
        values=values,
        sat=sat | paired,
        paired=paired,
        person=np.repeat(np.arange(people), rows // people),
        group=tuple(np.where(first, *GROUPS).tolist()),
        intent=(INTENT,) * rows,
        ids=tuple(map(str, range(rows))),
    )
    result = contrast_of(observations)
    assert result.p[0] > 0.05
    # The pooled slope is counted once: both sides' slopes are near the true 0.8.
    assert result.slopes[:, 0] == pytest.approx([0.8, 0.8], abs=0.2)
