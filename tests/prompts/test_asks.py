from __future__ import annotations

import json

import pytest

from gpa_agent.prompts import (
    EXPERTISE,
    AspectItem,
    ClaimSides,
    Numbered,
    aspects_ask,
    group_ask,
    intent_ask,
    load,
    merge_ask,
    preference_ask,
    satisfaction_ask,
    voices_ask,
)
from tests.prompts.examples import ANSWER, ASKS, DETAIL, LONG, REPLY, SHORT, USER

CLAIMS = [ClaimSides(x="Be brief.", y="Be thorough.", name="length"), ClaimSides("a", "b", "c")]


def test_questions_of_one_stage_share_the_whole_system_text() -> None:
    taxonomy = {"coding": "Programs", "travel": ""}
    pairs = [
        (satisfaction_ask("a", "b", "c", subject="1"), ASKS["satisfaction"]),
        (intent_ask("a", taxonomy, subject="1"), intent_ask("b", dict(taxonomy), subject="2")),
        (group_ask(["a"], EXPERTISE, subject="1"), ASKS["group"]),
        (preference_ask("a", "b", "c", pleased=True, subject="1"), ASKS["preference_sat"]),
        (preference_ask("a", "b", "c", pleased=False, subject="1"), ASKS["preference_dsat"]),
        (aspects_ask([], [LONG], []), ASKS["aspects"]),
        (voices_ask(CLAIMS, []), ASKS["voices"]),
    ]
    for one, other in pairs:
        assert one.system == other.system
        assert one.data != other.data


def test_claims_are_a_prefix_of_every_question_about_them() -> None:
    one, other = voices_ask(CLAIMS, [LONG]).data, voices_ask(CLAIMS, [SHORT]).data
    claims = json.loads(one)["claims"]
    prefix = f'{{"claims": {json.dumps(claims)}, "preferences": ['
    assert one.startswith(prefix)
    assert other.startswith(prefix)
    assert [claim["claim"] for claim in claims] == [1, 2]


def test_a_question_carries_its_prompts_version_and_subject_but_shows_no_id() -> None:
    ask = satisfaction_ask(USER, ANSWER, REPLY, subject="t:conversation-9:3")
    assert (ask.prompt, ask.version) == ("satisfaction", load("satisfaction").version)
    assert ask.subject == "t:conversation-9:3"
    assert "conversation-9" not in ask.system + ask.data


def test_questions_about_both_sides_have_no_subject() -> None:
    names = ("aspects", "merging", "voices", "validity")
    assert [ASKS[name].subject for name in names] == [None] * 4


def test_only_the_latest_of_what_was_said_before_is_shown() -> None:
    ask = satisfaction_ask("u", "a", "r", earlier=[str(n) for n in range(9)], subject="s")
    assert json.loads(ask.data)["earlier"] == ["5", "6", "7", "8"]


def test_a_long_conversation_shows_its_first_and_last_texts() -> None:
    ask = group_ask([str(n) for n in range(20)], EXPERTISE, subject="s")
    assert json.loads(ask.data)["texts"] == [str(n) for n in (*range(6), *range(14, 20))]


def test_what_to_choose_from_is_listed_with_unknown() -> None:
    taxonomy = {"coding": 'Programs and "scripts"', "travel": ""}
    system = intent_ask("x", taxonomy, subject="s").system
    listed = json.loads(system.rpartition("\n")[2])["choices"]
    assert [one["choice"] for one in listed] == ["coding", "travel", "unknown"]
    assert listed[0]["covers"] == 'Programs and "scripts"'


def test_a_level_of_expertise_without_description_has_the_papers() -> None:
    plain = group_ask(["x"], dict.fromkeys(EXPERTISE, ""), subject="s")
    assert plain == group_ask(["x"], EXPERTISE, subject="s")
    own = group_ask(["x"], {"expert": "Has a licence", "sales": ""}, subject="s").system
    listed = json.loads(own.rpartition("\n")[2])["choices"]
    assert [one["covers"] for one in listed[:2]] == ["Has a licence", ""]


@pytest.mark.parametrize("name", ["aspects", "merging", "voices"])
def test_no_group_is_named_where_groups_are_compared(name: str) -> None:
    text = (ASKS[name].system + ASKS[name].data).casefold()
    assert [group for group in EXPERTISE if group in text] == []


def test_numbers_of_earlier_rounds_are_not_shown_but_those_to_be_merged_are() -> None:
    round_ = json.loads(aspects_ask([LONG], [SHORT], [DETAIL]).data)
    assert not {"first", "second"} & set(round_["aspects"][0])
    merged = json.loads(merge_ask([DETAIL], []).data)
    assert AspectItem.model_validate(merged["lists"][0][0]) == DETAIL


def test_a_preference_is_shown_in_full() -> None:
    shown = json.loads(aspects_ask([LONG], [], []).data)["first"]
    assert [Numbered(**one) for one in shown] == [LONG]
