"""What of a contrast is new since it was last asked about, and what is known of it after.

Algorithm 1 goes on: only preferences of the finding people that no fold of this intent and
contrast has seen go through the next minibatches, with the claims there are carried on. A fold
waits until both sides have half a minibatch of new ones. What voices an aspect that was left out
because too few people stand behind it is shown once more with the next ones, so that a log that
comes in small portions ends in the claims that it would have ended in at once.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.learning.cases import Sided
from gpa_agent.learning.kept_claims import KeptClaims, Voices, print_of
from gpa_agent.prompts import load
from gpa_agent.rubrics.attributing import unasked
from gpa_agent.rubrics.claims import Case, Claimed
from gpa_agent.rubrics.fold import Voiced
from gpa_agent.rubrics.records import Aspect, Rubric
from gpa_agent.rubrics.revising import UNCHECKED, Verdict
from gpa_agent.settings import Settings


class Due(NamedTuple):
    """What the next fold of a contrast is shown; nothing where none is due.

    Attributes:
        first: Preferences of the first-named side.
        other: Preferences of the other side.
    """

    first: tuple[Voiced, ...] = ()
    other: tuple[Voiced, ...] = ()


def asked_with(settings: Settings, model: str) -> str:
    """Names everything besides preferences that the questions of a contrast come from.

    Args:
        settings: How the fold goes.
        model: Who is asked.
    """
    prompts = [load(n).version for n in ("aspects", "merging", "voices", "validity")]
    fold = [settings.minibatch_size, settings.pairing, settings.fold, settings.seed]
    said = json.dumps([model, prompts, fold, settings.min_people])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def as_asked(kept: KeptClaims | None, how: str) -> KeptClaims | None:
    """What is kept, as far as it was asked the same way: otherwise only the claims are.

    Args:
        kept: What is kept of the contrast.
        how: `asked_with` of this run.
    """
    if kept is None or kept.asked_with == how:
        return kept
    return replace(
        kept,
        found=tuple(replace(c, problem=UNCHECKED) for c in kept.found),
        voices={},
        seen=frozenset(),
        waiting=frozenset(),
        asked_with=how,
    )


def due(part: Sided, kept: KeptClaims | None, *, minibatch_size: int) -> Due:
    """What the next fold is shown.

    Args:
        part: The contrast.
        kept: What is kept of it.
        minibatch_size: Most preferences of a side in one round.
    """
    sides = (part.first, part.other)
    if kept is None or not kept.seen:
        return Due(*sides) if all(sides) else Due()
    new = [[v for v in side if print_of(v) not in kept.seen] for side in sides]
    if min(map(len, new)) < math.ceil(minibatch_size / 2):
        return Due()
    again = [[v for v in side if print_of(v) in kept.waiting] for side in sides]
    return Due(*((*n, *a) for n, a in zip(new, again, strict=True)))


def case_of(
    part: Sided,
    kept: KeptClaims | None,
    shown: Due,
    merged: Callable[[Sequence[Voiced]], Sequence[Voiced]],
) -> Case:
    """The contrast as the model gets to see it.

    Args:
        part: The contrast.
        kept: What is kept of it.
        shown: What the fold is shown.
        merged: Makes near-duplicates one.
    """
    return Case(
        intent=part.intent,
        contrast=part.contrast,
        first=tuple(merged(shown.first)),
        other=tuple(merged(shown.other)),
        heard=tuple(t.voiced for t in part.testing),
        # Of those that are made one: each counts as the person who voiced it.
        people={v.id: v.person for v in (*shown.first, *shown.other)},
        standing=kept.found if kept else (),
        known=_known(part, kept) if kept else unasked(0, 0),
    )


def _known(part: Sided, kept: KeptClaims) -> NDArray[np.int8]:
    known = unasked(len(part.testing), len(kept.found))
    attributed = kept.attributions(part)
    for row, turn in enumerate(part.testing):
        if turn.input_id in attributed:
            known[row] = attributed[turn.input_id]
    return known


def kept_of(
    part: Sided,
    before: KeptClaims | None,
    shown: Due,
    claimed: Claimed,
    *,
    how: str,
    minibatch_size: int,
) -> KeptClaims:
    """What is kept of a contrast after it was asked about.

    Args:
        part: The contrast.
        before: What was kept of it.
        shown: What the fold was shown.
        claimed: What came of the questions.
        how: `asked_with` of this run.
        minibatch_size: Preferences of a side that may wait for the next fold.
    """
    said = zip(part.testing, claimed.wishes, strict=True)
    seen, waiting = (before.seen, before.waiting) if before else (frozenset[str](),) * 2
    if shown.first and not claimed.fold_failed:
        seen = (seen & _prints(part.first, part.other)) | _prints(*shown)
        waiting = _prints(*(_first_of(s, claimed.waiting, minibatch_size) for s in shown))
    return KeptClaims(
        intent=part.intent,
        group=part.contrast.group,
        other=part.contrast.other,
        found=claimed.found,
        voices={t.input_id: Voices(print_of(t.voiced), w) for t, w in said},
        seen=seen,
        waiting=waiting,
        asked_with=how,
    )


def _first_of(side: Sequence[Voiced], ids: Sequence[str], most: int) -> list[Voiced]:
    """Those with some ids; what was new in this fold comes before what waited already."""
    wanted = frozenset(ids)
    return [v for v in side if v.id in wanted][:most]


def _prints(*sides: Sequence[Voiced]) -> frozenset[str]:
    return frozenset(print_of(v) for side in sides for v in side)


def decided(kept: KeptClaims, rubric: Rubric | None, *, max_q: float) -> KeptClaims:
    """The claims with what their evidence says, without those that are not worth keeping.

    Args:
        kept: Claims that were weighed.
        rubric: What came of them; None where nothing could be tested.
        max_q: False discovery rate that an item may have.
    """
    if rubric is None:
        return kept
    weighed = {a.name: a for a in rubric.aspects}
    found = [replace(c, verdict=_verdict(weighed[c.item.name], max_q)) for c in kept.found]
    stay = [k for k, c in enumerate(found) if c.stays]
    return replace(
        kept,
        found=tuple(found[k] for k in stay),
        voices={i: v._replace(values=v.values[stay]) for i, v in kept.voices.items()},
    )


def _verdict(aspect: Aspect, max_q: float) -> Verdict:
    if aspect.status == "approved":
        return "proven"
    evidence = aspect.evidence
    # Nobody is served by it: one test of its own is enough to look for other words.
    against = evidence is not None and evidence.effect < 0 and evidence.p_value <= max_q
    return "turned" if against else "open"
