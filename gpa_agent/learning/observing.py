"""From the ledger's judged rows to the arrays that a contrast looks at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gpa_agent.conversations.records import GENERAL_INTENT, UNKNOWN, Judgment
from gpa_agent.learning.stages import MEASURE_STAGE
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import JudgedRow, chosen_input
from gpa_agent.preferences.embedded import preference_id
from gpa_agent.rubrics.observations import Observations, index_people, standardise
from gpa_agent.rubrics.traits import CATALOGUE_VERSION, catalogue


class Observed(NamedTuple):
    """The observations of a run, and what a reader of the result should know of them.

    Attributes:
        observations: One row per judged answer or pair.
        people: Distinct people among them.
        anonymous: Rows without a user id.
        people_of: How many people each group has, every group of the log included.
    """

    observations: Observations
    people: int
    anonymous: int
    people_of: dict[str, int]


def observe(ledger: Ledger, *, one_intent: bool) -> Observed:
    """Read every judged row with its measurements.

    Args:
        ledger: The ledger, its ``measure`` stage done.
        one_intent: Whether rows that name no intent belong to the one intent ``general``
            (a workspace without a taxonomy) rather than to none.

    Returns:
        The rows as arrays. A row without a user id takes its conversation (or pair) as its
        person: people are the unit, and one conversation is at least no more than one person.
    """
    values: list[bytes] = []
    rejected: list[bytes | None] = []
    rows: list[JudgedRow] = []
    for row in ledger.judged_rows(MEASURE_STAGE, CATALOGUE_VERSION):
        values.append(row.value)
        rejected.append(row.rejected)
        rows.append(row._replace(value=b"", rejected=None))
    width = len(catalogue())
    paired = np.array([r.kind == "pair" for r in rows], dtype=bool)
    nothing = bytes(4 * width)
    answers = np.frombuffer(b"".join(values), dtype="<f4").reshape(-1, width)
    others = np.frombuffer(b"".join(r or nothing for r in rejected), dtype="<f4")
    people = [r.person or f"{r.kind}:{r.subject_id}" for r in rows]
    fallback = GENERAL_INTENT if one_intent else None
    observations = Observations(
        values=standardise(answers, others.reshape(-1, width), paired),
        sat=np.array([r.judgment is Judgment.SAT for r in rows], dtype=bool),
        paired=paired,
        person=index_people(people),
        group=tuple(None if r.group in (None, UNKNOWN) else r.group for r in rows),
        intent=tuple(fallback if r.intent in (None, UNKNOWN) else r.intent for r in rows),
        ids=tuple(
            chosen_input(r.subject_id) if r.kind == "pair" else preference_id(r.subject_id, r.idx)
            for r in rows
        ),
    )
    cells = {(p, g) for p, g in zip(people, observations.group, strict=True) if g is not None}
    return Observed(
        observations=observations,
        people=len(set(people)),
        anonymous=sum(r.person is None for r in rows),
        people_of=dict(Counter(g for _, g in cells)),
    )


def groups_to_compare(
    named: Sequence[str], people_of: dict[str, int], *, min_people: int
) -> tuple[str, ...]:
    """The workspace's groups, or where it names none, every group with enough people."""
    if named:
        return tuple(named)
    return tuple(sorted(g for g, n in people_of.items() if n >= min_people))
