"""Is anything lost, learned twice or half published when processes are killed at any moment?

Run: python -m benchmarks.kills [--kills 200] [--each 20] [--seed 0] [--way 0..3] [--json]

An app under load serves turns in three threads, takes logs in between and learns, with the worker
in its own process or in a second one, with the embedded engine or with a (simulated) chat model.
It is killed with SIGKILL: at random moments, or a few milliseconds after the worker says what it is
at, so that every stage is hit. A client sends again what was never acknowledged, as clients do.
After some kills the rest is worked off, and everything that must be true is looked at
(`benchmarks.kill_checks`): beside the ledger that was killed stands one that took the same turns,
logs and thumbs in peace.

Predicted before the first run: nothing lost, nothing twice, nothing half, in 200 kills (so, at 95%,
less than 1.5 in 100 kills); half of the kills find the worker in the middle of a refinement.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.connection
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.kill_checks import faults
from benchmarks.killed_app import Engine, Load, Said, open_workspace, serve, work

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

LONGEST = 4.0
"""Seconds an app lives at most, once it serves."""
PATIENCE = 60.0
"""Seconds it may take to serve at all."""

FORKS = multiprocessing.get_context("forkserver")
"""Children are forked from a process that has loaded everything, so that a life takes no second
to begin; it has no thread and no open ledger."""
FORKS.set_forkserver_preload(
    [
        *("benchmarks.killed_app", "gpa_agent.learning.embedded", "gpa_agent.learning.modelled"),
        *("gpa_agent.learning.teaching", "sklearn.linear_model", "scipy.stats"),
    ]
)


class Way(NamedTuple):
    """How the app learns.

    Attributes:
        engine: Which engine.
        apart: Whether the worker is a process of its own.
    """

    engine: Engine
    apart: bool

    def __str__(self) -> str:
        return f"{self.engine}, worker {'apart' if self.apart else 'in the app'}"


WAYS = (
    Way("embedded", apart=False),
    Way("embedded", apart=True),
    Way("model", apart=False),
    Way("model", apart=True),
)


@dataclass(kw_only=True)
class Heard:
    """What the processes said, over all their lives."""

    answered: dict[str, Said] = field(default_factory=dict[str, Said])
    """Acknowledged turns, by key."""
    thumbs: dict[str, Said] = field(default_factory=dict[str, Said])
    """Acknowledged thumbs, by conversation."""
    logs: set[int] = field(default_factory=set[int])
    """Acknowledged logs."""
    begun: dict[str, Said] = field(default_factory=dict[str, Said])
    """What was begun and not acknowledged."""
    visits: int = 0
    """Visits begun."""
    log_number: int = 0
    """Logs begun."""
    stage: str = "idle"
    """What the worker said last."""
    broken: list[str] = field(default_factory=list[str])
    """What went wrong without being killed."""

    def rests(self) -> None:
        """A new worker has not begun yet."""
        self.stage = "idle"

    def hear(self, said: Said) -> None:
        """Take in what was said."""
        name = f"{said.what[:6]}/{said.subject}/{said.key}"
        match said.what:
            case "asks":
                self.begun[said.key] = said
                self.visits = max(self.visits, said.visit + 1)
            case "answered":
                self.begun.pop(said.key, None)
                self.answered[said.key] = said
            case "judges":
                self.begun[f"thumb/{said.subject}"] = said
            case "judged":
                self.begun.pop(f"thumb/{said.subject}", None)
                self.thumbs[said.subject] = said
            case "ingests":
                self.begun[f"log/{said.subject}"] = said
                self.log_number = max(self.log_number, int(said.subject) + 1)
            case "ingested":
                self.begun.pop(f"log/{said.subject}", None)
                self.logs.add(int(said.subject))
            case "stage":
                self.stage = said.subject
            case "broken":
                self.broken.append(f"{name}: {said}")


class Tally(NamedTuple):
    """What a number of kills came to.

    Attributes:
        kills: Processes killed.
        at: What the worker was at when it, or the app around it, was killed.
        answered: Turns acknowledged.
        sent_again: Turns, logs and thumbs that a kill cut off.
        versions: Rubric versions published.
        faults: What was not as it must be.
    """

    kills: int
    at: Counter[str]
    answered: int
    sent_again: int
    versions: int
    faults: tuple[str, ...]


class Life:
    """One app, and its worker, from start to kill.

    Args:
        load: What it does.
        apart: Whether the worker is a process of its own.
    """

    def __init__(self, load: Load, *, apart: bool) -> None:
        self.pipes: list[Connection] = []
        self.processes: list[BaseProcess] = []
        for target in (serve, work) if apart else (serve,):
            ours, theirs = FORKS.Pipe(duplex=False)
            process = FORKS.Process(target=target, args=(load, theirs))
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)

    def listen(self, heard: Heard, seconds: float) -> None:
        """Take in what is said for a while.

        Args:
            heard: Where it goes.
            seconds: How long to wait at most for something to be said.
        """
        for pipe in multiprocessing.connection.wait(self.pipes, timeout=seconds):
            try:
                heard.hear(Said(*json.loads(pipe.recv_bytes())))  # type: ignore[union-attr]
            except (EOFError, OSError):
                self.pipes.remove(pipe)  # type: ignore[arg-type]

    def listen_for(self, heard: Heard, seconds: float) -> None:
        """Take in what is said until a time is over."""
        deadline = time.monotonic() + seconds
        while self.pipes and (left := deadline - time.monotonic()) > 0:
            self.listen(heard, left)

    def kill(self, heard: Heard, rng: Random) -> int:
        """Kill its processes, one a while after the other, and take in their last words."""
        order = sorted(self.processes, key=lambda _: rng.random())
        for process in order:
            process.kill()
            process.join()
            self.listen_for(heard, 0.3 * rng.random() if process is not order[-1] else 0.0)
        while self.pipes:
            self.listen(heard, 10.0)
        return len(order)


def kill_often(folder: Path, way: Way, kills: int, seed: int) -> Tally:
    """Kill one workspace's app a number of times, then look at what is left.

    Args:
        folder: The workspace.
        way: How it learns.
        kills: How many lives are ended.
        seed: When.
    """
    rng, heard, at, sent_again = Random(seed), Heard(), Counter[str](), 0
    open_workspace(folder, way.engine).close()
    done = 0
    while done < kills:
        again = tuple(heard.begun.values())
        sent_again += len(again)
        load = Load(
            folder=str(folder),
            engine=way.engine,
            first_visit=heard.visits,
            first_log=heard.log_number,
            again=again,
            works=not way.apart,
        )
        life = Life(load, apart=way.apart)
        _wait(life, heard, rng)
        at[heard.stage] += 1
        done += life.kill(heard, rng)
    with open_workspace(folder, way.engine) as ws:
        ws.catch_up()
        versions = sum(rubric.version for rubric in ws.rubrics())
    found = [*heard.broken, *faults(folder, way.engine, heard.answered, heard.thumbs, heard.logs)]
    return Tally(done, at, len(heard.answered), sent_again, versions, tuple(found))


def _wait(life: Life, heard: Heard, rng: Random) -> None:
    """Let it live: until a random moment, or until the worker has just said what it is at."""
    before = len(heard.answered) + len(heard.logs)
    heard.rests()
    give_up = time.monotonic() + PATIENCE
    while len(heard.answered) + len(heard.logs) == before and not heard.broken:
        life.listen(heard, 1.0)
        if not life.pipes or time.monotonic() > give_up:
            heard.broken.append(f"nothing acknowledged in {PATIENCE:g} seconds, or it died")
    aimed = rng.random() < 0.5
    deadline = time.monotonic() + LONGEST * (1.0 if aimed else rng.random())
    wanted = rng.choice(("judge", "explain", "measure", "contrast", "contrast, done"))
    while (left := deadline - time.monotonic()) > 0 and not heard.broken:
        life.listen(heard, left)
        if aimed and heard.stage == wanted:
            time.sleep(0.03 * rng.random() ** 2)
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=200, help="in all")
    parser.add_argument("--each", type=int, default=20, help="per workspace")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--way", type=int, choices=range(len(WAYS)), help="only this one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    tallies: dict[str, list[Tally]] = {}
    left, number = options.kills, 0
    while left > 0:
        way = WAYS[number % len(WAYS) if options.way is None else options.way]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "ws"
            tally = kill_often(folder, way, min(options.each, left), options.seed + number)
        tallies.setdefault(str(way), []).append(tally)
        done = options.kills - max(left - tally.kills, 0)
        print(f"{way}: {done} of {options.kills} killed", file=sys.stderr)
        left -= tally.kills
        number += 1
    found: dict[str, Any] = {
        "seed": options.seed,
        "ways": {way: _summed(some)._asdict() for way, some in tallies.items()},
        "all": _summed([t for some in tallies.values() for t in some])._asdict(),
    }
    if options.json:
        print(json.dumps(found))
    else:
        show(found)


def _summed(tallies: list[Tally]) -> Tally:
    return Tally(
        kills=sum(t.kills for t in tallies),
        at=sum((t.at for t in tallies), Counter[str]()),
        answered=sum(t.answered for t in tallies),
        sent_again=sum(t.sent_again for t in tallies),
        versions=sum(t.versions for t in tallies),
        faults=tuple(fault for t in tallies for fault in t.faults),
    )


def show(found: dict[str, Any]) -> None:
    table = Table(title=f"Killed with SIGKILL under load (seed {found['seed']})")
    for column in ("way", "kills", "acknowledged", "cut off", "versions", "faults", "killed at"):
        table.add_column(column)
    for way, tally in {**found["ways"], "all": found["all"]}.items():
        figures = (tally[k] for k in ("kills", "answered", "sent_again", "versions"))
        stages = ", ".join(f"{stage} {n}" for stage, n in tally["at"].most_common(6))
        table.add_row(way, *map(str, figures), str(len(tally["faults"])), stages)
    console = Console(width=140)
    console.print(table)
    for fault in found["all"]["faults"]:
        console.print(f"FAULT: {fault}", markup=False)


if __name__ == "__main__":
    main()
