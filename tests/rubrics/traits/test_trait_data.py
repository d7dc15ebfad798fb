"""On real answers: no trait is another's double, none is dead, none is ruled by outliers."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gpa_agent.rubrics.traits import catalogue, measure_many

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.data

DATA = Path(os.environ.get("GPA_DATA", Path(__file__).parents[4] / "shared" / "data"))
NAMES = [trait.name for trait in catalogue()]
RARE = {"emoji", "tables", "links", "headings", "bold", "inline_code", "code_blocks"}


@cache
def _measured(corpus: str) -> NDArray[np.float64]:
    path = DATA / {"prism": "prism/pairs.jsonl", "arena": "arena_bench/answers.jsonl"}[corpus]
    if not path.exists():
        pytest.skip(f"no research data at {path}: set GPA_DATA")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    if corpus == "prism":
        items = [(r["question"], r[side]) for r in rows for side in ("chosen", "rejected")]
    else:
        items = [(r["prompt"], r["answer"]) for r in rows]
    return np.stack(list(measure_many(items, workers=1))).astype(np.float64)


@pytest.mark.parametrize("corpus", ["prism", "arena"])
def test_no_trait_doubles_another(corpus: str) -> None:
    values = _measured(corpus)
    varying = values.std(axis=0) > 0
    correlation = np.asarray(np.corrcoef(values[:, varying].T)) - np.eye(int(varying.sum()))
    assert np.abs(correlation).max() <= 0.85


def test_every_trait_varies_somewhere() -> None:
    spread = np.maximum(_measured("prism").std(axis=0), _measured("arena").std(axis=0))
    share = np.maximum(
        (_measured("prism") != 0).mean(axis=0), (_measured("arena") != 0).mean(axis=0)
    )
    dead = {n for n, s, p in zip(NAMES, spread, share, strict=True) if s < 0.05 or p < 0.01}
    assert dead <= RARE


def test_longer_answers_with_more_list_items_were_preferred_on_prism() -> None:
    # Measured apart from this code, in standard deviations: log words +0.44, list items +0.34.
    values = _measured("prism")
    difference = (values[0::2] - values[1::2]).mean(axis=0) / np.where(
        values.std(axis=0) > 0, values.std(axis=0), 1.0
    )
    by_name = dict(zip(NAMES, difference.tolist(), strict=True))
    assert by_name["length"] == pytest.approx(0.44, abs=0.08)
    assert by_name["lists"] == pytest.approx(0.34, abs=0.08)
    assert by_name["first_person"] == pytest.approx(-0.14, abs=0.05)
