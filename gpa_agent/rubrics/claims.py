"""What a model claims about two groups, and how it comes to claim it.

The paper's Algorithm 1 ends when the model has named the aspects on which two groups differ and
rated each from 1 to 5. Here that is where the evidence begins. People are split in two: aspects
are *found* on the preferences of one part, by the fold, and *tested* on those of the other, so
that a claim is never proven by the data that suggested it (data splitting; Cox 1975,
https://doi.org/10.1093/biomet/62.2.441). To test them, every preference of the second part is
shown to the model without any group, and the model says which claims it voices, on which of
a claim's two sides. The flow below asks all of that; the figures are `claim_evidence`'s.

When the log has grown the fold goes on from the claims there are, over what is new alone, and
what it ends in revises them (`revising`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gpa_agent.calls.engine import Answered, Flow
from gpa_agent.prompts import AspectItem, ValidityAnswer, validity_ask
from gpa_agent.prompts.asking import Ask
from gpa_agent.rubrics.attributing import (
    UNASKED,
    attribute,
    questions_of,
    unasked,
)
from gpa_agent.rubrics.fold import FoldConfig, Folded, Voiced, fold
from gpa_agent.rubrics.guard import Kind, complaint, withheld
from gpa_agent.rubrics.records import Contrast
from gpa_agent.rubrics.revising import UNCHECKED, Claim, Revised, revise, told_apart

_NO_ANSWER = "the model gave no usable answer; learn again"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One contrast of one intent, as the model gets to see it."""

    intent: str
    contrast: Contrast
    first: tuple[Voiced, ...]
    """What the first-named side's people of the finding part voiced and no fold has seen yet."""
    other: tuple[Voiced, ...]
    """The same of the other side."""
    heard: tuple[Voiced, ...]
    """What both sides' people of the testing part voiced, to be attributed."""
    people: Mapping[str, str]
    """Who voiced each preference of the finding part, by its id, also those that another stands
    for: people are counted, not preferences."""
    standing: tuple[Claim, ...] = ()
    """Claims of an earlier run that the fold goes on from: what is still true keeps its name."""
    known: NDArray[np.int8] = field(default_factory=lambda: unasked(0, 0))
    """(heard, standing) what earlier runs found each preference to voice; `UNASKED` where nothing
    is known. Empty where nothing at all is."""


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What came of a case."""

    wishes: NDArray[np.int8]
    """(heard, K): 1 where a preference voices the first side's wish, -1 the other's, else 0;
    `UNASKED` where no usable answer came."""
    fresh: NDArray[np.bool_]
    """(heard, K) whether that was asked now, and not known before."""
    found: tuple[Claim, ...] = ()
    """Aspects with something to ask for, voiced by enough people; K of them."""
    unsupported: int = 0
    """Aspects left out: voiced by too few people to be written down, whatever they say."""
    waiting: tuple[str, ...] = ()
    """Ids of the preferences that voice aspects which were left out, or of which one side has
    said too little: they are looked at again with the next ones."""
    failed: int = 0
    """Questions of the case that came back without a usable answer."""
    fold_failed: int = 0
    """Those of them that the fold asked: what it was shown is not seen, then."""
    undecided: str | None = None
    """Why nothing can be said of the case, where the model gave no usable answer to it."""

    @property
    def claims(self) -> tuple[AspectItem, ...]:
        """What is claimed; K of them."""
        return tuple(c.item for c in self.found)

    @property
    def problems(self) -> tuple[str | None, ...]:
        """Why the words of a claim may not be served, by our own check or the model's; K."""
        return tuple(c.problem for c in self.found)


def claim(case: Case, config: FoldConfig, *, min_people: int) -> Flow[Claimed]:
    """Find what the sides differ in, then ask who voices it; a flow for any engine.

    Only what is not known is asked: nothing where nothing is new.

    Args:
        case: The contrast.
        config: How the fold goes.
        min_people: People of the finding part that must voice a claim for it to be written down:
            the words of fewer might be one person's own.

    Returns:
        The claims, and who of the testing part voices them; nothing where a side has no
        voice in the finding part.
    """
    carried = [c.item for c in case.standing]
    folded: Folded = yield from fold(case.first, case.other, config, carried)
    revised = revise(case.standing, _impersonal(folded), case.people, min_people=min_people)
    nothing = Claimed(
        wishes=unasked(len(case.heard), 0),
        fresh=np.zeros((len(case.heard), 0), dtype=bool),
        unsupported=revised.unsupported,
        waiting=revised.waiting,
        failed=folded.failed,
        fold_failed=folded.failed,
    )
    if revised.claims:
        return (yield from _tested(case, revised, nothing, config, min_people=min_people))
    return replace(nothing, undecided=_NO_ANSWER) if folded.failed else nothing


def _impersonal(folded: Folded) -> Folded:
    """What a fold says without what points at somebody, which is neither kept nor shown."""
    return replace(
        folded,
        aspects=tuple(_kept(a) for a in folded.aspects),
        voiced={withheld(name, kind="name"): ids for name, ids in folded.voiced.items()},
    )


def _kept(item: AspectItem) -> AspectItem:
    """An aspect as it may be kept: refused, unless its interpretation alone is missing."""
    said = {
        "name": withheld(item.name, kind="name"),
        "interpretation": withheld(item.interpretation, kind="interpretation"),
        "first_wants": withheld(item.first_wants, kind="guidance"),
        "second_wants": withheld(item.second_wants, kind="guidance"),
    }
    return item.model_copy(update=said)


def _tested(
    case: Case, revised: Revised, so_far: Claimed, config: FoldConfig, *, min_people: int
) -> Flow[Claimed]:
    """Ask who voices the claims, and whether their words may be served."""
    claims, known = [c.item for c in revised.claims], _known(case, revised)
    questions = questions_of(claims, case.heard, known, size=config.minibatch_size)
    unchecked = [k for k, c in enumerate(revised.claims) if c.problem == UNCHECKED]
    checking = [_validity_ask(claims[k]) for k in unchecked]
    answers = yield [*(q.ask for q in questions), *checking]
    said, verdicts = answers[: len(questions)], answers[len(questions) :]
    attributed = attribute(questions, said, claims, known)
    checked = dict(zip(unchecked, verdicts, strict=True))
    found = [_checked(c, checked.get(k)) for k, c in enumerate(revised.claims)]
    silent = _says_nothing(found, attributed.wishes)
    distinct, kept = told_apart(found, revised.columns, attributed.wishes, at_least=min_people)
    return replace(
        so_far,
        found=distinct,
        wishes=attributed.wishes[:, kept],
        fresh=(known == UNASKED)[:, kept],
        failed=so_far.failed + attributed.failed + sum(a.value is None for a in verdicts),
        undecided=_NO_ANSWER if silent else None,
    )


def _known(case: Case, revised: Revised) -> NDArray[np.int8]:
    """What is known of the revised claims: of those whose words stand, what was known before."""
    known = unasked(len(case.heard), len(revised.claims))
    if case.known.size:
        for k, column in enumerate(revised.columns):
            if column is not None:
                known[:, k] = case.known[:, column]
    return known


def _says_nothing(claims: Sequence[Claim], wishes: NDArray[np.int8]) -> bool:
    """Whether no claim can be weighed: none is both checked and attributed to anybody."""
    heard = (wishes != UNASKED).any(axis=0) if len(wishes) else np.ones(len(claims), bool)
    checked = np.array([c.problem != UNCHECKED for c in claims], dtype=bool)
    return not (heard & checked).any()


def claims_key(claims: Sequence[AspectItem], model: str) -> str:
    """Names a list of claims: attributions to other claims, or by another model, do not count."""
    said = json.dumps([[c.name, c.first_wants, c.second_wants] for c in claims])
    return hashlib.sha256(f"{model}\x1f{said}".encode()).hexdigest()[:32]


def _guidance_of(item: AspectItem) -> list[str]:
    return [words for words in (item.first_wants, item.second_wants) if words]


def _validity_ask(item: AspectItem) -> Ask:
    return validity_ask(item.name, item.interpretation, _guidance_of(item))


def _checked(found: Claim, answered: Answered | None) -> Claim:
    """A claim with what is wrong with its words: our own check first, then the model's."""
    problem = _complaint(found.item)
    if problem is None:
        problem = found.problem if answered is None else _objection(answered)
    return replace(found, problem=problem)


def _complaint(item: AspectItem) -> str | None:
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
    return None


def _objection(answered: Answered) -> str | None:
    if answered.value is None:
        return UNCHECKED
    verdict = cast("ValidityAnswer", answered.value)
    if not verdict.valid:
        named = ", ".join(p.replace("_", " ") for p in verdict.problems) or "no reason given"
        return f"the validity check refused its words: {named}"
    return None
