"""The decision on figures alone, with hand-computed values."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from gpa_agent.alignment.gating.coherence import Signals
from gpa_agent.alignment.gating.gate import GateConfig, Taxed, Verdict
from gpa_agent.alignment.gating.verdict import (
    Compared,
    Estimate,
    Measured,
    compare,
    decide,
    error_at,
    person_estimate,
    too_few,
    too_often,
)


def _signals(coherent: float = 1.0, ended: float = 1.0) -> Signals:
    rank = np.arange(100) / 100
    return Signals(ended=rank < ended, looping=np.zeros(100, dtype=bool), likely=rank < coherent)


GOOD = Measured(
    group="novice",
    people=20,
    prompts=100,
    own=Compared(0.8, 0.1, Estimate(0.7, 0.6, 0.8)),
    others={"expert": Compared(0.1, 0.8, Estimate(-0.7, -0.8, -0.6))},
    signals=_signals(),
    base_signals=_signals(),
    rise=Estimate(1.0, 0.5, 1.5),
    tokens=50,
    base_tokens=40,
    chosen_tokens=60,
    max_new_tokens=128,
)
LOST = Compared(0.4, 0.5, Estimate(-0.1, -0.2, 0.0))
UNSURE = Compared(0.5, 0.4, Estimate(0.1, -0.05, 0.25))


def test_what_is_better_for_its_group_and_no_worse_otherwise_passes() -> None:
    verdict = decide(GOOD, GateConfig(), checkpoint=20)

    assert verdict.passed
    assert verdict.reasons == ()
    assert verdict.checkpoint == 20
    assert verdict.figures["win"] == 0.8
    assert verdict.figures["tie"] == pytest.approx(0.1)
    assert verdict.figures["advantage:expert"] == -0.7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"own": LOST}, "wins 40% and loses 50%"),
        ({"own": UNSURE}, "advantage +0.10 (-0.05 to +0.25) over 20 people"),
        ({"own": Compared(0.0, 0.0, Estimate(0, 0, 0))}, "the judge sees no difference"),
        ({"others": {"expert": Compared(0.6, 0.2, Estimate(0.4, 0.3, 0.5))}}, "'expert' too"),
        ({"signals": _signals(coherent=0.94)}, "94% of its answers are coherent where 100%"),
        ({"signals": _signals(ended=0.94)}, "94% of its answers end within 128 tokens"),
        ({"base_signals": _signals(ended=0.4)}, "raise max_new_tokens"),
        ({"rise": Estimate(-0.1, -0.3, 0.1)}, "-0.10 (-0.30 to +0.10) nats"),
        ({"tokens": 91}, "outside 27 to 90"),  # 40 / 1.5 and 60 x 1.5
        ({"tokens": 26}, "outside 27 to 90"),
        ({"taxed": Taxed(("it forgot how to count",), {"counts": 0.2})}, "forgot how to count"),
    ],
)
def test_each_fault_alone_refuses_and_is_told(change: dict[str, Any], said: str) -> None:
    verdict = decide(dataclasses.replace(GOOD, **change), GateConfig())

    assert not verdict.passed
    assert len(verdict.reasons) == 1
    assert said in verdict.reasons[0]


def test_faults_within_bounds_pass() -> None:
    near = dataclasses.replace(
        GOOD, signals=_signals(coherent=0.96, ended=0.96), tokens=89, rise=Estimate(0, -1, 1)
    )

    assert decide(near, GateConfig()).passed
    strict = GateConfig(max_incoherence=0.0, max_unended=0.0, max_drift=1.1)
    assert len(decide(near, strict).reasons) == 3


def test_what_is_not_a_number_never_passes() -> None:
    nan = Estimate(math.nan, math.nan, math.nan)
    broken = dataclasses.replace(
        GOOD,
        own=Compared(0.8, 0.1, nan),
        others={"expert": Compared(0.1, 0.8, nan)},
        rise=nan,
        tokens=math.nan,
    )

    verdict = decide(broken, GateConfig())

    assert len(verdict.reasons) == 4
    assert verdict.figures["chosen_rise"] is None
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_an_incoherent_answer_loses_whatever_its_score() -> None:
    found = compare(
        np.array([9.0, 9.0, 1.0, 1.05]),
        np.array([1.0, 1.0, 2.0, 1.0]),
        np.array([True, False, True, True]),
        np.array([0, 0, 1, 1]),
        margin=0.1,
        error=0.05,
        seed=0,
    )

    # Won, lost for incoherence, lost, tied within the margin: one in four, two in four.
    assert (found.win, found.loss) == (0.25, 0.5)
    assert found.advantage.mean == pytest.approx(-0.25)  # people: 0 and -0.5


def test_every_person_counts_the_same() -> None:
    values, person = np.array([1.0] * 90 + [0.0] * 10), np.array([0] * 90 + [1] * 10)

    assert person_estimate(values, person, error=0.05, seed=0).mean == 0.5


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    # 400 worlds of 30 people with 4 answers each; a person's own leaning makes answers alike.
    rng = np.random.default_rng(5)
    person = np.repeat(np.arange(30), 4)
    covered = 0
    for world in range(400):
        leaning = rng.normal(0, 0.3, 30)[person]
        found = person_estimate(leaning + rng.normal(0, 0.5, 120), person, error=0.05, seed=world)
        covered += found.low <= 0 <= found.high

    assert 0.91 <= covered / 400 <= 0.98


def test_too_little_to_tell_is_said_with_the_remedy() -> None:
    config = GateConfig(min_people=5, min_prompts=10)

    assert too_few("novice", 5, 10, config) is None
    for people, prompts in ((4, 10), (5, 9)):
        said = too_few("novice", people, prompts, config)
        assert said is not None
        assert f"{prompts} held-out pairs of {people} people" in said
        assert "Collect" in said


def test_all_looks_together_leave_no_more_than_they_may() -> None:
    # 1/2 + 1/6 + 1/12 + ... + 1/k(k + 1) = 1 - 1/(k + 1)
    shares = [error_at(look, GateConfig(error=0.06)) for look in range(1, 12)]

    assert shares[:3] == pytest.approx([0.03, 0.01, 0.005])
    assert sum(shares) == pytest.approx(0.06 * (1 - 1 / 12))


def test_a_look_that_the_draws_cannot_resolve_is_refused_with_the_remedy() -> None:
    # 20,000 draws with 0.05 / k(k + 1) / 2 in a tail: 2.08 for look 15, 1.84 for look 16.
    assert too_often("novice", 14, GateConfig()) is None
    said = too_often("novice", 15, GateConfig())

    assert said is not None
    assert "too often on the same people: 15 times" in said
    assert "gpa pairs" in said
    assert too_often("novice", 0, GateConfig(error=0.001)) is None  # the least there is: 5 draws


@pytest.mark.parametrize("people", [20, 4])
def test_few_people_do_not_hide_a_win_for_another_group(people: int) -> None:
    # It wins by the other's rubric with a quarter of the people, and ties with the rest. Of four
    # people a resample leaves the one out in (3/4)^4 = 32% of the draws, of twenty the five in
    # (3/4)^20 = 0.3%.
    person = np.arange(people)
    win, coherent = (person < people / 4).astype(np.float64), np.ones(people, dtype=bool)
    other = compare(win, np.zeros(people), coherent, person, margin=0.1, error=0.05, seed=0)

    verdict = decide(dataclasses.replace(GOOD, others={"expert": other}), GateConfig())

    assert (other.advantage.mean, other.advantage.low > 0) == (0.25, people == 20)
    assert ["(its mean may be 0.15)" in said for said in verdict.reasons] == [people == 4]


def test_an_unclear_win_for_another_group_may_have_a_small_mean() -> None:
    for mean, passes in ((0.15, True), (0.16, False)):
        other = Compared(mean, 0.0, Estimate(mean, -0.1, 0.4))
        measured = dataclasses.replace(GOOD, others={"expert": other})
        assert decide(measured, GateConfig()).passed == passes
        assert decide(measured, GateConfig(max_other_win=0.2)).passed


@pytest.mark.parametrize(
    "setting",
    [{"samples": 0}, {"min_people": 1}, {"max_drift": 1}, {"error": 1e-4}, {"x": 1}],
)
def test_a_setting_out_of_range_is_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        GateConfig.model_validate(setting)
