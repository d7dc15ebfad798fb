"""Judges: the rubric's own, an operator's, and one that breaks its promise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from gpa_agent.alignment.gating.judging import (
    Asked,
    RubricJudge,
    load_judge,
    margin_of,
    scores,
    verdicts_of,
)
from gpa_agent.alignment.pair import Pair, Said
from gpa_agent.errors import ModelError, UsageError
from gpa_agent.rubrics.records import Aspect, ContrastModel, Evidence, Rubric, Status

PLAIN, ONE, TWO = "So it is.", "- So it is.", "- So\n- it is."


def _aspect(
    name: str,
    effect: float,
    *,
    status: Status = "live",
    guided: Sequence[str] = ("novice", "expert"),
) -> Aspect:
    evidence = Evidence(
        effect=effect, interval=(effect, effect), p_value=0.01, q_value=0.01, people={}, turns={}
    )
    return Aspect(
        name=name,
        rating=4,
        interpretation="",
        guidance=dict.fromkeys(guided, "Do so."),
        status=status,
        evidence=evidence,
    )


def _rubric(*aspects: Aspect, other: str = "expert") -> Rubric:
    return Rubric(
        intent="howto",
        contrast=ContrastModel(group="novice", other=other),
        version=1,
        aspects=aspects,
    )


def _asked(count: int, intent: str = "howto") -> list[Asked]:
    return [Asked((Said(role="user", content="Why?"),), intent)] * count


def _judge(*rubrics: Rubric) -> RubricJudge:
    return RubricJudge(rubrics, examples=[("Why?", PLAIN), ("Why?", TWO)])


def test_a_score_is_effects_times_traits_in_standard_deviations() -> None:
    judge = _judge(_rubric(_aspect("lists", 0.6)))

    found = judge.score(_asked(3), [PLAIN, ONE, TWO], "novice")

    # lists is log(1 + items); its spread over 0 and log 3 is log(3) / 2.
    per_unit = 0.6 / (math.log(3) / 2)
    assert np.subtract(found, found[0]).tolist() == pytest.approx(
        [0.0, per_unit * math.log(2), per_unit * math.log(3)]
    )


def test_the_other_group_sees_it_the_other_way_round() -> None:
    judge = _judge(_rubric(_aspect("lists", 0.6)))

    novice = judge.score(_asked(2), [PLAIN, TWO], "novice")
    expert = judge.score(_asked(2), [PLAIN, TWO], "expert")

    assert [-score for score in expert] == pytest.approx(novice)


@pytest.mark.parametrize(
    "rubric",
    [
        _rubric(_aspect("lists", 0.6, status="candidate")),
        _rubric(_aspect("lists", 0.6, guided=["expert"])),
        _rubric(_aspect("wants a laugh", 0.6)),
        _rubric(_aspect("emoji", 0.6)),  # no example has any
    ],
)
def test_what_is_not_served_or_not_measured_does_not_count(rubric: Rubric) -> None:
    assert _judge(rubric).score(_asked(1), [TWO], "novice") == [0.0]


def test_an_intent_or_group_without_a_rubric_ties() -> None:
    judge = _judge(_rubric(_aspect("lists", 0.6), other="*"))

    assert judge.score(_asked(1, "debug"), [TWO], "novice") == [0.0]
    assert judge.score(_asked(1), [TWO], "expert") == [0.0]


class Picky:
    """An operator's judge."""

    def score(self, asked: Sequence[Asked], answers: Sequence[str], group: str) -> list[float]:
        return [float(len(answer)) for answer in answers]

    def coherent(self, asked: Sequence[Asked], answers: Sequence[str]) -> list[bool]:
        return [answer != "" for answer in answers]


class Careless(Picky):
    """One that breaks its promise."""

    def score(self, asked: Sequence[Asked], answers: Sequence[str], group: str) -> list[float]:
        return [math.nan for _ in answers]

    def coherent(self, asked: Sequence[Asked], answers: Sequence[str]) -> list[bool]:
        return []


READY = Picky()


@pytest.mark.parametrize("name", ["Picky", "READY"])
def test_an_operators_judge_is_a_class_or_an_object(name: str) -> None:
    judge = load_judge(f"{__name__}:{name}", rubrics=[], pairs=[])

    assert scores(judge, _asked(2), ["a", "bc"], "novice").tolist() == [1.0, 2.0]
    assert margin_of(judge) == 0.0
    said = verdicts_of(judge, _asked(2), ["a", ""])
    assert said is not None
    assert said.tolist() == [True, False]


@pytest.mark.parametrize("spec", ["json", "nowhere.at_all:judge", "json:absent", "json:loads", ""])
def test_a_judge_that_is_none_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="judge"):
        load_judge(spec, rubrics=[], pairs=[])


def test_the_default_judge_takes_its_spread_from_the_pairs() -> None:
    pair = Pair(
        prompt=(Said(role="user", content="Why?"),),
        chosen=(Said(role="assistant", content=TWO),),
        rejected=(Said(role="assistant", content=PLAIN),),
        subject="pair:1",
        group="novice",
        intent="howto",
    )
    rubric = _rubric(_aspect("lists", 0.6))

    judge = load_judge(None, rubrics=[rubric], pairs=[pair])

    expected = _judge(rubric).score(_asked(1), [TWO], "novice")
    assert judge.score(_asked(1), [TWO], "novice") == expected
    assert margin_of(judge) > 0
    assert verdicts_of(judge, _asked(1), [TWO]) is None


def test_a_judge_that_breaks_its_promise_is_named() -> None:
    with pytest.raises(ModelError, match="Careless"):
        scores(Careless(), _asked(1), ["a"], "novice")
    with pytest.raises(ModelError, match="Careless"):
        verdicts_of(Careless(), _asked(1), ["a"])
