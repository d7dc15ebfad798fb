"""What a served block does is no evidence: strata, masks and weights in the contrast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpa_agent.errors import UsageError
from gpa_agent.rubrics.contrast import ContrastConfig, ContrastResult, run_contrast
from gpa_agent.rubrics.gate import GateConfig
from gpa_agent.rubrics.observations import Observations
from gpa_agent.rubrics.records import Contrast
from gpa_agent.rubrics.weighing import weigh
from gpa_agent.testing.serving_world import CORRELATES, SERVED, TRAITS, ServingWorld
from gpa_agent.testing.worlds import GROUPS, INTENT, PlantedWorld

QUICK = ContrastConfig(permutations=399, bootstrap=20)
SMALL = ServingWorld(people=30)
PINNED_P = [0.842, 0.46, 0.326, 0.006, 0.024, 0.01, 0.208, 0.924]
PINNED_FAMILIES = [0.028, 0.036]
PINNED_EFFECT = [
    -0.027779540827,
    0.115097339259,
    -0.178829692562,
    -0.49557869876,
    -0.435276408379,
    0.497006109403,
    0.224533842022,
    -0.019523997065,
]


def contrast_of(rows: Observations, config: ContrastConfig = QUICK) -> ContrastResult:
    families = {"one": range(4), "two": range(4, rows.values.shape[1])}
    return run_contrast(
        rows, intent=INTENT, contrast=Contrast(*GROUPS), families=families, config=config
    )


def served_rejected(*, known: bool, worlds: int) -> int:
    """In how many null worlds the served trait has p <= 0.05."""
    rejected = 0
    for seed in range(worlds):
        rows = ServingWorld().sample(seed=seed)
        if not known:
            nothing = np.zeros_like(rows.masked)
            rows = replace(rows, stratum=np.zeros_like(rows.stratum), masked=nothing)
        result = contrast_of(rows)
        rejected += result.p[result.traits.index(SERVED)] <= 0.05
    return rejected


def test_a_log_that_nothing_was_served_from_gives_what_it_always_gave() -> None:
    world = PlantedWorld(traits=8, divergent=3, people=40, answers=5)
    result = contrast_of(
        world.sample(seed=0).observations, ContrastConfig(permutations=499, bootstrap=100)
    )
    # Written down before rows had weights, strata and masks.
    assert result.p.tolist() == PINNED_P
    assert result.family_p.tolist() == PINNED_FAMILIES
    assert result.effect == pytest.approx(PINNED_EFFECT, abs=1e-10)
    assert result.support == (((40, 40), (200, 200)),) * 8


def test_a_served_block_is_no_taste() -> None:
    # 40 true nulls at 5%: 2 expected; 8 or more in under 1 of 1,000.
    assert served_rejected(known=True, worlds=40) <= 7
    # The same worlds without a word of what was served: every second trait is "found".
    assert served_rejected(known=False, worlds=40) >= 12


def test_what_blocks_do_to_answers_changes_nothing() -> None:
    rows = replace(SMALL, versions=3).sample(seed=1)
    pushed = replace(rows, values=rows.values + 0.7 * rows.stratum[:, None])
    one, two = contrast_of(rows), contrast_of(pushed)
    assert one.effect == pytest.approx(two.effect, abs=1e-9)
    assert one.p.tolist() == two.p.tolist()


def test_evidence_of_a_served_trait_counts_those_that_were_not_served_it() -> None:
    rows = SMALL.sample(seed=2)
    result = contrast_of(rows)
    first = np.array([g == GROUPS[0] for g in rows.group])
    spoken = ~rows.masked[:, SERVED]
    (people, turns), other = result.support[SERVED], result.support[SERVED + 1]
    assert turns == (int((first & spoken).sum()), 300)
    assert people == (30, 30)
    assert other == ((30, 30), (300, 300))
    linked = {id_ for side in result.preferences[SERVED] for id_ in side}
    assert not linked & {id_ for id_, spoke in zip(rows.ids, spoken, strict=True) if not spoke}


def test_a_trait_that_almost_everybody_was_served_is_not_tested_and_others_are() -> None:
    rows = ServingWorld(people=30, before=0, holdout=0.0).sample(seed=3)
    result = contrast_of(rows)
    assert result.traits == tuple(t for t in range(TRAITS) if t != SERVED)
    everywhere = contrast_of(replace(rows, masked=np.ones_like(rows.masked)))
    assert everywhere.untested is not None
    assert "not served under an item" in everywhere.untested


@pytest.mark.parametrize("seed", range(3))
def test_of_a_trait_alone_masked_rows_might_as_well_not_be_there(seed: int) -> None:
    rows = ServingWorld(people=40, before=3, holdout=0.3).sample(seed=seed)
    # A third of those who were served first came when it was served: they say nothing at all.
    late = (rows.person % 3 == 0) & ~(rows.masked[:, SERVED]) & (rows.person < 40)
    served = np.isin(rows.person, rows.person[rows.masked[:, SERVED]])
    rows = rows.select(~(late & served))
    rows = replace(rows, values=rows.values[:, [SERVED]], masked=rows.masked[:, [SERVED]])
    result, without = contrast_of(rows), contrast_of(rows.select(~rows.masked[:, 0]))
    assert result.support[0] == (without.people, without.turns)
    assert result.p == pytest.approx(without.p, abs=0.02)
    # The information of a row is taken over all rows, masked ones included.
    assert result.effect == pytest.approx(without.effect, rel=0.2)
    assert result.slopes == pytest.approx(without.slopes, abs=0.05)


def test_what_an_item_does_where_it_is_served_does_not_spread() -> None:
    # Nobody has a taste, but where the trait was served more of it decides nearly everything.
    small = correlates = 0
    for seed in range(20):
        rows = ServingWorld(people=100, taste=0.0, lift=0.0).sample(seed=seed)
        own = np.random.default_rng(seed).random(len(rows)) < _logistic(2 * rows.values[:, SERVED])
        result = contrast_of(replace(rows, sat=np.where(rows.masked[:, SERVED], own, rows.sat)))
        small += result.p[SERVED] <= 0.05
        correlates += (result.p[list(CORRELATES)] <= 0.05).sum()
        assert np.abs(result.slopes[:, SERVED]).max() < 0.35
    # 20 and 60 true nulls at 5%: 1 and 3 expected.
    assert small <= 4
    assert correlates <= 7


def _logistic(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)))


def test_what_turned_in_one_place_still_counts_in_others() -> None:
    world = PlantedWorld(traits=6, divergent=2, people=30)
    planted = world.sample(seed=7)
    rows = planted.observations
    rows = replace(rows, intent=tuple("ab"[n % 2] for n in range(len(rows))))
    turned = np.zeros_like(rows.masked)
    turned[:, 0] = True
    found = weigh(
        rows,
        planted.traits,
        [Contrast(*GROUPS)],
        contrast_config=QUICK,
        gate_config=GateConfig(),
        turned={("a", *GROUPS): turned},
    )
    assert [0 in r.traits for r in found.results] == [False, True]


def test_few_rows_of_one_judgment_in_a_stratum_change_little() -> None:
    rows = PlantedWorld(traits=6, divergent=2, people=40, wrong_labels=0.0).sample(seed=5)
    plain = rows.observations
    pleased = np.flatnonzero(plain.sat)[:3]
    stratum = np.zeros(len(plain), dtype=np.int64)
    stratum[pleased] = [1, 2, 2]
    assert contrast_of(replace(plain, stratum=stratum)).effect == pytest.approx(
        contrast_of(plain).effect, abs=0.05
    )


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_two_halves_weigh_what_a_whole_does(seed: int) -> None:
    rows = SMALL.sample(seed=seed)
    twice = np.tile(np.arange(len(rows)), 2)
    halves = Observations(
        values=rows.values[twice],
        sat=rows.sat[twice],
        paired=rows.paired[twice],
        person=rows.person[twice],
        group=rows.group * 2,
        intent=rows.intent * 2,
        ids=rows.ids * 2,
        weight=np.full(2 * len(rows), 0.5),
        stratum=rows.stratum[twice],
        masked=rows.masked[twice],
    )
    one, two = contrast_of(rows), contrast_of(halves)
    assert one.effect == pytest.approx(two.effect, abs=1e-9)
    assert one.p == pytest.approx(two.p)
    assert one.support == two.support


def test_people_and_turns_fade() -> None:
    rows = PlantedWorld(traits=6, divergent=2, people=10, answers=5).sample(seed=6).observations
    # Five people of each group were last seen long ago: 5 turns x 0.01 is below a tenth of a turn.
    old = np.where(rows.person % 10 < 5, 0.01, 0.5)
    config = ContrastConfig(permutations=99, bootstrap=20, min_turns=10)
    result = contrast_of(replace(rows, weight=old), config)
    # 5 people x 5 turns x 0.5 and 5 x 5 x 0.01: 12.75.
    assert result.people == (5, 5)
    assert result.turns == (12, 12)
    assert contrast_of(replace(rows, weight=old)).untested is not None


def test_a_row_weighs_more_than_nothing() -> None:
    rows = SMALL.sample(seed=0)
    with pytest.raises(UsageError, match="more than 0"):
        replace(rows, weight=np.zeros(len(rows)))
    with pytest.raises(UsageError, match="one entry per row"):
        replace(rows, masked=rows.masked[:, 1:])
