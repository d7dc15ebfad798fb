"""From pairs to the rows that a method trains on, as TRL's trainers take them.

========================  ==========================================================
``dpo``, ``rs-dpo``       ``prompt``, ``chosen``, ``rejected``
``kto``                   ``prompt``, ``completion``, ``label``: the logged answers alone
``kto-augmented``         the same with the twins beside them, twice as many rows
``sft``, ``rs-sft``       ``prompt``, ``completion``: what the group would choose
========================  ==========================================================

KTO-augmented is the KTO-G⁺ of Group Preference Alignment (Table 8): logged answers and rubric
twins together.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from gpa_agent.alignment.config import Method
from gpa_agent.alignment.pair import Pair, Said

Row = dict[str, Any]
Render = Callable[[list[dict[str, str]], bool], int]
"""How many tokens a conversation has; whether the answer's beginning is put after it."""

PROMPT_TOO_LONG: Final = "prompt_too_long"
ANSWER_TOO_LONG: Final = "answer_too_long"


class Weights(NamedTuple):
    """What KTO multiplies its losses by.

    Attributes:
        desirable: Of answers that pleased.
        undesirable: Of those that did not.
    """

    desirable: float
    undesirable: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """Rows that can be trained on, and what became of the others."""

    rows: list[Row]
    """In the order they are trained in."""
    left_out: dict[str, int] = field(default_factory=dict[str, int])
    """Rows that are not among them, by reason; reasons with none are not named."""
    figures: dict[str, float] = field(default_factory=dict[str, float])
    """What else was measured of them."""
    notes: list[str] = field(default_factory=list[str])
    """What a person should know of them."""

    @property
    def sha256(self) -> str:
        """Digest of the rows in their order."""
        text = json.dumps(self.rows, ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def weights(self) -> Weights:
        """Weights that let both labels count alike; (1, 1) where the rows have no labels."""
        return kto_weights([row["label"] for row in self.rows if "label" in row])


def prepare(
    pairs: Sequence[Pair], method: Method, *, tokens: Render, max_length: int, seed: int
) -> Prepared:
    """Make a method's rows, without those that TRL would cut off or drop in silence.

    Args:
        pairs: What is trained on.
        method: The method; of the ``rs-`` ones the pairs were chosen before.
        tokens: Counts a conversation's tokens under the base's chat template.
        max_length: Tokens a row may have; TRL cuts off longer ones, and their end of text with
            them, and drops those whose prompt alone is as long.
        seed: Of KTO's order of rows.

    Returns:
        The rows and what was left out.
    """
    rows = rows_of(pairs, method, seed=seed)
    left_out: dict[str, int] = {}
    kept: list[Row] = []
    for row in rows:
        reason = _too_long(row, tokens, max_length)
        if reason is None:
            kept.append(row)
        else:
            left_out[reason] = left_out.get(reason, 0) + 1
    return Prepared(rows=kept, left_out=left_out, notes=_one_sided(kept))


def _one_sided(rows: Sequence[Row]) -> list[str]:
    labels = {row["label"] for row in rows if "label" in row}
    if len(labels) != 1:
        return []
    what = "pleased" if labels == {True} else "did not please"
    return [f"all rows are answers that {what}: KTO learns from both; kto-augmented adds the twins"]


def rows_of(pairs: Sequence[Pair], method: Method, *, seed: int) -> list[Row]:
    """All rows of a method, whatever their length.

    Args:
        pairs: What is trained on.
        method: The method.
        seed: Of KTO's order of rows.
    """
    if method in ("dpo", "rs-dpo"):
        return [_dpo_row(pair) for pair in pairs]
    if method in ("sft", "rs-sft"):
        return [_completion(pair, pair.chosen) for pair in pairs]
    rows = [row for pair in pairs for row in _kto_rows(pair, augmented=method == "kto-augmented")]
    # TRL takes KTO's rows as they come and pairs each prompt with its neighbour's answer to
    # estimate the KL term: neighbours must not be two answers to one prompt.
    random.Random(seed).shuffle(rows)
    return rows


def kto_weights(labels: Sequence[bool]) -> Weights:
    """Weights under which desirable and undesirable rows count alike.

    Equation 8 of KTO (Ethayarajh et al., 2024, https://arxiv.org/abs/2402.01306) asks for a ratio
    of the weighted counts between 1 and 4/3; this is 1, by weighting up the rarer label.

    Args:
        labels: Of the rows.

    Returns:
        The weights; (1, 1) where one label is missing, as nothing balances that.
    """
    desirable = sum(labels)
    undesirable = len(labels) - desirable
    if not desirable or not undesirable:
        return Weights(1.0, 1.0)
    if desirable < undesirable:
        return Weights(round(undesirable / desirable, 2), 1.0)
    return Weights(1.0, round(desirable / undesirable, 2))


def _dpo_row(pair: Pair) -> Row:
    return {
        "prompt": _messages(pair.prompt),
        "chosen": _messages(pair.chosen),
        "rejected": _messages(pair.rejected),
    }


def _kto_rows(pair: Pair, *, augmented: bool) -> list[Row]:
    """The logged answers, or both; without a judgment neither is a twin."""
    rows: list[Row] = []
    if augmented or pair.judgment != -1:
        rows.append({**_completion(pair, pair.chosen), "label": True})
    if augmented or pair.judgment != 1:
        rows.append({**_completion(pair, pair.rejected), "label": False})
    return rows


def _completion(pair: Pair, answer: Sequence[Said]) -> Row:
    return {"prompt": _messages(pair.prompt), "completion": _messages(answer)}


def _messages(said: Sequence[Said]) -> list[dict[str, str]]:
    return [message.model_dump() for message in said]


def _too_long(row: Row, tokens: Render, max_length: int) -> str | None:
    if tokens(row["prompt"], True) >= max_length:
        return PROMPT_TOO_LONG
    answers = (row[name] for name in ("chosen", "rejected", "completion") if name in row)
    if any(tokens([*row["prompt"], *answer], False) > max_length for answer in answers):
        return ANSWER_TOO_LONG
    return None
