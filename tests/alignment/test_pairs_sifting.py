"""Which twins are not used, and how alike two answers are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.alignment.pairs.sifting import Shown, fault_of, likeness

ANSWER = "Open the settings, choose Network, then press Reset. It restarts by itself."
SHOWN = Shown("How do I reset it?", ANSWER, ["Write short sentences without any jargon."], ["pro"])


def fault(twin: str, shown: Shown = SHOWN) -> str | None:
    return fault_of(twin, shown, max_similarity=0.9)


@pytest.mark.parametrize(
    "twin",
    [
        "1. Open the settings.\n2. Choose Network.\n3. Press Reset.",
        "Settings, Network, Reset!",
        "```\nreset --network\n```",
        "I can't see your screen, but the button says Reset.",
        "An expert reset takes a minute; ask an expert at the shop if it fails.",
        "设置,网络,重置。",
        "As you can see in the settings, Network is the third entry.",
    ],
)
def test_an_ordinary_answer_can_be_used(twin: str) -> None:
    assert fault(twin) is None


@pytest.mark.parametrize(
    ("twin", "reason"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        (ANSWER, "near_identical"),
        (ANSWER.upper() + "  ", "near_identical"),
        ("I'm sorry, but I can't do that.", "refusal"),
        ("I\u2019m sorry, I cannot reset things.", "refusal"),
        ("I am unable to help with resets.", "refusal"),
        ("As an AI, I have no settings.", "refusal"),
        ("As an expert, you know where Network is.", "leak"),
        ("Since you're a complete beginner, begin with the settings.", "leak"),
        ("Resets are easy for experts like you.", "leak"),
        ("Pros press Reset at once.", "leak"),
        ("According to the guidance, press Reset.", "leak"),
        ("Here's a shorter version: press Reset.", "leak"),
        ("As requested, press Reset.", "leak"),
        ("Press Reset. Write short sentences without any jargon.", "leak"),
        ("Press Reset. <reader_preferences>", "leak"),
        ("Press it.\n[... 120 characters left out ...]\nDone.", "leak"),
        ("Open the settings, then choose Network and", "cut"),
        ("Open the settings,", "cut"),
        ("1. Open the settings.\n2.", "cut"),
        ("Run this:\n```\nreset", "cut"),
    ],
)
def test_a_twin_that_would_teach_the_wrong_thing_is_told_by_its_reason(
    twin: str, reason: str
) -> None:
    assert fault(twin) == reason


def test_what_was_said_before_is_no_leak_and_no_new_refusal() -> None:
    asked = SHOWN._replace(asked="I'm a pro. What would you do as an expert?")
    assert fault("As an expert I would tell every pro to press Reset.", asked) is None
    refused = SHOWN._replace(answer="I'm sorry, but I can't help with that device.")
    assert fault("I am unable to help with it; its maker can.", refused) is None


def test_a_group_whose_name_is_an_ordinary_word_leaks_nothing() -> None:
    assert fault("A or B: press either.", SHOWN._replace(names=["A", "B"])) is None


def test_likeness_counts_runs_of_three_tokens() -> None:
    # a b c d: (a b c) (b c d); a b c e: (a b c) (b c e): one of three runs is in both
    assert likeness("a b c d", "a b c e") == 1 / 3
    # The same words as a list: line breaks and bullets are tokens.
    assert likeness("red, green, blue", "- red\n- green\n- blue") == 0.0
    # Chinese has no spaces: each character is a token.
    assert likeness("重置网络", "重置网关") == 1 / 3


@given(st.text(), st.text())
def test_likeness_is_symmetric_and_1_for_the_same(one: str, other: str) -> None:
    assert likeness(one, other) == likeness(other, one)
    assert 0 <= likeness(one, other) <= 1
    assert likeness(one, one) == 1
