"""What a model claims about two groups, and how it comes to claim it.

The paper's Algorithm 1 ends when the model has named the aspects on which two groups differ and
rated each from 1 to 5. Here that is where the evidence begins. People are split in two: aspects
are *found* on the preferences of one part, by the fold, and *tested* on those of the other, so
that a claim is never proven by the data that suggested it (data splitting; Cox 1975,
https://doi.org/10.1093/biomet/62.2.441). To test them, every preference of the second part is
shown to the model without any group, and the model says which claims it voices, on which of
a claim's two sides. The flow below asks all of that; the figures are `claim_evidence`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from gpa_agent.calls.engine import Answered, Flow
from gpa_agent.prompts import (
    AspectItem,
    ClaimSides,
    Numbered,
    ValidityAnswer,
    VoicesAnswer,
    validity_ask,
    voices_ask,
)
from gpa_agent.prompts.asking import Ask
from gpa_agent.rubrics.fold import FoldConfig, Folded, Voiced, fold
from gpa_agent.rubrics.guard import Kind, complaint
from gpa_agent.rubrics.records import Contrast

_NO_ANSWER = "the model gave no usable answer; learn again"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One contrast of one intent, as the model gets to see it."""

    intent: str
    contrast: Contrast
    first: tuple[Voiced, ...]
    """What the first-named side's people of the finding part voiced."""
    other: tuple[Voiced, ...]
    """The same of the other side."""
    heard: tuple[Voiced, ...]
    """What both sides' people of the testing part voiced, to be attributed."""
    carried: tuple[AspectItem, ...] = ()
    """Claims of an earlier run that the fold goes on from: what is still true keeps its name."""


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What came of a case."""

    wishes: NDArray[np.int8]
    """(heard, K): 1 where a preference voices the first side's wish, -1 the other's, else 0."""
    claims: tuple[AspectItem, ...] = ()
    """Aspects with something to ask for, voiced by enough people; K of them."""
    support: tuple[tuple[str, ...], ...] = ()
    """Ids of the finding part's preferences that voice each claim, as the model named them; K."""
    problems: tuple[str | None, ...] = ()
    """Why the words of a claim may not be served, by our own check or the model's; K of them."""
    unsupported: int = 0
    """Aspects left out: voiced by too few people to be written down, whatever they say."""
    failed: int = 0
    """Questions of the case that came back without a usable answer."""
    undecided: str | None = None
    """Why nothing can be said of the case, where the model gave no usable answer to it."""


class Attributed(NamedTuple):
    """Attributions of one list of preferences.

    Attributes:
        wishes: (preferences, K) in {-1, 0, 1}.
        failed: Questions without a usable answer; their preferences voice nothing.
    """

    wishes: NDArray[np.int8]
    failed: int


def claim(case: Case, config: FoldConfig, *, min_people: int) -> Flow[Claimed]:
    """Find what the sides differ in, then ask who voices it; a flow for any engine.

    Args:
        case: The contrast.
        config: How the fold goes.
        min_people: People of the finding part that must voice a claim for it to be written down:
            the words of fewer might be one person's own.

    Returns:
        The claims, and who of the testing part voices them; nothing where a side has no
        voice in the finding part.
    """
    folded: Folded = yield from fold(case.first, case.other, config, case.carried)
    rated = [a for a in folded.aspects if a.rating > 1 and (a.first_wants or a.second_wants)]
    support = [_support(folded, a) for a in rated]
    kept = [i for i, ids in enumerate(support) if _people(case, ids) >= min_people]
    claims = tuple(rated[i] for i in kept)
    nothing = Claimed(
        wishes=np.zeros((len(case.heard), 0), np.int8),
        unsupported=len(rated) - len(kept),
        failed=folded.failed,
    )
    if not claims:
        return replace(nothing, undecided=_NO_ANSWER) if folded.failed else nothing
    attributing = _voices_asks(claims, case.heard, config.minibatch_size)
    checking = [validity_ask(c.name, c.interpretation, _guidance_of(c)) for c in claims]
    answers = yield [*attributing, *checking]
    said, verdicts = answers[: len(attributing)], answers[len(attributing) :]
    attributed = _attribute(said, len(case.heard), claims, config)
    silent = all(a.value is None for a in said) or all(a.value is None for a in verdicts)
    return replace(
        nothing,
        claims=claims,
        support=tuple(support[i] for i in kept),
        wishes=attributed.wishes,
        problems=tuple(_problem(c, a) for c, a in zip(claims, verdicts, strict=True)),
        failed=folded.failed + attributed.failed + sum(a.value is None for a in verdicts),
        undecided=_NO_ANSWER if silent else None,
    )


def _support(folded: Folded, aspect: AspectItem) -> tuple[str, ...]:
    voices = folded.voiced.get(aspect.name)
    return () if voices is None else (*voices.first, *voices.second)


def _people(case: Case, ids: Sequence[str]) -> int:
    """How many people of the finding part stand behind preferences."""
    named = set(ids)
    return len({v.person for v in (*case.first, *case.other) if named & {v.id, *v.members}})


def claims_key(claims: Sequence[AspectItem], model: str) -> str:
    """Names a list of claims: attributions to other claims, or by another model, do not count."""
    said = "\x1e".join(c.model_dump_json() for c in claims)
    return hashlib.sha256(f"{model}\x1f{said}".encode()).hexdigest()[:32]


def _guidance_of(item: AspectItem) -> list[str]:
    return [words for words in (item.first_wants, item.second_wants) if words]


def _voices_asks(claims: Sequence[AspectItem], heard: Sequence[Voiced], size: int) -> list[Ask]:
    """Questions over all heard preferences, in minibatches; the claims come first in each."""
    sides = [ClaimSides(x=c.first_wants, y=c.second_wants, name=c.name) for c in claims]
    return [
        voices_ask(
            sides,
            [
                Numbered(n, v.pleased, v.expectation, v.reason)
                for n, v in enumerate(heard[at : at + size], start=1)
            ],
        )
        for at in range(0, len(heard), size)
    ]


def _attribute(
    answers: Sequence[Answered], heard: int, claims: Sequence[AspectItem], config: FoldConfig
) -> Attributed:
    """Read who voices what; numbers and sides that do not exist are the model's invention."""
    wishes = np.zeros((heard, len(claims)), np.int8)
    failed = 0
    for batch, answered in enumerate(answers):
        if answered.value is None:
            failed += 1
            continue
        start = batch * config.minibatch_size
        size = min(config.minibatch_size, heard - start)
        for voice in cast("VoicesAnswer", answered.value).voices:
            if not (1 <= voice.preference <= size and 1 <= voice.claim <= len(claims)):
                continue
            claim = claims[voice.claim - 1]
            if claim.first_wants if voice.side == "x" else claim.second_wants:
                row = start + voice.preference - 1
                wishes[row, voice.claim - 1] = 1 if voice.side == "x" else -1
    return Attributed(wishes, failed)


def _problem(item: AspectItem, answered: Answered) -> str | None:
    """Why a claim's words may not be served: our own check first, then the model's."""
    texts: dict[Kind, list[str]] = {
        "name": [item.name],
        "interpretation": [item.interpretation],
        "guidance": _guidance_of(item),
    }
    for kind, said in texts.items():
        for text in said:
            reason = complaint(text, kind=kind)
            if reason is not None:
                return f"its {kind} is refused: {reason}"
    if answered.value is None:
        return "its words could not be checked: the model gave no usable answer"
    verdict = cast("ValidityAnswer", answered.value)
    if not verdict.valid:
        named = ", ".join(p.replace("_", " ") for p in verdict.problems) or "no reason given"
        return f"the validity check refused its words: {named}"
    return None
