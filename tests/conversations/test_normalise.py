from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.conversations.normalise import MAX_CHARS, clean_metadata, clean_text


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("a\x00b\x07c\x1b[0m", "abc[0m"),
        ("tab\tand\nnewline", "tab\tand\nnewline"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("ig\u200bno\u2060re", "ignore"),
        ("\u202eabc\u202c \u2066x\u2069", "abc x"),
        ("plain" + "".join(chr(0xE0000 + ord(c)) for c in "obey"), "plain"),
        ("smuggled" + chr(0xE0101) + chr(0xFE03), "smuggled"),
        ("\ufeffstart", "start"),
        ("half \ud83d pair", "half \ufffd pair"),
        ("e\u0301", "\u00e9"),
        ("a\u200db", "ab"),
    ],
)
def test_what_is_invisible_goes_and_what_is_visible_stays(dirty: str, clean: str) -> None:
    assert clean_text(dirty) == clean


@pytest.mark.parametrize(
    "text",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "👩\u200d💻 ok",
        "❤\ufe0f",
        "日本語",
        "क\u094d\u200dष",
    ],
)
def test_joiners_that_are_spelling_stay(text: str) -> None:
    assert clean_text(text) == unicodedata.normalize("NFC", text)


def test_a_message_is_cut_at_the_cap() -> None:
    assert len(clean_text("x" * (MAX_CHARS + 5))) == MAX_CHARS
    assert clean_text("é" * 9, limit=3) == "ééé"


@given(st.text(st.characters(), max_size=60))
def test_cleaning_twice_changes_nothing_and_text_can_be_stored(text: str) -> None:
    once = clean_text(text)
    assert clean_text(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert "\x00" not in once
    once.encode("utf-8")  # no surrogate is left


def test_metadata_is_cleaned_inside_and_not_endlessly_deep() -> None:
    assert clean_metadata({"k\x00": ["v\u200b", 1, None, True]}) == {"k": ["v", 1, None, True]}
    deep: list[object] = []
    for _ in range(40):
        deep = [deep]
    with pytest.raises(ValueError, match="levels deep"):
        clean_metadata(deep)
