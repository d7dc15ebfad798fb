"""What holds for every text: finite, deterministic, blind to white space around, linear in time."""

from __future__ import annotations

import gc
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpa_agent.rubrics.traits import Answer, catalogue, measure

# Pieces out of which odd Markdown is made, beside any text at all.
PIECES = [
    "```", "~~~", "`", "**", "# ", "#", "- ", "* ", "1. ", "2) ", "(3) ", "|", "|---|", "> ",
    "\n", "\n\n", " ", "\t", "\x00", "\r\n", "\u2028", "\u200f", "\u05e9\u05dc\u05d5\u05dd",
    "\u4f60\u597d", "\U0001f600", "e\u0301", "\ud800", "'", "\u2019", '"', "\u201c", "it's",
    "I might", "because", "For example,", "step 1", "Open it.", "?", "!", "...", "3.14", "www.",
    "https://a.b/c", "[1]", "(Smith, 1990)", "In short", "word", "NASA", "\u0130",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=200), st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
)


@given(prompt=TEXTS, text=TEXTS)
def test_finite_and_deterministic(prompt: str, text: str) -> None:
    values = measure(prompt, text)
    assert values.shape == (len(catalogue()),)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert np.array_equal(values, measure(prompt, text))


@given(text=TEXTS, around=st.text(alphabet=" \n\t\r", max_size=6))
def test_white_space_around_an_answer_changes_nothing(text: str, around: str) -> None:
    assert np.array_equal(measure("", text), measure("", around + text + around))


@given(text=TEXTS)
def test_only_readability_can_be_negative(text: str) -> None:
    negative = {
        t.name for t, v in zip(catalogue(), measure("", text).tolist(), strict=True) if v < 0
    }
    assert negative <= {"readability"}


@pytest.mark.parametrize("text", ["", "   ", "\n\n", "\x00", "```\nonly = code\n", "..."])
def test_an_answer_without_words_measures_nothing_but_code(text: str) -> None:
    nonzero = {
        t.name for t, v in zip(catalogue(), measure("", text).tolist(), strict=True) if v != 0
    }
    assert nonzero <= {"code_blocks"}


ADVERSARIAL = [
    "a", "a ", "a'", "'", "`", "```\n", "*", "**", "#", "-", "- ", "\n", " ", ". ", "!? ", ".'",
    "(", "(a", "[1", "1", "1.", "1. ", "|", "| ", "> ", '"', "www.", "https://", "http", "\u4f60",
    "\U0001f600", "\u2019", "step ", "then ", "in the ", "feel free to ", "a\n\n", "A", "NASA ",
    "aeiou", "e.g. ", "a. A",
]  # fmt: skip


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_time_grows_with_the_text_and_not_faster(piece: str) -> None:
    # A quadratic reader would need 16 times as long for 4 times the text.
    small, large = (piece * (size // len(piece)) for size in (15_000, 60_000))
    measure("", small)
    ratio = min(_seconds(large) for _ in range(3)) / max(
        min(_seconds(small) for _ in range(3)), 1e-3
    )
    assert ratio < 10


def test_a_megabyte_of_everything() -> None:
    text = "".join(PIECES) * (1_000_000 // len("".join(PIECES)))
    values = measure(text, text)
    assert np.isfinite(values).all()


def test_no_two_traits_are_the_same() -> None:
    rng = np.random.default_rng(0)
    words = [
        *PIECES,
        *[
            "the",
            "cat",
            "sat",
            "on",
            "a",
            "mat",
            "while",
            "you",
            "and",
            "I",
            "were",
            "asked",
            "why",
            "it",
            "rained",
        ],
    ]
    texts = [" ".join(rng.choice(words, size=60)) for _ in range(200)]
    texts += ["\n".join(rng.choice(words, size=60)) for _ in range(200)]
    values = np.stack([measure("the cat", text) for text in texts]).astype(float)
    by_name = {trait.name: values[:, i] for i, trait in enumerate(catalogue())}
    varying = {name: column for name, column in by_name.items() if column.std() > 0}
    names = list(varying)
    columns = np.stack([varying[name] for name in names])
    correlation = np.asarray(np.corrcoef(columns)) - np.eye(len(names))
    assert len(names) >= 25
    assert np.abs(correlation).max() < 0.99


@settings(max_examples=50)
@given(text=TEXTS)
def test_reading_order_of_the_lazy_parts_does_not_matter(text: str) -> None:
    forwards, backwards = Answer("", text), Answer("", text)
    first = [trait.measure(forwards) for trait in catalogue()]
    second = [trait.measure(backwards) for trait in reversed(catalogue())]
    assert first == second[::-1]


def _seconds(text: str) -> float:
    # The collector's work depends on what else lives in the process.
    gc.disable()
    try:
        started = time.process_time()
        measure(text, text)
        return time.process_time() - started
    finally:
        gc.enable()
