"""Explanations in fixed words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.conversations.records import Judgment, Verdict
from gpa_agent.preferences import explain, preference_id
from gpa_agent.preferences.embedded import DISPLEASED, PLEASED
from gpa_agent.understanding.cues import CUES
from gpa_agent.understanding.protocols import JudgedTurn

SAT, DSAT, NEITHER = Judgment.SAT, Judgment.DSAT, Judgment.NEITHER


def reason(reply: str, judgment: Judgment, answer: str = "Use sorted().") -> str:
    turn = JudgedTurn("How do I sort a list?", answer, reply)
    verdict = Verdict(judgment, 0.9, "cues")
    return explain(turn, verdict, conversation="c", turn_number=0).reason


@pytest.mark.parametrize(
    ("reply", "judgment", "expected"),
    [
        ("perfect, that fixed it, thanks", SAT, "the user reports that it works"),
        ("thanks", SAT, "the user thanked for the answer"),
        ("ah, that makes sense", SAT, "the user understood or learned something"),
        ("No, I meant a tuple", DSAT, "the user corrected the answer"),
        ("I don't understand", DSAT, "the user did not understand the answer"),
        ("make it shorter", DSAT, "the user asked to do it again differently"),
        ("thanks for nothing", DSAT, "the user answered with sarcasm"),
        ("banana", SAT, "the wording of the user's reply is that of a pleased user"),
        ("banana", NEITHER, "the user's reply does not judge the answer"),
    ],
)
def test_reasons(reply: str, judgment: Judgment, expected: str) -> None:
    assert reason(reply, judgment) == expected


def test_what_went_wrong_with_the_answer_explains_a_vague_complaint() -> None:
    assert reason("never mind", DSAT) == "the user gave up"
    failed = "I could not find anything."
    assert reason("never mind", DSAT, failed) == "the request could not be fulfilled"
    refused = "As an AI I cannot help with that."
    assert reason("ugh", DSAT, refused) == "the assistant declined to help"


def test_every_judging_cue_has_its_phrase() -> None:
    assert set(PLEASED) == {cue.name for cue in CUES if cue.polarity is SAT}
    assert set(DISPLEASED) == {cue.name for cue in CUES if cue.polarity is DSAT}


def test_the_record_is_deterministic() -> None:
    turn = JudgedTurn("q", "a", "thanks")
    verdict = Verdict(SAT, 0.9, "cues")
    first = explain(turn, verdict, conversation="c1", turn_number=2)
    assert first == explain(turn, verdict, conversation="c1", turn_number=2)
    assert first.cues == ("thanks",)
    assert first.polarity is SAT
    assert first.source == "cues"


def test_ids_keep_conversations_and_turns_apart() -> None:
    ids = {preference_id("a", 11), preference_id("a1", 1), preference_id("a", 1)}
    assert len(ids) == 3
    assert preference_id("a", 1) != preference_id("a", 1, "some-model")


PHRASES = {text for table in (PLEASED, DISPLEASED) for phrase in table.values() for text in phrase}


@given(st.text(max_size=80), st.text(max_size=80), st.sampled_from(list(Judgment)))
def test_no_word_of_the_log_is_repeated(answer: str, reply: str, judgment: Judgment) -> None:
    marker = "zzqx7"
    turn = JudgedTurn(marker, f"{answer} {marker}", f"{reply} {marker}")
    made = explain(turn, Verdict(judgment, 0.5, "cues"), conversation="c", turn_number=0)
    assert marker not in made.expectation + made.reason
    known = PHRASES | {"help with the request", "a result or an alternative", "not known"}
    assert made.expectation in known
