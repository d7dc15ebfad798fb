"""How often does looking again and again find what is not there, and how soon what is?

Run: python -m benchmarks.looking_early [--runs 400] [--json]

Three things are looked at again and again. After every 25 judged turns the interval of the lift,
for whether it ever excludes what is true, beside an interval made for one look. After every 50 the
harm watch, for false alarms where serving does nothing, and for the delay after the tastes have
turned. And a log that grows is weighed anew with every portion: is anything ever live that does not
differ, and how much of what does, with and without waiting for more evidence
(`docs/decisions/0015-weighed-again-and-again.md`)? People are simulated: moods in log-odds, unequal
activity. A fourth of the runs goes to the watch, an eighth to the logs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from gpa_agent.learning.harm import ServedTurn, find_harm
from gpa_agent.learning.lift import ENOUGH
from gpa_agent.learning.publishing import KEEP_Q, only_live, settle
from gpa_agent.learning.ripening import Passing, passing_since, unripe
from gpa_agent.rubrics.contrast import ContrastConfig
from gpa_agent.rubrics.gate import GateConfig
from gpa_agent.rubrics.records import Contrast, Rubric
from gpa_agent.rubrics.sequential import Counts, difference, half_width
from gpa_agent.rubrics.weighing import weigh
from gpa_agent.testing.worlds import GROUPS as SIDES
from gpa_agent.testing.worlds import PlantedWorld

EVERY = 25
AT = datetime(2026, 1, 1, tzinfo=UTC)
GROUPS = frozenset({"0", "1"})


@dataclass(frozen=True, kw_only=True)
class App:
    """A simulated app. Satisfaction is given before and after the moment the tastes turn."""

    name: str
    people: int = 100
    held_out: float = 0.2
    mood: float = 0.5
    activity: float = 0.7
    tailored: tuple[float, float] = (0.6, 0.6)
    holdout: tuple[float, float] = (0.6, 0.6)
    turns: int = 4000
    turn_at: int = 1000


class Turns:
    """What one run of an app brought."""

    def __init__(self, app: App, rng: np.random.Generator) -> None:
        self.out = np.arange(app.people) < round(app.people * app.held_out)
        share = np.exp(rng.normal(0, app.activity, app.people))
        self.who = rng.choice(app.people, app.turns, p=share / share.sum())
        mood = rng.normal(0, app.mood, app.people)[self.who]
        after = (np.arange(app.turns) >= app.turn_at).astype(int)
        rate = np.where(
            self.out[self.who], np.array(app.holdout)[after], np.array(app.tailored)[after]
        )
        self.pleased = rng.random(app.turns) < 1 / (1 + np.exp(-np.log(rate / (1 - rate)) - mood))

    def counts(self, held_out: bool) -> Counts:
        """(looks, people) counts up to each look."""
        looks = np.arange(len(self.who)) // EVERY
        columns = self.out == held_out

        def so_far(what: NDArray[Any]) -> NDArray[np.float64]:
            sums = np.zeros((len(self.who) // EVERY, len(self.out)))
            np.add.at(sums, (looks, self.who), what)
            found: NDArray[np.float64] = sums.cumsum(axis=0)[:, columns]
            return found

        return Counts(so_far(self.pleased), so_far(np.ones(len(self.who))))

    def served(self) -> list[ServedTurn]:
        """The turns, as the harm watch takes them."""
        return [
            ServedTurn(AT, str(p % 2), 1, str(p), bool(self.out[p]), bool(pleased))
            for p, pleased in zip(self.who, self.pleased, strict=True)
        ]


def excluded(app: App, runs: int) -> dict[str, float]:
    """Shares of null runs in which 0 was ever excluded, and how much wider that interval is."""
    ever, naive, wider = [], [], []
    for run in range(runs):
        turns = Turns(app, np.random.default_rng(run))
        tailored, holdout = turns.counts(held_out=False), turns.counts(held_out=True)
        found = difference(tailored, holdout)
        half, one_look = half_width(found), 1.96 * found.error
        known = np.logical_and.reduce(
            [
                ((c.judged > 0).sum(1) >= ENOUGH.people) & (c.judged.sum(1) >= ENOUGH.turns)
                for c in (tailored, holdout)
            ]
        )
        ever.append(bool((np.abs(found.value) > half)[known].any()))
        naive.append(bool((np.abs(found.value) > one_look)[known].any()))
        wider.append(float(half[-1] / one_look[-1]))
    return {
        "ever": float(np.mean(ever)),
        "naive": float(np.mean(naive)),
        "wider": float(np.mean(wider)),
    }


def alarms(app: App, runs: int) -> dict[str, float]:
    """Share of runs with an alarm before the tastes turned and ever, and the delays after."""
    first = [next(_alarms(Turns(app, np.random.default_rng(run))), None) for run in range(runs)]
    rang = [at for at in first if at is not None]
    delays = [at - app.turn_at for at in rang if at > app.turn_at]
    median, late = np.percentile(delays, [50, 90]) if delays else (np.nan, np.nan)
    return {
        "before": sum(at <= app.turn_at for at in rang) / runs,
        "ever": len(rang) / runs,
        "median": float(median),
        "late": float(late),
    }


def _alarms(turns: Turns) -> Iterator[int]:
    served = turns.served()
    for look in range(2 * EVERY, len(served) + 1, 2 * EVERY):
        if find_harm(served[:look], GROUPS) is not None:
            yield look


class Log(NamedTuple):
    """A simulated log that comes in portions.

    Attributes:
        name: What to call it.
        world: Whose it is.
        looks: In how many portions it comes; all is weighed anew after each.
    """

    name: str
    world: PlantedWorld
    looks: int


class Went(NamedTuple):
    """What was live in one life of a log.

    Attributes:
        half: At the look at half of it.
        end: At the last look.
        ever: At any look.
    """

    half: frozenset[str]
    end: frozenset[str]
    ever: frozenset[str]


def found_at(log: Log, run: int) -> tuple[frozenset[str], list[Rubric]]:
    """What really differs, and what each look at a growing log finds."""
    planted = log.world.sample(seed=run)
    rows = planted.observations
    comes = np.random.default_rng([run, 1]).permutation(len(rows)) * log.looks // len(rows)
    found = [
        weigh(
            rows.select(comes <= look),
            planted.traits,
            [Contrast(*SIDES)],
            contrast_config=ContrastConfig(bootstrap=20),
            gate_config=GateConfig(),
        ).rubrics
        for look in range(log.looks)
    ]
    return planted.divergent, [rubric for rubrics in found for rubric in rubrics]


def went(found: Sequence[Rubric], *, waits: bool) -> Went:
    """Publish what each look finds, all colluders trusted."""
    live: Rubric | None = None
    before: Mapping[str, Passing] | None = None
    served: list[frozenset[str]] = []
    keep = GateConfig(max_q=KEEP_Q * GateConfig().max_q)
    for rubric in found:
        before = passing_since(rubric, before, now=AT)
        why = unripe(rubric, before, max_q=GateConfig().max_q, now=AT, half_life_days=None)
        settled = settle(
            rubric, live, publish="auto", held=(), unripe=why if waits else {}, keep=keep
        )
        live = only_live(settled, live)
        served.append(frozenset(a.name for a in live.aspects))
    return Went(served[len(served) // 2 - 1], served[-1], frozenset[str]().union(*served))


def opened(log: Log, runs: int) -> dict[str, float]:
    """Shares of what differs that are live, and of runs in which anything else ever is."""
    figures: dict[str, list[float]] = {}
    for run in range(runs):
        true, found = found_at(log, run)
        for waits, name in ((False, ""), (True, ", waiting")):
            life = went(found, waits=waits)
            figures.setdefault(f"false ever{name}", []).append(bool(life.ever - true))
            for when, names in (("half", life.half), ("end", life.end)):
                share = len(names & true) / len(true) if true else float("nan")
                figures.setdefault(f"{when}{name}", []).append(share)
    return {name: float(np.mean(values)) for name, values in figures.items()}


NULL = (
    App(name="100 people, 20 held out"),
    App(name="the same, moods 1.0, activity 1.0", mood=1.0, activity=1.0),
    App(name="400 people, 20 held out, moods 1.0", people=400, held_out=0.05, mood=1.0),
)
TURNED = (
    App(name="0.75 to 0.45, held out 0.75", tailored=(0.75, 0.45), holdout=(0.75, 0.75)),
    App(name="0.75 to 0.45, held out 0.60", tailored=(0.75, 0.45)),
    App(
        name="200 people, 0.75 to 0.45, held out 0.65",
        people=200,
        tailored=(0.75, 0.45),
        holdout=(0.65, 0.65),
    ),
    App(name="0.75 throughout, held out 0.60", tailored=(0.75, 0.75)),
)
LOGS = (
    Log(
        "nothing differs, 60 people x 12, 12 looks",
        PlantedWorld(people=60, answers=12, shuffled=True),
        12,
    ),
    Log(
        "nothing differs, 60 people x 20, 40 looks",
        PlantedWorld(people=60, answers=20, shuffled=True),
        40,
    ),
    Log(
        "2 of 30 differ, 60 people x 20, 40 looks",
        PlantedWorld(people=60, answers=20, divergent=2),
        40,
    ),
    Log("12 of 30 differ, 100 people x 10, 40 looks", PlantedWorld(people=100, answers=10), 40),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="simulated runs each")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    intervals = {app.name: excluded(app, options.runs) for app in NULL}
    watched = {app.name: alarms(app, max(1, options.runs // 4)) for app in (*NULL, *TURNED)}
    logs = {log.name: opened(log, max(1, options.runs // 8)) for log in LOGS}
    if options.json:
        print(json.dumps({"intervals": intervals, "watch": watched, "logs": logs}, indent=2))
        return
    for title, found in (
        ("the interval of the lift", intervals),
        ("the harm watch", watched),
        ("what is live of a log that grows", logs),
    ):
        table = Table("simulated", *next(iter(found.values())), title=title)
        for name, figures in found.items():
            table.add_row(name, *(f"{value:.3f}" for value in figures.values()))
        Console(width=110).print(table)


if __name__ == "__main__":
    main()
