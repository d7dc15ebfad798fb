from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gpa_agent.prompts import (
    AspectsAnswer,
    IntentAnswer,
    PreferenceAnswer,
    PromptName,
    SatisfactionAnswer,
    Unreadable,
    ValidityAnswer,
    load,
    read_answer,
)
from tests.prompts.examples import DETAIL

INTENT = '{"intent": "coding", "confidence": 80}'
CODING = IntentAnswer(intent="coding", confidence=80)


def intent_of(text: str) -> object:
    return read_answer(load("intent"), text)


@pytest.mark.parametrize(
    "text",
    [
        INTENT,
        f"  \n{INTENT}\n",
        f"```json\n{INTENT}\n```",
        f"Sure! Here is the answer:\n{INTENT}\nLet me know.",
        f"The set {{a, b}} holds it: {INTENT}",
        f'<think>maybe {{"intent": "travel", "confidence": 20}}?</think>{INTENT}',
        f"{INTENT} and again {INTENT}",
        '{"intent": "coding", "confidence": 80, "why": "x", "nested": {"intent": "no"}}',
        '{"confidence": 80.0, "intent": "  coding\\n\\u200b "}',
        f"[{INTENT}]",
        f'{{"note": "not it"}} {INTENT}',
    ],
)
def test_the_answer_is_found(text: str) -> None:
    assert intent_of(text) == CODING


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no complete JSON object"),
        ("coding", "no complete JSON object"),
        ("[1, 2]", "no complete JSON object"),
        (INTENT[:-1], "no complete JSON object"),
        ('{"intent": "coding", "confidence": 80,}', "no complete JSON object"),
        ('{"intent": "coding", "intent": "travel", "confidence": 80}', "no complete JSON object"),
        ('{"intent": "coding", "confidence": NaN}', "no complete JSON object"),
        ('{"intent": "coding", "confidence": 1' + "0" * 5000 + "}", "no complete JSON object"),
        ("{" * 100_000, "no complete JSON object"),
        ('{"a":' * 30_000, "no complete JSON object"),
        ("[" * 100_000 + INTENT[:-1], "no complete JSON object"),
        ("x" * 200_001, "more than 200000"),
        ("{}", "intent: Field required; confidence: Field required"),
        ('{"intent": "coding", "confidence": 0.8}', "confidence: "),
        ('{"intent": "coding", "confidence": 101}', "confidence: "),
        ('{"intent": "", "confidence": 1}', "intent: "),
        ('{"intent": ["coding"], "confidence": 1}', "intent: "),
        (f'{INTENT} or {{"intent": "travel", "confidence": 60}}', "2 different answers"),
    ],
)
def test_what_is_unreadable_says_why(text: str, problem: str) -> None:
    with pytest.raises(Unreadable) as error:
        intent_of(text)
    assert problem in str(error.value)


def test_a_problem_repeats_nothing_of_the_answer() -> None:
    with pytest.raises(Unreadable) as error:
        intent_of('{"intent": {"secret-key": "secret"}, "confidence": "secret"}')
    assert "secret" not in str(error.value)


def test_deep_nesting_around_an_answer_is_no_recursion_error() -> None:
    deep = f'{{"x": {"[" * 5_000}{"]" * 5_000}, "intent": "coding", "confidence": 80}}'
    with pytest.raises(Unreadable):
        intent_of(deep)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='{}[]":,0aintetcofd \\\n', max_size=60), st.text(max_size=30))
def test_any_text_is_read_or_unreadable(one: str, other: str) -> None:
    for text in (one + other, one + INTENT + other):
        try:
            value = intent_of(text)
        except Unreadable:
            continue
        assert isinstance(value, IntentAnswer)


def test_prose_without_braces_never_hides_an_answer() -> None:
    assert intent_of("word " * 1000 + INTENT + " word" * 1000) == CODING


SATISFIED = {"sat": ["praise"], "dsat": [], "verdict": "satisfied", "confidence": 90}


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("satisfaction", SATISFIED | {"verdict": "happy"}),
        ("satisfaction", SATISFIED | {"sat": ["joy"]}),
        ("satisfaction", SATISFIED | {"sat": []}),
        ("satisfaction", SATISFIED | {"verdict": "dissatisfied"}),
        ("validity", {"valid": True, "problems": ["unsafe"]}),
        ("validity", {"valid": False, "problems": []}),
        ("voices", {"voices": [{"preference": 1, "claim": 1, "side": "z"}]}),
        ("voices", {"voices": [{"preference": 1, "claim": 0, "side": "x"}]}),
        ("preference_sat", {"request": "a", "expectation": "b", "reasons": ["c"] * 4}),
        ("aspects", {"aspects": [DETAIL.model_dump() | {"rating": 6}]}),
        ("aspects", {"aspects": [DETAIL.model_dump()] * 2}),
        ("aspects", {"aspects": [DETAIL.model_dump() | {"name": str(n)} for n in range(13)]}),
        ("aspects", {"aspects": [DETAIL.model_dump() | {"interpretation": "a" * 6_001}]}),
    ],
)
def test_what_does_not_fit_or_contradicts_itself_is_unreadable(
    name: PromptName, answer: dict[str, Any]
) -> None:
    with pytest.raises(Unreadable):
        read_answer(load(name), json.dumps(answer))


def test_answers_of_every_kind_are_parsed() -> None:
    assert read_answer(load("satisfaction"), json.dumps(SATISFIED)) == SatisfactionAnswer(
        sat=["praise"], dsat=[], verdict="satisfied", confidence=90
    )
    aspects = AspectsAnswer(aspects=[DETAIL])
    assert read_answer(load("merging"), aspects.model_dump_json()) == aspects
    assert read_answer(load("aspects"), '{"aspects": []}') == AspectsAnswer(aspects=[])
    assert read_answer(load("validity"), '{"valid": true, "problems": []}') == ValidityAnswer(
        valid=True, problems=[]
    )


def test_texts_of_an_answer_are_visible_one_line_and_cut_at_a_word() -> None:
    said = {"request": "a\u202e b\n\nc", "expectation": "word, " * 60, "reasons": ["x" * 300]}
    value = read_answer(load("preference_dsat"), json.dumps(said))
    assert isinstance(value, PreferenceAnswer)
    assert value.request == "a b c"
    # "word, " is 6 characters: 33 of them fit into 200, the last without its comma.
    assert value.expectation == "word, " * 32 + "word…"
    assert value.reasons == ["x" * 200]


def test_an_answer_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        CODING.confidence = 1
