"""Does the contrast find what was planted, and keep silent where nothing was?

Run: python benchmarks/evidence.py [--seeds 20] [--null-runs 50] [--json]

Simulated worlds whose truth is known (`gpa_agent.testing.worlds`): recall and share of false
discoveries of what passes the gate, beside two simpler statistics on the same worlds in the same
run: unadjusted (each trait on its own) and adjusted for one trait only. Then worlds in
which people were dealt to the groups at random. These figures say how the method behaves on
simulations; they are not a result about people.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from gpa_agent.rubrics.contrast import ContrastConfig
from gpa_agent.rubrics.gate import GateConfig
from gpa_agent.rubrics.observations import Observations
from gpa_agent.rubrics.permutation import p_values, permute_people
from gpa_agent.rubrics.records import Contrast
from gpa_agent.rubrics.scores import person_scores
from gpa_agent.rubrics.statistics import benjamini_hochberg
from gpa_agent.rubrics.weighing import weigh
from gpa_agent.testing.worlds import (
    GROUPS,
    Planted,
    PlantedWorld,
    recall_and_false_discoveries,
)

WORLDS = {
    "the promise: 12 of 30, 200 people x 5": PlantedWorld(),
    "500 people x 10": PlantedWorld(people=500, answers=10),
    "only 4 divergent": PlantedWorld(divergent=4),
    "everyone has a taste of their own": PlantedWorld(own_taste=0.3),
    "strongly correlated traits": PlantedWorld(factors=4, loading=1.0),
    "100 people x 3": PlantedWorld(people=100, answers=3),
}
PROMISED = {
    "the promise: 12 of 30, 200 people x 5": "recall >= 0.85, false <= 0.10",
    "500 people x 10": "recall >= 0.95",
}


class Score(NamedTuple):
    """Mean over seeds."""

    recall: float
    false: float


def ours(planted: Planted) -> list[str]:
    """What would be live."""
    found = weigh(
        planted.observations,
        planted.traits,
        [Contrast(*GROUPS)],
        contrast_config=ContrastConfig(bootstrap=100),
        gate_config=GateConfig(),
    )
    return [a.name for r in found.rubrics for a in r.aspects if a.status == "approved"]


def unadjusted(planted: Planted) -> list[str]:
    """Each trait on its own, people permuted, Benjamini-Hochberg at 0.05."""
    return _each(planted, planted.observations.values)


def adjusted_for_one(planted: Planted) -> list[str]:
    """The common half-measure: every trait adjusted for the first one (as for length)."""
    values = planted.observations.values
    control = values[:, [0]]
    slope = (control * values).sum(axis=0) / (control**2).sum()
    residual = values - control * slope
    residual[:, 0] = values[:, 0]
    return _each(planted, residual)


def _each(planted: Planted, values: NDArray[np.float64]) -> list[str]:
    rows: Observations = planted.observations
    first = np.array([g == GROUPS[0] for g in rows.group])
    p = np.empty(values.shape[1])
    for t in range(values.shape[1]):
        scores = person_scores(values[:, [t]], rows.sat, rows.paired, rows.person, first)
        dealt = permute_people(
            scores.adjusted,
            scores.weight,
            scores.first,
            permutations=1999,
            rng=np.random.default_rng(t),
        )
        p[t] = p_values(dealt)[0]
    q = benjamini_hochberg(p)
    return [trait.name for trait, value in zip(planted.traits, q, strict=True) if value <= 0.05]


def score(world: PlantedWorld, method: Callable[[Planted], list[str]], seeds: int) -> Score:
    """Mean recall and false discoveries over seeds."""
    rates = []
    for seed in range(seeds):
        planted = world.sample(seed=seed)
        rates.append(recall_and_false_discoveries(method(planted), planted.divergent))
    recall, false = np.mean(rates, axis=0)
    return Score(float(recall), float(false))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--null-runs", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    methods = {"unadjusted": unadjusted, "adjusted for one": adjusted_for_one, "ours": ours}
    figures: dict[str, dict[str, Score]] = {}
    started = time.perf_counter()
    for name, world in WORLDS.items():
        figures[name] = {m: score(world, f, args.seeds) for m, f in methods.items()}
    null = sum(
        bool(ours(replace(PlantedWorld(), shuffled=True).sample(seed=s)))
        for s in range(args.null_runs)
    )
    if args.json:
        print(json.dumps({"planted": figures, "null": [null, args.null_runs]}))
        return
    table = Table(title=f"Simulated worlds, mean of {args.seeds} seeds: recall / false discoveries")
    for column in ("world", *methods, "promised"):
        table.add_column(column)
    for name, row in figures.items():
        cells = [f"{s.recall:.2f} / {s.false:.2f}" for s in row.values()]
        table.add_row(name, *cells, PROMISED.get(name, ""))
    console = Console()
    console.print(table)
    console.print(
        f"Null worlds with anything live: {null} of {args.null_runs} (promised: at most 10%). "
        f"{time.perf_counter() - started:.0f} s in all."
    )


if __name__ == "__main__":
    main()
