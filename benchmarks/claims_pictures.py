"""Draws the counterparts of the paper's Figures 4, 5 and 6 from simulated runs.

Run: python -m benchmarks.claims_pictures [--seeds 20] [--out docs/pictures] [--quick] [--json]

Simulated users, simulated model, the truth known (see `benchmarks.claims`). Each picture is a file:

- ``intents.png`` (Figure 4): the same logs with their intents, and with all intents named alike.
- ``flips.png`` (Figure 5): items live where a share of people is put into the other group.
- ``growth.png`` (Figure 6): items live, and their agreement with those of the full log, from 100
  to 2,000 conversations.

Bars and lines are means over seeds; what is drawn around them are 95% intervals of the mean
(bootstrap over seeds).

Predicted before the first run: with intents named alike 0.45 of what is planted is found, and 0.45
of what is served in an intent is wrong there; 11.5 items live, 8 at 10% flipped, 3 at 25%, 0.05 at
50%, while the rating alone keeps half of its items at 50%; at 1,000 conversations 85% of
the full log's items.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt

from benchmarks.claims import (
    DEFAULT,
    InThread,
    Served,
    by_rating,
    heard_of,
    is_right,
    jaccard,
    ours,
    simulated,
    wishes_of,
)
from gpa_agent.learning.cases import Heard, Turn
from gpa_agent.testing.voiced_world import VoicedWorld

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIMULATED = "simulated users, simulated model"
FLIPPED = (0.0, 0.1, 0.25, 0.5)
CONVERSATIONS = (100, 200, 400, 700, 1000, 1400, 2000)
ALL = "all"
"""The one intent of a log whose intents are all named alike."""
BLUE, GREY, ORANGE = "#2b6cb0", "#a0aec0", "#dd6b20"


class Interval(NamedTuple):
    """A mean over seeds and its 95% interval."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float]) -> Interval:
    """Mean and percentile bootstrap over seeds; all the same for one value."""
    found = np.asarray(values, float)
    draws = np.random.default_rng(0).choice(found, (2000, len(found))).mean(axis=1)
    return Interval(float(found.mean()), *(float(q) for q in np.percentile(draws, [2.5, 97.5])))


def by_intent(seeds: int, people: int) -> dict[str, dict[str, Interval]]:
    """Shares of planted differences found, and of what is served wrongly, both ways."""
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        world, heard = VoicedWorld(seed=seed, people=people), heard_of(seed, people)
        for way, log in (("as they are", heard), ("named alike", alike(heard))):
            items = ours(log, world, InThread(simulated(0.0)))
            placed = [(item, intent) for item in items for intent in _intents_of(item, world)]
            right = {
                (intent, wish)
                for item, intent in placed
                if is_right(item, world, intent)
                for wish in wishes_of(item)
            }
            planted = sum(len(world.planted(i, *world.groups)) for i in world.intents)
            wrong = sum(not is_right(item, world, intent) for item, intent in placed)
            found.setdefault(f"found, {way}", []).append(len(right) / planted)
            found.setdefault(f"wrong, {way}", []).append(wrong / max(1, len(placed)))
    return {
        share: {way: interval(found[f"{share}, {way}"]) for way in ("as they are", "named alike")}
        for share in ("found", "wrong")
    }


def alike(heard: Heard) -> Heard:
    """The same turns as if their log named one intent."""

    def pooled(part: dict[str, list[Turn]]) -> dict[str, list[Turn]]:
        return {ALL: [turn for turns in part.values() for turn in turns]}

    return replace(heard, finding=pooled(heard.finding), testing=pooled(heard.testing))


def _intents_of(item: Served, world: VoicedWorld) -> tuple[str, ...]:
    return world.intents if item.intent == ALL else (item.intent,)


def by_flips(seeds: int, people: int) -> dict[str, list[Interval]]:
    """Items live at each share of people in the other group."""
    kept: dict[str, list[Interval]] = {"ours": [], "rating alone": []}
    for share in FLIPPED:
        lists: dict[str, list[float]] = {"ours": [], "rating alone": []}
        for seed in range(seeds):
            world = VoicedWorld(seed=seed, people=people)
            log = flipped(heard_of(seed, people), world, share)
            engine = InThread(simulated(0.0))
            lists["ours"].append(len(ours(log, world, engine)))
            lists["rating alone"].append(len(by_rating(log, world, engine)))
        for name, values in lists.items():
            kept[name].append(interval(values))
    return kept


def flipped(heard: Heard, world: VoicedWorld, share: float) -> Heard:
    """That share of people of each group, by lot, put into the other group."""
    rng = np.random.default_rng([world.seed, int(100 * share)])
    moved = {
        (g, int(n))
        for g in range(len(world.groups))
        for n in rng.permutation(world.people)[: round(share * world.people)]
    }
    first, second = world.groups

    def turned(turn: Turn) -> Turn:
        other = second if turn.group == first else first
        return turn._replace(group=other) if _whose(turn) in moved else turn

    return _each(heard, lambda turns: [turned(t) for t in turns])


def _whose(turn: Turn) -> tuple[int, int]:
    """Group and number of a simulated person, from the id of the conversation."""
    _, _, group, number, _ = turn.input_id.split(":")[1].split("-")
    return int(group), int(number)


def _each(heard: Heard, change: Callable[[list[Turn]], list[Turn]]) -> Heard:
    parts = ({i: change(t) for i, t in p.items()} for p in (heard.finding, heard.testing))
    finding, testing = parts
    return replace(heard, finding=finding, testing=testing)


def by_size(seeds: int, sizes: Sequence[int]) -> dict[str, list[Interval]]:
    """Items live, and their agreement with those of the largest log, as it grows by people."""
    a_person = len(VoicedWorld.groups) * VoicedWorld.conversations
    people = math.ceil(sizes[-1] / a_person)
    live: list[list[float]] = [[] for _ in sizes]
    agreed: list[list[float]] = [[] for _ in sizes]
    for seed in range(seeds):
        world, heard = VoicedWorld(seed=seed, people=people), heard_of(seed, people)
        lists = [
            ours(_first(heard, size // a_person), world, InThread(simulated(0.0))) for size in sizes
        ]
        for n, items in enumerate(lists):
            live[n].append(len(items))
            agreed[n].append(jaccard(items, lists[-1]))
    return {"live": [*map(interval, live)], "agreement": [*map(interval, agreed)]}


def _first(heard: Heard, people: int) -> Heard:
    return _each(heard, lambda turns: [t for t in turns if _whose(t)[1] < people])


def draw_intents(figures: dict[str, dict[str, Interval]], out: Path, seeds: int) -> None:
    """Figure 4's counterpart."""
    figure, axes = plt.subplots(1, 2, figsize=(7, 3.4), sharey=True)
    titles = {
        "found": "planted differences found",
        "wrong": "served items that are wrong",
    }
    for axis, (share, ways) in zip(axes, figures.items(), strict=True):
        axis.bar(
            [f"intents\n{way}" for way in ways],
            [w.mean for w in ways.values()],
            yerr=_errors(ways.values()),
            color=[BLUE, GREY],
            width=0.6,
            capsize=4,
        )
        for x, w in enumerate(ways.values()):
            axis.text(x, w.high + 0.02, f"{w.mean:.2f}", ha="center")
        axis.set_title(titles[share], fontsize=10)
        axis.set_ylim(0, 1.12)
    axes[0].set_ylabel("share (0 to 1)")
    _save(figure, axes, out / "intents.png", "What intents are worth", seeds)


def draw_flips(figures: dict[str, list[Interval]], out: Path, seeds: int) -> None:
    """Figure 5's counterpart."""
    figure, axis = plt.subplots(figsize=(7, 3.6))
    x = np.arange(len(FLIPPED))
    styles = {"ours": (BLUE, -0.2, "tested (ours)"), "rating alone": (GREY, 0.2, "rating alone")}
    for name, (colour, at, label) in styles.items():
        means = [i.mean for i in figures[name]]
        axis.bar(
            x + at, means, 0.38, yerr=_errors(figures[name]), color=colour, capsize=3, label=label
        )
        for place, i in zip(x + at, figures[name], strict=True):
            axis.text(place, i.high + 0.25, f"{i.mean:.1f}", ha="center", fontsize=9)
    axis.set_xticks(x, [f"{share:.0%}" for share in FLIPPED])
    axis.set_xlabel("people put into the other group (50%: dealt at random)")
    axis.set_ylabel("items that would be live")
    axis.set_ylim(0, max(i.high for row in figures.values() for i in row) * 1.15)
    axis.legend(frameon=False)
    _save(figure, [axis], out / "flips.png", "Wrong groups", seeds)


def draw_growth(
    figures: dict[str, list[Interval]], sizes: Sequence[int], out: Path, seeds: int
) -> None:
    """Figure 6's counterpart."""
    figure, axes = plt.subplots(1, 2, figsize=(7, 3.4))
    labels = {"live": "items live", "agreement": "agreement with full log (Jaccard)"}
    for axis, (name, row), colour in zip(axes, figures.items(), (BLUE, ORANGE), strict=True):
        axis.plot(sizes, [i.mean for i in row], "o-", color=colour, markersize=4)
        axis.fill_between(
            sizes, [i.low for i in row], [i.high for i in row], color=colour, alpha=0.2, lw=0
        )
        axis.set_xlabel("conversations")
        axis.set_ylabel(labels[name])
        axis.set_ylim(bottom=0)
    axes[0].axhline(12, color=GREY, ls="--", lw=1)
    axes[0].text(sizes[0], 12.15, "planted", color="#4a5568", fontsize=9)
    axes[0].set_ylim(0, 13.5)
    axes[1].set_ylim(0, 1.05)
    _save(figure, axes, out / "growth.png", "How many conversations it takes", seeds)


def _errors(intervals: Iterable[Interval]) -> list[list[float]]:
    rows = list(intervals)
    return [[i.mean - i.low for i in rows], [i.high - i.mean for i in rows]]


def _save(figure: Any, axes: Iterable[Axes], path: Path, title: str, seeds: int) -> None:  # noqa: ANN401 -- Figure, or SubFigure by release
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{title}: {SIMULATED}, {seeds} seeds", fontsize=11)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--quick", action="store_true", help="two seeds of small worlds")
    parser.add_argument("--json", action="store_true", help="print what is drawn")
    args = parser.parse_args()
    seeds, people = (2, 30) if args.quick else (args.seeds, DEFAULT)
    sizes = (80, 160, 240) if args.quick else CONVERSATIONS
    intents, flips = by_intent(seeds, people), by_flips(seeds, people)
    growth = by_size(seeds, sizes)
    draw_intents(intents, args.out, seeds)
    draw_flips(flips, args.out, seeds)
    draw_growth(growth, sizes, args.out, seeds)
    if args.json:
        print(json.dumps({"intents": intents, "flips": flips, "sizes": sizes, "growth": growth}))


if __name__ == "__main__":
    main()
