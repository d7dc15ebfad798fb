"""How a text is read: lines by kind, sentences, words, expressions."""

from __future__ import annotations

import doctest

import gpa_agent.rubrics.traits as package
from gpa_agent.rubrics.traits import Answer, answer
from gpa_agent.rubrics.traits.answer import lexicon


def test_lines_by_kind() -> None:
    lines = Answer(
        "",
        "# Title\nPlain.\n- one\n\u2022two\n1. first\n(2) second\n> quoted\n| a | b |\n|---|:--|\n"
        "```py\ncode\n```\n-5 degrees\n---\n1234. no number\n**Bold**\n**bold** start",
    ).lines
    assert lines.headings == 2
    assert lines.bullets == 2
    assert lines.numbered == ["first", "second"]
    assert lines.table_rows == 1
    assert lines.code_lines == 1
    assert lines.quoted == 1
    assert lines.plain == [
        "Plain.",
        "quoted",
        "-5 degrees",
        "1234. no number",
        "**bold** start",
    ]


def test_fences() -> None:
    assert Answer("", "```one line```\nafter").lines.plain == ["after"]
    assert Answer("", "before\n~~~\n```\nnever closed").lines.code_lines == 2
    assert Answer("", "  ```\n  a\n  ```\nafter").words == ["after"]


def test_sentences_end_at_marks_and_lines() -> None:
    read = Answer("", "It is. Is it? Pi is 3.14, e.g. here\n- item one\n...")
    assert read.sentences == [
        ["it", "is"],
        ["is", "it"],
        ["pi", "is", "3.14,", "eg", "here"],
        ["item", "one"],
    ]


def test_addresses_and_code_in_the_line_are_no_words() -> None:
    assert Answer("", "See https://example.org/you?might and `you might` here.").words == [
        "see",
        "and",
        "here",
    ]


def test_count_of_expressions() -> None:
    words = lexicon("might, it depends", "as a result")
    read = Answer("", "It depends. As a result it might; it Might.")
    # it depends, as a result, might, might
    assert read.count(words) == 4
    assert Answer("", "").count(words) == 0


def test_only_the_end_of_a_prompt_is_read() -> None:
    assert Answer("x" * 5000 + " QUESTION", "").question.endswith("x question")
    assert len(Answer("x" * 5000, "").question) == 2000


def test_windows_line_ends_read_alike() -> None:
    text = "- one\n- two\n\nplain"
    assert Answer("", text.replace("\n", "\r\n")).lines == Answer("", text).lines


def test_docstring_examples() -> None:
    for module in (package, answer):
        results = doctest.testmod(module)
        assert results.attempted > 0
        assert results.failed == 0
