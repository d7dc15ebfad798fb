"""The rows that a contrast looks at in one intent, and who stands behind each trait there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.rubrics.observations import Observations
from gpa_agent.rubrics.records import EVERYBODY_ELSE, Contrast
from gpa_agent.rubrics.scores import NEGLIGIBLE, sum_by

Families = Mapping[str, Sequence[int]]
"""Columns of the traits in each family."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The rows of both sides of a contrast in one intent."""

    intent: str
    contrast: Contrast
    rows: Observations
    first: NDArray[np.bool_]
    """(n,) whether a row is on the first-named side."""


def cell_of(
    observations: Observations,
    *,
    intent: str,
    contrast: Contrast,
    turned: NDArray[np.bool_] | None = None,
) -> Cell:
    """Pick a contrast's rows.

    Args:
        observations: All rows of the run; those of other intents are left out.
        intent: The intent to look at.
        contrast: The two sides; ``other="*"`` is every row of the intent outside the group,
            rows of unknown group included.
        turned: (all rows, T) what here, beyond ``masked``, says nothing of a trait.
    """
    in_intent = np.array([i == intent for i in observations.intent], dtype=bool)
    on_first = np.array([g == contrast.group for g in observations.group], dtype=bool)
    on_other = (
        ~on_first
        if contrast.other == EVERYBODY_ELSE
        else np.array([g == contrast.other for g in observations.group], dtype=bool)
    )
    here = in_intent & (on_first | on_other)
    rows = observations.select(here)
    if turned is not None:
        rows = replace(rows, masked=rows.masked | turned[here])
    return Cell(intent=intent, contrast=contrast, rows=rows, first=on_first[here])


def fingerprint(cell: Cell, *asked: Any) -> str:  # noqa: ANN401 -- anything with a stable repr
    """A digest of everything that a test of a cell depends on.

    Args:
        cell: The rows. People and strata count by their order only: a new person in
            another intent changes nothing here.
        asked: What else it depends on; their ``repr``.
    """
    rows = cell.rows
    people = np.unique(rows.person, return_inverse=True)[1]
    strata = np.unique(np.append(0, rows.stratum), return_inverse=True)[1]
    digest = hashlib.sha256(repr((cell.intent, cell.contrast, rows.values.shape, asked)).encode())
    for array in (rows.values, rows.sat, rows.paired, people, cell.first, rows.weight, strata):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(rows.masked.tobytes())
    digest.update(json.dumps(rows.ids).encode())
    return digest.hexdigest()


class Behind(NamedTuple):
    """Who stands behind each trait, on the first-named side and on the other; old turns count less.

    Attributes:
        people: (2, T) people whose turns are not negligible.
        turns: (2, T) judged turns.
        pleased: (2, T) pleased judgments; a pair counts as one, and as a displeased one.
        displeased: (2, T) displeased judgments.
    """

    people: NDArray[np.int64]
    turns: NDArray[np.float64]
    pleased: NDArray[np.float64]
    displeased: NDArray[np.float64]


def behind(cell: Cell, speaks: NDArray[np.bool_]) -> Behind:
    """Count who stands behind each trait.

    Args:
        cell: The rows.
        speaks: (n, T) which rows say something of which trait.
    """
    rows, sides = cell.rows, (cell.first, ~cell.first)
    weight = rows.weight[:, None] * speaks
    pleased, displeased = rows.sat | rows.paired, ~rows.sat | rows.paired
    return Behind(
        np.stack([_people(rows.person[side], weight[side]) for side in sides]),
        np.stack([weight[side].sum(axis=0) for side in sides]),
        np.stack([weight[side & pleased].sum(axis=0) for side in sides]),
        np.stack([weight[side & displeased].sum(axis=0) for side in sides]),
    )


def _people(person: NDArray[np.int64], weight: NDArray[np.float64]) -> NDArray[np.int64]:
    names, of_whom = np.unique(person, return_inverse=True)
    turns = sum_by(of_whom.reshape(-1), weight, len(names))
    counted: NDArray[np.int64] = (turns >= NEGLIGIBLE).sum(axis=0)
    return counted
