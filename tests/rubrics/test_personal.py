"""Personal data by shape: what is found, what is left alone, and nothing is ever repeated."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.rubrics.personal import checked_with, personal_data

HELD = {
    "an e-mail address": ["Write to ann@example.com.", "Ask ann (at) example.com first."],
    "a card number": ["Use 4111 1111 1111 1111.", "Pay with 5555-5555-5555-4444 now."],
    "an account number": [
        "Transfer to DE89 3704 0044 0532 0130 00.",
        "Use GB29NWBK60161331926819.",
    ],
    "a network address": ["Connect to 192.168.0.12.", "Ping 2001:db8:0:0:0:ff00:42:8329."],
    "a phone number": ["Call +49 170 1234567.", "Call (415) 555-2671."],
    "a social security number": ["Quote 078-05-1120."],
    "a postal address": ["Send it to 12 Baker Street, London.", "Go to Bahnhofstrasse 5."],
    "a date of birth": ["Mention that Ann was born on 12 March 1984.", "Say DOB 12/03/84."],
}


@pytest.mark.parametrize(("what", "text"), [(w, t) for w, ts in HELD.items() for t in ts])
def test_what_points_at_one_person_is_found(what: str, text: str) -> None:
    assert personal_data(text) == what


@pytest.mark.parametrize(
    "text",
    [
        "Use at most 3 steps of 10 to 15 words.",
        "Write dates as 2024-05-01.",
        "Keep answers below 1,000,000 characters and round to 3.14159.",
        "Show version 3.11.4 and Python 3.12.",
        "Explain the function on line 120 of main.py.",
        "Write in the style of a street map legend.",
        "Use 1234567890123 as the sample id.",
    ],
)
def test_figures_of_manner_are_left_alone(text: str) -> None:
    assert personal_data(text) is None


def test_a_wrong_checksum_is_no_card() -> None:
    # 4111 1111 1111 1111 has the checksum of a card, one more in the last digit has not.
    assert personal_data("Use 4111 1111 1111 1112.") != "a card number"


@given(st.text(max_size=200))
def test_any_text_gets_an_answer_that_never_repeats_it(text: str) -> None:
    found = personal_data(text)
    assert found is None or found.startswith(("a ", "an "))


def test_presidio_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("presidio_analyzer", reason="the extra privacy is not installed")

    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert checked_with().endswith("by Presidio.")
    assert personal_data("Call 020 7946 0958 or 16502530000 today.") is not None
