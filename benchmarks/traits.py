"""What the trait catalogue costs, and whether its traits say different things.

Run: python benchmarks/traits.py [--answers 20000] [--workers 2] [--json]

Time per answer on simulated answers of about 150 words, on one core and on several. Then,
for each corpus that GPA_DATA holds (PRISM's chosen and rejected answers, Arena-Hard's answers):
mean, spread, share of answers that have the trait at all, and its nearest relative.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from gpa_agent.rubrics.traits import FAMILIES, catalogue, measure_many
from gpa_agent.testing.answers import assemble, draw_recipe
from gpa_agent.testing.topics import topics

if TYPE_CHECKING:
    from numpy.typing import NDArray

Items = list[tuple[str, str]]
NAMES = [trait.name for trait in catalogue()]
DATA = Path(os.environ.get("GPA_DATA", Path(__file__).parents[2] / "shared" / "data"))
AT_LEAST = 100


class Row(NamedTuple):
    """One trait on one corpus."""

    name: str
    mean: float
    spread: float
    share: float
    """Of the answers that have it at all."""
    relative: str
    correlation: float
    """With its nearest relative."""


def simulated(count: int) -> Items:
    """Answers of about 150 words: simulated ones, short ones put together."""
    rng = Random(0)
    items: Items = []
    for i in range(count):
        topic = topics()[i % len(topics())]
        text = ""
        while len(text.split()) < AT_LEAST:
            text += assemble(topic, draw_recipe(rng), rng) + "\n\n"
        items.append((topic.asks[0], text))
    return items


def corpora() -> dict[str, Items]:
    """The research corpora that are there."""
    found: dict[str, Items] = {}
    prism, arena = DATA / "prism" / "pairs.jsonl", DATA / "arena_bench" / "answers.jsonl"
    if prism.exists():
        found["PRISM"] = [
            (row["question"], row[side]) for row in _rows(prism) for side in ("chosen", "rejected")
        ]
    if arena.exists():
        found["Arena-Hard"] = [(row["prompt"], row["answer"]) for row in _rows(arena)]
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


class Cost(NamedTuple):
    """Milliseconds an answer."""

    wall: float
    own: float
    """Processor time of this process, which a busy machine stretches less than wall time."""


def cost(items: Items, workers: int) -> Cost:
    """What measuring them all takes."""
    started, used = time.perf_counter(), time.process_time()
    for _ in measure_many(items, workers=workers):
        pass
    wall, own = time.perf_counter() - started, time.process_time() - used
    return Cost(wall / len(items) * 1000, own / len(items) * 1000)


def summary(values: NDArray[np.float64]) -> list[Row]:
    """One row per trait."""
    related = correlations(values)
    nearest = np.abs(related).argmax(axis=1)
    return [
        Row(
            name,
            float(values[:, i].mean()),
            float(values[:, i].std()),
            float((values[:, i] != 0).mean()),
            NAMES[int(nearest[i])],
            float(related[i, nearest[i]]),
        )
        for i, name in enumerate(NAMES)
    ]


def correlations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, T) correlations, 0 on the diagonal and where a trait never varies."""
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    standard = centred / np.where(spread > 0, spread, np.inf)
    related: NDArray[np.float64] = standard.T @ standard / len(values)
    np.fill_diagonal(related, 0.0)
    return related


def family_maxima(values: NDArray[np.float64]) -> dict[str, tuple[float, float]]:
    """Largest |r| within each family, and with traits of other families."""
    related = np.abs(correlations(values))
    maxima: dict[str, tuple[float, float]] = {}
    for family, members in FAMILIES.items():
        inside = np.isin(NAMES, members)
        maxima[family] = (
            float(related[np.ix_(inside, inside)].max()),
            float(related[np.ix_(inside, ~inside)].max()),
        )
    return maxima


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--answers", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    items = simulated(args.answers)
    words = float(np.mean([len(answer.split()) for _, answer in items]))
    costs = {n: cost(items, n) for n in (1, args.workers)}
    measured = {
        name: np.stack(list(measure_many(rows))).astype(np.float64)
        for name, rows in corpora().items()
    }
    if args.json:
        tables = {name: [row._asdict() for row in summary(v)] for name, v in measured.items()}
        print(json.dumps({"words": words, "ms_per_answer": costs, "corpora": tables}))
        return
    console = Console()
    console.print(f"{len(items)} simulated answers of {words:.0f} words:")
    for n, (wall, own) in costs.items():
        console.print(
            f"  {n} process(es): {wall:.3f} ms each ({own:.3f} ms of this process), "
            f"{wall * 100:.0f} s per 100,000; {costs[1].wall / wall:.2f} times one process's speed"
        )
    if not measured:
        console.print(f"No research data at {DATA}: set GPA_DATA.")
    for name, values in measured.items():
        console.print(_trait_table(name, values))
        console.print(_family_table(name, values))


def _trait_table(name: str, values: NDArray[np.float64]) -> Table:
    table = Table(
        "trait",
        "mean",
        "sd",
        "has it",
        "nearest relative",
        "r",
        title=f"{name}: {len(values)} answers",
    )
    for row in summary(values):
        table.add_row(
            row.name,
            f"{row.mean:.2f}",
            f"{row.spread:.2f}",
            f"{row.share:.0%}",
            row.relative,
            f"{row.correlation:+.2f}",
        )
    return table


def _family_table(name: str, values: NDArray[np.float64]) -> Table:
    table = Table("family", "max |r| within", "max |r| with others", title=f"{name}: families")
    for family, (within, across) in family_maxima(values).items():
        table.add_row(family, f"{within:.2f}", f"{across:.2f}")
    return table


if __name__ == "__main__":
    main()
