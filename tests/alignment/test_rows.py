"""Rows of each method, and what is left out of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from gpa_agent.alignment.config import Method
from gpa_agent.alignment.pair import Pair, Said
from gpa_agent.alignment.tuning.rows import (
    ANSWER_TOO_LONG,
    PROMPT_TOO_LONG,
    Prepared,
    Weights,
    kto_weights,
    prepare,
    rows_of,
)


def pair(number: int, judgment: Any = None, *, asked: str = "why", chosen: str = "good") -> Pair:
    return Pair(
        prompt=(Said(role="user", content=f"{asked} {number}"),),
        chosen=(Said(role="assistant", content=chosen),),
        rejected=(Said(role="assistant", content="bad"),),
        subject=f"t:c{number}:0",
        group="novice",
        intent="howto",
        judgment=judgment,
    )


def words(messages: list[dict[str, str]], answering: bool) -> int:
    """A template of one token a word, one a message, and one for the answer's beginning."""
    return sum(len(m["content"].split()) + 1 for m in messages) + answering


def made(pairs: list[Pair], method: Method, max_length: int = 100) -> Prepared:
    return prepare(pairs, method, tokens=words, max_length=max_length, seed=0)


def test_dpo_takes_each_pair_in_order() -> None:
    rows = rows_of([pair(1), pair(2)], "dpo", seed=0)
    assert rows[0] == {
        "prompt": [{"role": "user", "content": "why 1"}],
        "chosen": [{"role": "assistant", "content": "good"}],
        "rejected": [{"role": "assistant", "content": "bad"}],
    }
    assert [row["prompt"][0]["content"] for row in rows] == ["why 1", "why 2"]


def test_supervised_tuning_takes_what_was_chosen() -> None:
    (row,) = rows_of([pair(1)], "sft", seed=0)
    assert row["completion"] == [{"role": "assistant", "content": "good"}]
    assert set(row) == {"prompt", "completion"}


@pytest.mark.parametrize(
    ("judgment", "labels"), [(1, [True]), (-1, [False]), (None, [False, True])]
)
def test_kto_takes_the_logged_answers_alone(judgment: int | None, labels: list[bool]) -> None:
    rows = rows_of([pair(1, judgment)], "kto", seed=0)
    assert sorted(row["label"] for row in rows) == labels


def test_augmented_kto_takes_the_twins_too() -> None:
    rows = rows_of([pair(1, 1), pair(2, -1)], "kto-augmented", seed=0)
    said = sorted((row["completion"][0]["content"], row["label"]) for row in rows)
    assert said == [("bad", False), ("bad", False), ("good", True), ("good", True)]


def test_neighbours_in_kto_are_answers_to_different_prompts() -> None:
    rows = rows_of([pair(n, 1) for n in range(200)], "kto-augmented", seed=0)
    prompts = [row["prompt"][0]["content"] for row in rows]
    together = sum(a == b for a, b in pairwise(prompts))
    assert together <= 5  # in the pairs' order it is 200; by chance 399 x 1/399 = 1
    assert rows == rows_of([pair(n, 1) for n in range(200)], "kto-augmented", seed=0)


def test_the_rarer_label_weighs_more() -> None:
    # Eq. 8: weight x count alike on both sides. 3 x 3.0 = 9 x 1; 8 x 1 = 5 x 1.6
    assert kto_weights([True] * 3 + [False] * 9) == Weights(3.0, 1.0)
    assert kto_weights([True] * 8 + [False] * 5) == Weights(1.0, 1.6)
    assert kto_weights([True] * 4) == Weights(1.0, 1.0)


@pytest.mark.parametrize(("judgment", "what"), [(1, "pleased"), (-1, "did not please")])
def test_labels_of_one_kind_alone_are_told(judgment: Any, what: str) -> None:
    (note,) = made([pair(1, judgment), pair(2, judgment)], "kto").notes
    assert f"answers that {what}: KTO learns from both" in note
    assert made([pair(1, 1), pair(2, -1)], "kto").notes == []
    assert made([pair(1, judgment)], "kto-augmented").notes == []
    assert made([pair(1, judgment)], "dpo").notes == []


def test_rows_that_would_be_cut_off_are_left_out_and_counted() -> None:
    # A prompt has 2 words + 1, and 1 for the answer; "good" makes 5 tokens in all, as does "bad".
    long_answer = pair(2, chosen="good good good")
    long_prompt = pair(3, asked="why why why why why")
    prepared = made([pair(1), long_answer, long_prompt], "dpo", max_length=6)
    assert [row["prompt"][0]["content"] for row in prepared.rows] == ["why 1"]
    assert prepared.left_out == {ANSWER_TOO_LONG: 1, PROMPT_TOO_LONG: 1}


def test_the_longest_row_that_fits_stays() -> None:
    assert len(made([pair(1)], "dpo", max_length=5).rows) == 1
    assert made([pair(1)], "dpo", max_length=4).left_out == {PROMPT_TOO_LONG: 1}


def test_the_digest_is_of_the_rows_in_their_order() -> None:
    there = made([pair(1), pair(2)], "dpo").sha256
    assert there == made([pair(1), pair(2)], "dpo").sha256
    assert there != made([pair(2), pair(1)], "dpo").sha256
