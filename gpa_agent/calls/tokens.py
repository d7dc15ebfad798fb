"""How many tokens questions and answers come to, before they are asked.

Providers count tokens in their own ways, so the rate is taken from the call ledger: what
finished calls were counted as, over the texts they were built from. Before there are enough of
them it is a rule of thumb. English prose has 4 to 5 characters a token with the tokenizers of
today, and JSON, which every question here is in part, 3 to 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from gpa_agent.prompts import PromptName, load, satisfaction_ask

if TYPE_CHECKING:
    from gpa_agent.ledger import Ledger
    from gpa_agent.prompts.asking import Ask

CHARS_PER_TOKEN: Final = 4.0
"""Of English text and JSON, by rule of thumb."""

ENOUGH: Final = 50
"""Finished calls from which on the ledger's own rate is taken."""

TYPICAL_WEIGHT: Final = 10
"""Finished calls that the typical length of a prompt's answers counts as much as."""

_MEASURED: Final = 200
"""Finished calls the rate is measured on, at most."""


class Spoken(NamedTuple):
    """Finished calls of one prompt.

    Attributes:
        calls: How many.
        output_tokens: What their answers came to.
    """

    calls: int
    output_tokens: int


@dataclass(frozen=True, kw_only=True)
class TokenRates:
    """What tokens to expect of a model."""

    chars_per_token: float = CHARS_PER_TOKEN
    """Characters of a question for each token it is counted as; above 0."""
    measured: int = 0
    """Finished calls that rests on; 0 where it is the rule of thumb."""
    spoken: Mapping[str, Spoken]
    """Finished calls by prompt."""

    def input_tokens(self, chars: float) -> float:
        """Tokens of questions.

        Args:
            chars: Characters of their messages.
        """
        return chars / self.chars_per_token

    def output_tokens(self, prompt: str) -> float:
        """Tokens of one answer: the mean of what there was, and what is typical, by weight."""
        said = self.spoken.get(prompt, Spoken(0, 0))
        typical = load(cast("PromptName", prompt)).typical_output_tokens * TYPICAL_WEIGHT
        return (said.output_tokens + typical) / (said.calls + TYPICAL_WEIGHT)


class Finished(NamedTuple):
    """A question about satisfaction that was answered.

    Attributes:
        ask: The question, built again.
        answer: What the model said.
        input_tokens: What the provider counted; above 0.
    """

    ask: Ask
    answer: str
    input_tokens: int


def finished(ledger: Ledger, model: str) -> list[Finished]:
    """Some questions about satisfaction that a model answered, at random but always the same.

    Args:
        ledger: The call ledger.
        model: Name of the model, as `gpa_agent.models.model_name` gives it.

    Raises:
        StoreError: The ledger cannot be read.
    """
    return list(_finished(ledger, model))


def token_rates(ledger: Ledger, model: str, measured: Sequence[Finished]) -> TokenRates:
    """What the ledger tells of a model's tokens.

    Args:
        ledger: The call ledger.
        model: Name of the model.
        measured: What `finished` gives.

    Raises:
        StoreError: The ledger cannot be read.
    """
    rates = [length(one.ask) / one.input_tokens for one in measured]
    spoken = _spoken(ledger, model)
    if len(rates) < ENOUGH:
        return TokenRates(spoken=spoken)
    # The median: a repair is kept under the question it repairs, and is longer.
    return TokenRates(chars_per_token=median(rates), measured=len(rates), spoken=spoken)


def length(ask: Ask) -> int:
    """Characters of a question's messages."""
    return len(ask.system) + len(ask.data)


def _spoken(ledger: Ledger, model: str) -> dict[str, Spoken]:
    return {prompt: Spoken(calls, tokens) for prompt, calls, tokens in ledger.spoken_tokens(model)}


def _finished(ledger: Ledger, model: str) -> Iterator[Finished]:
    version = load("satisfaction").version
    for row in ledger.some_calls(model, "satisfaction", version, limit=_MEASURED):
        conversation, _, idx = (row.subject or "").removeprefix("t:").rpartition(":")
        turn = ledger.previous_turn(conversation, int(idx) + 1)
        if turn is not None and row.input_tokens:
            shown = (turn.user, turn.assistant, turn.reply)
            ask = satisfaction_ask(*shown, earlier=turn.earlier, subject=row.subject or "")
            yield Finished(ask, row.answer, row.input_tokens)
