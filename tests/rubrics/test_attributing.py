"""Attributions: asked once for each preference and claim."""

from __future__ import annotations

import json

import numpy as np

from gpa_agent.calls.engine import Answered
from gpa_agent.prompts import AspectItem, VoicesAnswer
from gpa_agent.rubrics.attributing import UNASKED, attribute, questions_of, unasked
from gpa_agent.rubrics.fold import Voiced

CLAIMS = [
    AspectItem(
        name=name,
        rating=4,
        interpretation="They differ.",
        first_wants=f"Give {name}.",
        second_wants="",
        first=[],
        second=[],
    )
    for name in ("steps", "costs")
]
HEARD = [
    Voiced(id=f"p{n}", person=f"u{n}", pleased=True, expectation=f"wish {n}", reason="")
    for n in range(5)
]


def shown(data: str) -> tuple[list[str], list[str]]:
    body = json.loads(data)
    return [c["name"] for c in body["claims"]], [p["expectation"] for p in body["preferences"]]


def test_what_is_known_is_not_asked() -> None:
    known = np.zeros((5, 2), np.int8)
    assert questions_of(CLAIMS, HEARD, known, size=20) == []


def test_new_preferences_are_asked_about_all_claims_and_all_about_a_new_claim() -> None:
    known = unasked(5, 2)
    known[:3, 0] = 0  # the first three were asked about the first claim
    questions = questions_of(CLAIMS, HEARD, known, size=2)
    assert [shown(q.ask.data) for q in questions] == [
        (["costs"], ["wish 0", "wish 1"]),
        (["costs"], ["wish 2"]),
        (["steps", "costs"], ["wish 3", "wish 4"]),
    ]


def test_answers_go_where_they_were_asked_and_what_did_not_come_stays_unasked() -> None:
    known = unasked(5, 2)
    known[:3, 0] = 1
    questions = questions_of(CLAIMS, HEARD, known, size=20)
    voices = [
        {"preference": 2, "claim": 1, "side": "x"},
        {"preference": 9, "claim": 1, "side": "x"},
    ]
    said = VoicesAnswer.model_validate({"voices": voices})
    answers = [Answered(questions[0].ask, said), Answered(questions[1].ask, None, "failed")]
    wishes, failed = attribute(questions, answers, CLAIMS, known)
    assert failed == 1
    assert wishes.tolist() == [[1, 0], [1, 1], [1, 0], [UNASKED, UNASKED], [UNASKED, UNASKED]]


def test_nobody_voices_a_side_that_says_nothing() -> None:
    questions = questions_of(CLAIMS, HEARD, unasked(5, 2), size=20)
    said = VoicesAnswer.model_validate({"voices": [{"preference": 1, "claim": 1, "side": "y"}]})
    assert not attribute(questions, [Answered(questions[0].ask, said)], CLAIMS, unasked(5, 2))[
        0
    ].any()
