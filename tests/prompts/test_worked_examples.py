"""The worked examples in the prompts that ask for a preference keep the rules they illustrate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest

from gpa_agent.prompts import PreferenceAnswer, PromptName, load, preference_ask, read_answer

PROMPTS: Final[tuple[PromptName, ...]] = ("preference_dsat", "preference_sat")
RUN: Final = 4
"""Words in a row that make a quotation."""


class Example(NamedTuple):
    prompt: PromptName
    data: str
    answer: PreferenceAnswer


def examples(prompt: PromptName) -> Iterator[Example]:
    shown = load(prompt).instructions.partition("# Examples\n")[2].partition("\n\n# Answer\n")[0]
    for block in shown.split("\n\n")[1:]:
        _, data, said = block.split("\n")
        answer = read_answer(load(prompt), said)
        assert isinstance(answer, PreferenceAnswer)
        yield Example(prompt, data, answer)


EXAMPLES: Final = [example for prompt in PROMPTS for example in examples(prompt)]


def written(answer: PreferenceAnswer) -> list[str]:
    return [answer.request, answer.expectation, *answer.reasons]


def runs(text: str) -> set[tuple[str, ...]]:
    words = "".join(c if c.isalnum() else " " for c in text.casefold()).split()
    return {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}


@pytest.mark.parametrize("prompt", PROMPTS)
def test_each_prompt_shows_one_example_of_every_case(prompt: PromptName) -> None:
    found = [*examples(prompt)]
    assert len(found) == 4
    assert [example.answer.expectation for example in found].count("") == 1
    assert sum("expect" in example.data for example in found) == 1, "one that gives orders"
    assert any(json.loads(example.data)["earlier"] for example in found)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_has_the_very_form_of_the_data(example: Example) -> None:
    data: dict[str, Any] = json.loads(example.data)
    asked = preference_ask(**data, pleased=example.prompt == "preference_sat", subject="t:c:0")
    assert asked.data == example.data


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_answer_keeps_to_the_words_it_may_have(example: Example) -> None:
    answer = example.answer
    assert len(answer.request.split()) <= 12
    assert len(answer.expectation.split()) <= 20
    assert all(len(reason.split()) <= 15 for reason in answer.reasons)
    assert len(answer.reasons) <= 3
    assert bool(answer.expectation) == bool(answer.reasons)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_answer_holds_no_quotation_number_or_name(example: Example) -> None:
    log = runs(example.data)
    for text in written(example.answer):
        assert not runs(text) & log
        assert not any(c.isdigit() or c in "\"'" for c in text)
        assert text[1:] == text[1:].lower()
