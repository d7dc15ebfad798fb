"""From the ledger's judged rows to the arrays that a contrast looks at.

A row also says what it was served, of which traits it is silent for that, and how much it
still counts (`docs/decisions/0010-own-effects-are-not-evidence.md`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.conversations.records import GENERAL_INTENT, UNKNOWN, Judgment
from gpa_agent.learning.blocks import Block, block_of
from gpa_agent.learning.stages import MEASURE_STAGE
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import JudgedRow, chosen_input
from gpa_agent.preferences.embedded import preference_id
from gpa_agent.rubrics.ageing import age_weights
from gpa_agent.rubrics.observations import Observations, index_people, scale_of, standardise
from gpa_agent.rubrics.traits import CATALOGUE_VERSION, catalogue

Place = tuple[str, str, str]
"""Intent, group and other side of a contrast."""


class Observed(NamedTuple):
    """The observations of a run, and what a reader of the result should know of them.

    Attributes:
        observations: One row per judged answer or pair.
        people: Distinct people among them.
        anonymous: Rows without a user id.
        people_of: How many people each group has, every group of the log included.
        turned: (n, T) rows that say nothing of a trait in one place, because they are older than
            the moment when it turned there.
    """

    observations: Observations
    people: int
    anonymous: int
    people_of: dict[str, int]
    turned: dict[Place, NDArray[np.bool_]]


def observe(
    ledger: Ledger,
    *,
    one_intent: bool,
    half_life_days: float | None = None,
    turned: Mapping[Place, Mapping[str, datetime]] | None = None,
) -> Observed:
    """Read every judged row with its measurements.

    Args:
        ledger: The ledger, its ``measure`` stage done.
        one_intent: Whether rows that name no intent belong to the one intent ``general``
            (a workspace without a taxonomy) rather than to none.
        half_life_days: Days in which a row loses half its weight; None: rows do not age.
        turned: When traits turned, by place: what was judged before speaks for a taste that is
            gone. A row without a time was judged before.

    Returns:
        The rows as arrays. A row without a user id takes its conversation (or pair) as its
        person: people are the unit, and one conversation is at least no more than one person.
    """
    values: list[bytes] = []
    rejected: list[bytes | None] = []
    rows: list[JudgedRow] = []
    blocks: list[Block | None] = []
    for row in ledger.judged_rows(MEASURE_STAGE, CATALOGUE_VERSION):
        values.append(row.value)
        rejected.append(row.rejected)
        blocks.append(block_of(row.served))
        rows.append(row._replace(value=b"", rejected=None, served=None))
    width = len(catalogue())
    paired = np.array([r.kind == "pair" for r in rows], dtype=bool)
    nothing = bytes(4 * width)
    answers = np.frombuffer(b"".join(values), dtype="<f4").reshape(-1, width)
    others = np.frombuffer(b"".join(r or nothing for r in rejected), dtype="<f4")
    others = others.reshape(-1, width)
    times = [r.at for r in rows]
    people = [r.person or f"{r.kind}:{r.subject_id}" for r in rows]
    fallback = GENERAL_INTENT if one_intent else None
    observations = Observations(
        values=standardise(answers, others, paired, scale_of(answers, others, paired).rounded()),
        sat=np.array([r.judgment is Judgment.SAT for r in rows], dtype=bool),
        paired=paired,
        person=index_people(people),
        group=tuple(None if r.group in (None, UNKNOWN) else r.group for r in rows),
        intent=tuple(fallback if r.intent in (None, UNKNOWN) else r.intent for r in rows),
        ids=tuple(
            chosen_input(r.subject_id) if r.kind == "pair" else preference_id(r.subject_id, r.idx)
            for r in rows
        ),
        weight=age_weights(times, half_life_days=half_life_days, now=ledger.now()),
        stratum=_strata(blocks),
        masked=_masks(blocks),
    )
    cells = {(p, g) for p, g in zip(people, observations.group, strict=True) if g is not None}
    return Observed(
        observations=observations,
        people=len(set(people)),
        anonymous=sum(r.person is None for r in rows),
        people_of=dict(Counter(g for _, g in cells)),
        turned={place: _older(times, moments) for place, moments in (turned or {}).items()},
    )


def _strata(blocks: Sequence[Block | None]) -> NDArray[np.int64]:
    """Number what was served, from 1; 0 for nothing."""
    served = sorted({repr(b) for b in blocks if b is not None})
    numbers = {name: number for number, name in enumerate(served, start=1)}
    return np.array([0 if b is None else numbers[repr(b)] for b in blocks], dtype=np.int64)


def _masks(blocks: Sequence[Block | None]) -> NDArray[np.bool_]:
    """(n, T) the traits that each row was served an item of."""
    names = [trait.name for trait in catalogue()]
    nothing = np.zeros(len(names), dtype=bool)
    of_block = {
        b: np.array([b.pushes_everything or name in b.aspects for name in names])
        for b in blocks
        if b is not None
    }
    rows = [nothing if b is None else of_block[b] for b in blocks]
    return np.array(rows, dtype=bool).reshape(len(blocks), len(names))


def _older(times: Sequence[datetime | None], moments: Mapping[str, datetime]) -> NDArray[np.bool_]:
    """(n, T) which rows are older than each trait's moment."""
    older = np.zeros((len(times), len(catalogue())), dtype=bool)
    for column, trait in enumerate(catalogue()):
        if trait.name in moments:
            older[:, column] = [at is None or at < moments[trait.name] for at in times]
    return older


def groups_to_compare(
    named: Sequence[str], people_of: dict[str, int], *, min_people: int
) -> tuple[str, ...]:
    """The workspace's groups, or where it names none, every group with enough people."""
    if named:
        return tuple(named)
    return tuple(sorted(g for g, n in people_of.items() if n >= min_people))
