"""Who voices which claim: asked once for each preference and claim, whatever else changes.

A preference of the testing part is shown to the model beside the claims, without any group. What
it answered is kept for each preference and claim: when the log grows, new preferences are asked
about all claims, and all preferences about new claims; where an answer did not come, that is asked
again. Preferences that lack the same claims share their questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from gpa_agent.calls.engine import Answered
from gpa_agent.prompts import AspectItem, ClaimSides, Numbered, VoicesAnswer, voices_ask
from gpa_agent.prompts.asking import Ask
from gpa_agent.rubrics.fold import Voiced

UNASKED: Final = 2
"""Stands where an attribution would: nobody was asked, or no usable answer came."""


class Question(NamedTuple):
    """One question about a minibatch of preferences.

    Attributes:
        ask: The question.
        rows: The preferences it shows, in the order of their numbers.
        columns: The claims it shows, in the order of their numbers.
    """

    ask: Ask
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


class Attributed(NamedTuple):
    """Attributions of one list of preferences.

    Attributes:
        wishes: (preferences, K) in {-1, 0, 1}, or `UNASKED`.
        failed: Questions without a usable answer.
    """

    wishes: NDArray[np.int8]
    failed: int


def unasked(preferences: int, claims: int) -> NDArray[np.int8]:
    """(preferences, claims) attributions of which none is known."""
    return np.full((preferences, claims), UNASKED, np.int8)


def questions_of(
    claims: Sequence[AspectItem],
    heard: Sequence[Voiced],
    known: NDArray[np.int8],
    *,
    size: int,
) -> list[Question]:
    """What is still to be asked, in minibatches; the claims come first in each.

    Args:
        claims: K claims.
        heard: The preferences; n of them.
        known: (n, K) attributions, `UNASKED` where there is none.
        size: Most preferences in a question.
    """
    alike: dict[bytes, list[int]] = {}
    for row, lacks in enumerate(known == UNASKED):
        if lacks.any():
            alike.setdefault(lacks.tobytes(), []).append(row)
    questions: list[Question] = []
    for lacks, rows in alike.items():
        columns = np.flatnonzero(np.frombuffer(lacks, bool))
        for at in range(0, len(rows), size):
            batch = np.array(rows[at : at + size])
            questions.append(Question(_ask(claims, heard, batch, columns), batch, columns))
    return questions


def _ask(
    claims: Sequence[AspectItem],
    heard: Sequence[Voiced],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
) -> Ask:
    asked, shown = [claims[k] for k in columns], [heard[i] for i in rows]
    return voices_ask(
        [ClaimSides(x=c.first_wants, y=c.second_wants, name=c.name) for c in asked],
        [Numbered(n, v.pleased, v.expectation, v.reason) for n, v in enumerate(shown, start=1)],
    )


def attribute(
    questions: Sequence[Question],
    answers: Sequence[Answered],
    claims: Sequence[AspectItem],
    known: NDArray[np.int8],
) -> Attributed:
    """Read who voices what; numbers and sides that do not exist are the model's invention.

    Args:
        questions: What was asked.
        answers: One for each.
        claims: K claims.
        known: (n, K) what was known before.
    """
    wishes, failed = known.copy(), 0
    for (_, rows, columns), answered in zip(questions, answers, strict=True):
        if answered.value is None:
            failed += 1
            continue
        wishes[np.ix_(rows, columns)] = 0
        for voice in cast("VoicesAnswer", answered.value).voices:
            if not (1 <= voice.preference <= len(rows) and 1 <= voice.claim <= len(columns)):
                continue
            row, column = rows[voice.preference - 1], columns[voice.claim - 1]
            claim = claims[column]
            if claim.first_wants if voice.side == "x" else claim.second_wants:
                wishes[row, column] = 1 if voice.side == "x" else -1
    return Attributed(wishes, failed)


def same_claim(ones: NDArray[np.int8], others: NDArray[np.int8], *, at_least: int) -> bool:
    """Whether two claims are one under two names: mostly voiced by the same preferences.

    Args:
        ones: (n,) attributions of one claim.
        others: (n,) of the other.
        at_least: Preferences that must voice both; fewer might be chance.
    """
    asked = (ones != UNASKED) & (others != UNASKED)
    both = int((asked & (ones == others) & (ones != 0)).sum())
    either = int((asked & ((ones != 0) | (others != 0))).sum())
    return both >= at_least and 2 * both > either
