"""Contrasts that were tested before: only those whose rows changed are tested again.

A test depends on its rows, on what they were served, on their weights and on the settings, and
on nothing else (its permutations are seeded by its own name). A digest of all that is kept with
its figures; the same digest means the same figures, bit for bit. A row that is gone changes the
digest like a new one. The correction for everything that was tested runs over all of them anew,
and the links to people's preferences are made anew: what is kept names nobody.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from gpa_agent.ledger import Ledger
from gpa_agent.rubrics.cells import Cell, Families, fingerprint
from gpa_agent.rubrics.contrast import (
    ContrastConfig,
    ContrastResult,
    Sides,
    Support,
    run_cell,
    speaking_most,
)

CONTRAST_STAGE = "contrast"
"""Where they are kept."""
CONTRAST_VERSION = "contrast-1"
"""Changes when the same rows give other figures."""
_ARRAYS = ("effect", "interval", "slopes", "p", "g", "withstands", "family_p")


class KeptContrasts:
    """Tests contrasts, or remembers how they came out.

    Args:
        ledger: Where results are kept.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._before = ledger.stage_values(CONTRAST_STAGE, CONTRAST_VERSION)
        self._now: dict[str, bytes] = {}

    def test(self, cell: Cell, families: Families, config: ContrastConfig) -> ContrastResult:
        """As `run_cell`."""
        place = json.dumps([cell.intent, *cell.contrast])
        digest = fingerprint(cell, sorted(families.items()), config)
        kept = self._before.get(place)
        if kept is not None and json.loads(kept)["digest"] == digest:
            self._now[place] = kept
            return _read(cell, json.loads(kept))
        result = run_cell(cell, families, config)
        self._now[place] = _written(result, digest)
        return result

    @property
    def anew(self) -> int:
        """How many contrasts were not remembered."""
        return sum(self._before.get(place) != value for place, value in self._now.items())

    def keep(self) -> None:
        """Keep what was tested, and drop what nobody asked for any more."""
        if self._before.keys() - self._now.keys():
            rows = list(self._now.items())
            self._ledger.replace_stage_results(CONTRAST_STAGE, CONTRAST_VERSION, rows)
        elif changed := [(k, v) for k, v in self._now.items() if self._before.get(k) != v]:
            self._ledger.add_stage_results(CONTRAST_STAGE, CONTRAST_VERSION, changed)


def _written(result: ContrastResult, digest: str) -> bytes:
    body: dict[str, Any] = {name: getattr(result, name).tolist() for name in _ARRAYS}
    body |= {
        "digest": digest,
        "people": result.people,
        "turns": result.turns,
        "untested": result.untested,
        "traits": result.traits,
        "support": result.support,
        "families": result.families,
    }
    return json.dumps(body).encode()


def _read(cell: Cell, body: dict[str, Any]) -> ContrastResult:
    traits = len(body["traits"])
    arrays = {name: np.array(body[name], dtype=np.float64) for name in _ARRAYS}
    shapes = {"interval": (traits, 2), "slopes": (2, traits)}
    return ContrastResult(
        intent=cell.intent,
        contrast=cell.contrast,
        people=Sides(*body["people"]),
        turns=Sides(*body["turns"]),
        untested=body["untested"],
        traits=tuple(body["traits"]),
        support=tuple(Support(Sides(*people), Sides(*turns)) for people, turns in body["support"]),
        families=tuple(body["families"]),
        preferences=speaking_most(cell, body["traits"], arrays["effect"]),
        **{name: array.reshape(shapes.get(name, array.shape)) for name, array in arrays.items()},
    )
