"""Text that grows by tokens: whole characters, and no stop string."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from gpa_agent.alignment.serving.transcript import Transcript
from tests.alignment.tiny_models import make_tokenizer

texts = st.text(st.sampled_from("ab \n\u00fc\u65e5\U0001f600e\u0301")) | st.text()


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


def transcript(*stop: str, live: bool = True) -> Transcript:
    return Transcript(lambda ids: str(tokenizer().decode(ids)), stop=stop, live=live)


def feed(written: Transcript, text: str) -> list[str]:
    shown: list[str] = []
    for token in tokenizer()(text)["input_ids"]:
        shown.append(written.add(token))
        if written.stopped:
            return shown
    return [*shown, written.finish()]


@given(texts)
def test_the_pieces_are_the_text(text: str) -> None:
    written = transcript()
    assert "".join(feed(written, text)) == written.text == text


@given(texts)
def test_no_piece_is_half_a_character(text: str) -> None:
    assert all("\ufffd" not in piece for piece in feed(transcript(), text) if "\ufffd" not in text)


@given(texts, st.lists(st.text("ab \u65e5", min_size=1, max_size=3), min_size=1, max_size=3))
def test_nothing_from_a_stop_string_on_is_shown(text: str, stops: list[str]) -> None:
    written = transcript(*stops)
    shown = "".join(feed(written, text))
    first = min((at for stop in stops if (at := text.find(stop)) >= 0), default=None)
    assert written.stopped == (first is not None)
    # A longer stop string that begins earlier may still have been incomplete.
    assert shown == written.text == text[: len(shown)]
    assert len(shown) == len(text) if first is None else first <= len(shown)
    assert not any(stop in shown for stop in stops)


def test_what_may_begin_a_stop_string_waits() -> None:
    written = transcript("END")
    assert feed(written, "xENDy") == ["x", "", "", ""]
    assert written.stopped
    assert written.text == "x"


def test_what_waited_is_shown_where_it_was_no_stop_string() -> None:
    written = transcript("END")
    assert "".join(feed(written, "xENcore EN")) == "xENcore EN"
    assert not written.stopped


def test_unfinished_bytes_at_the_end_are_shown_as_such() -> None:
    written = transcript()
    first = tokenizer()("\u65e5")["input_ids"][0]
    shown = written.add(first) + written.finish()
    assert shown == tokenizer().decode([first])


def test_text_that_nobody_follows_is_decoded_once() -> None:
    asked: list[list[int]] = []

    def decode(ids: list[int]) -> str:
        asked.append(ids)
        return "text" if ids else ""

    written = Transcript(decode, live=False)
    assert [written.add(token) for token in range(5)] == [""] * 5
    assert asked == []
    assert written.finish() == "text"
