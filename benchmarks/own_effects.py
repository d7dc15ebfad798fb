"""Does a served block pass for a taste?

Run: python benchmarks/own_effects.py [--worlds 400] [--json]

Simulated apps that serve while they learn (`gpa_agent.testing.serving_world`): two groups want the
same; then most people of one are served a block that makes one trait frequent (its correlates
with it) and pleases much. Shares of true nulls with p <= 0.05, for the served trait, for traits
that come with it and for the others, by the contrast that takes no notice of what was served
(naive) and by the one that does; and how often a real difference is found. These figures say how
the method behaves on simulations; they are not a result about people.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from gpa_agent.rubrics.contrast import ContrastConfig, run_contrast
from gpa_agent.rubrics.observations import Observations
from gpa_agent.rubrics.records import Contrast
from gpa_agent.testing.serving_world import CORRELATES, SERVED, TRAITS, ServingWorld
from gpa_agent.testing.worlds import GROUPS, INTENT

QUICK = ContrastConfig(permutations=399, bootstrap=20)
PARTS = {
    "served": (SERVED,),
    "its correlates": CORRELATES,
    "others": tuple(range(4, TRAITS)),
}
REAL = "a real difference"


def naive(rows: Observations) -> Observations:
    """The same rows, without a word of what was served."""
    return replace(rows, stratum=np.zeros_like(rows.stratum), masked=np.zeros_like(rows.masked))


class Rate(NamedTuple):
    """How many tests were made, and how many of them have p <= 0.05."""

    rejected: int
    tested: int

    @property
    def share(self) -> float:
        """Nominally 0.05 of true nulls."""
        return self.rejected / self.tested


def rates(world: ServingWorld, *, worlds: int, served_known: bool) -> dict[str, Rate]:
    """Rejected nulls by part of the traits, and real differences found.

    Args:
        world: What to simulate.
        worlds: How often.
        served_known: Whether the contrast is told what was served.
    """
    differing = {CORRELATES[0]} if world.divergent else set[int]()
    parts = {part: set(traits) - differing for part, traits in PARTS.items()} | {REAL: differing}
    counts = {part: [0, 0] for part in parts}
    for seed in range(worlds):
        rows = world.sample(seed=seed)
        result = run_contrast(
            rows if served_known else naive(rows),
            intent=INTENT,
            contrast=Contrast(*GROUPS),
            families={},
            config=QUICK,
        )
        p = dict(zip(result.traits, result.p, strict=True))
        for part, traits in parts.items():
            tested = [p[t] for t in traits if t in p]
            counts[part][0] += sum(bool(value <= 0.05) for value in tested)
            counts[part][1] += len(tested)
    return {part: Rate(*count) for part, count in counts.items()}


WORLDS = {
    "nothing is served": ServingWorld(holdout=1.0),
    "one group is served": ServingWorld(),
    "from the first turn on": ServingWorld(before=0, people=100, holdout=0.2),
    "more of it pleases nobody more": ServingWorld(saturated=True, taste=0.7),
    "six versions, both groups": ServingWorld(versions=6, both=True),
    "a correlate really differs": ServingWorld(divergent=0.3),
    "the same, and nothing is served": ServingWorld(divergent=0.3, holdout=1.0),
    "old rows fade": ServingWorld(half_life=3.0),
    "few people": ServingWorld(people=25),
}


def _shown(by: Mapping[str, Mapping[str, Rate]], part: str) -> str:
    if not by["ours"][part].tested:
        return ""
    return f"{by['naive'][part].share:.3f} / {by['ours'][part].share:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    started = time.perf_counter()
    figures = {
        name: {
            how: rates(world, worlds=args.worlds, served_known=how == "ours")
            for how in ("naive", "ours")
        }
        for name, world in WORLDS.items()
    }
    if args.json:
        print(json.dumps(figures))
        return
    table = Table(title=f"True nulls with p <= 0.05, {args.worlds} simulated worlds: naive / ours")
    for column in ("world", *PARTS, REAL):
        table.add_column(column)
    for name, by in figures.items():
        table.add_row(name, *(_shown(by, part) for part in (*PARTS, REAL)))
    console = Console()
    console.print(table)
    console.print(f"{time.perf_counter() - started:.0f} s in all.")


if __name__ == "__main__":
    main()
