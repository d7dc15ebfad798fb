"""How often do simulated attackers get an item served?

Run: python benchmarks/attacks.py [--attacks 300] [--json]

One person with 1 to 50 turns in groups of 5, 20 and 100; colluders of a tenth, just under a
fifth, and two fifths of groups of 20, 50 and 100, with as many turns as they like, once as the
settings are by default and once with ``colluders=0.2``. Served counts attacks after which the
trait they pushed is live; anything, those after which any item is (also one that goes with it,
or by chance: see the rows where nobody attacks); alarm, those after which what they pushed is
quarantined or refused with a reason. And the price: the share of truly different traits that is
served by itself with ``colluders`` set, in the worlds of `evidence.py`. For zeros the upper end
of the 95% interval is 3 / n. Everything is simulated.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from gpa_agent.rubrics.contrast import ContrastConfig
from gpa_agent.rubrics.gate import GateConfig
from gpa_agent.rubrics.records import Contrast
from gpa_agent.rubrics.weighing import weigh
from gpa_agent.testing.attackers import Attack
from gpa_agent.testing.worlds import GROUPS, PlantedWorld

TARGETS = ("lists", "length", "warmth", "analogies", "code_blocks")
SHARES = (0.0, 0.05, 0.1, 0.2)
WORLDS = {
    "200 people x 5": PlantedWorld(),
    "500 people x 10": PlantedWorld(people=500, answers=10),
    "40 people x 25, 4 divergent": PlantedWorld(people=40, answers=25, divergent=4),
}


class Count(NamedTuple):
    """Attacks that served what they pushed, that served anything, that raised an alarm, and all."""

    served: int
    anything: int
    alarm: int
    attacks: int

    @property
    def upper(self) -> float:
        """Upper end of the 95% interval of "anything live": 3 / n for zero, else Wilson's."""
        n, k, z = self.attacks, self.anything, 1.96
        if not k:
            return 3 / n
        centre = (k + z * z / 2) / (n + z * z)
        return centre + z * math.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)


def run(attacks: list[Attack], *, colluders: float) -> Count:
    """Run attacks, each with its own seed."""
    served = anything = alarm = 0
    for seed, attack in enumerate(attacks):
        outcome = attack.outcome(seed=seed, colluders=colluders)
        served += attack.target in outcome.served
        anything += bool(outcome.served)
        alarm += attack.target in outcome.quarantined + outcome.refused
    return Count(served, anything, alarm, len(attacks))


def alone(people: int, n: int) -> list[Attack]:
    """One attacker, from 1 to 50 turns."""
    return [
        Attack(
            people=people,
            turns=1 + i % 50,
            extreme=bool(i % 2),
            target=TARGETS[i % len(TARGETS)],
        )
        for i in range(n)
    ]


def together(people: int, share: float, n: int) -> list[Attack]:
    """Colluders: just under the share, loud and extreme in turns."""
    count = math.ceil(share * people) - 1 if share <= 0.2 else int(share * people)
    return [
        Attack(
            people=people,
            colluders=count,
            turns=(5, 20, 50)[i % 3],
            extreme=bool(i % 2),
            target=TARGETS[i % len(TARGETS)],
        )
        for i in range(n)
    ]


def price(world: PlantedWorld, seeds: int) -> list[float]:
    """Mean recall of what is served by itself, for each of SHARES."""
    recall = np.zeros((seeds, len(SHARES)))
    for seed in range(seeds):
        planted = world.sample(seed=seed)
        found = weigh(
            planted.observations,
            planted.traits,
            [Contrast(*GROUPS)],
            contrast_config=ContrastConfig(permutations=1999, bootstrap=50),
            gate_config=GateConfig(),
        )
        passed = [a for r in found.rubrics for a in r.aspects if a.status == "approved"]
        true = [a.evidence for a in passed if a.name in planted.divergent and a.evidence]
        for i, least in enumerate(SHARES):
            kept = sum(e.withstands >= max(least, 1 / world.people) for e in true)
            recall[seed, i] = kept / len(planted.divergent)
    return [float(x) for x in recall.mean(axis=0)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--attacks", type=int, default=300, help="of each kind")
    parser.add_argument("--seeds", type=int, default=10, help="of each world of the price")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    started, n = time.perf_counter(), args.attacks

    counts: dict[str, Count] = {}
    for people in (20, 100):
        nobody = [Attack(people=people, colluders=0)] * (n // 3)
        counts[f"nobody, group of {people}"] = run(nobody, colluders=0.0)
    for people in (5, 20, 100):
        counts[f"one person, group of {people}"] = run(alone(people, n // 3), colluders=0.0)
    for people in (20, 50, 100):
        for share in (0.1, 0.2, 0.4):
            for setting in (0.0, 0.2):
                name = f"{share:.0%} of a group of {people}, colluders={setting:g}"
                counts[name] = run(together(people, share, n // 3), colluders=setting)
    prices = {name: price(world, args.seeds) for name, world in WORLDS.items()}
    if args.json:
        print(
            json.dumps({"attacks": {k: [*c, c.upper] for k, c in counts.items()}, "recall": prices})
        )
        return
    console = Console()
    table = Table(title="Simulated attacks")
    for column in ("attack", "served", "anything live", "upper 95%", "alarm", "attacks"):
        table.add_column(column)
    for name, c in counts.items():
        table.add_row(
            name, str(c.served), str(c.anything), f"{c.upper:.1%}", str(c.alarm), str(c.attacks)
        )
    console.print(table)
    cost = Table(title="The price: recall of what is served by itself, by the setting colluders")
    for column in ("world", *(f"{s:g}" for s in SHARES)):
        cost.add_column(column)
    for name, row in prices.items():
        cost.add_row(name, *(f"{x:.2f}" for x in row))
    console.print(cost)
    console.print(f"{time.perf_counter() - started:.0f} s in all.")


if __name__ == "__main__":
    main()
