"""How long does embedded learning take, and how much memory, from raw log to live rubric?

Run: python benchmarks/learning.py [--sizes 1000,10000,100000] [--json]

Writes simulated logs of that many judged answers, learns each from nothing in a process of its
own (ingest, explain, measure, contrast with all permutations, publish) and prints wall time and
peak memory. Beside it, in the same run: the floor, a process that only reads the same file's JSON
and stores its lines in SQLite. The records name group and intent and carry judgments, so no
sentence has to be encoded but those that train the classifiers.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from gpa_agent.testing.chat_world import ChatWorld

PROMISE = "100,000 judged answers in at most 120 s and 1.5 GiB on two cores"

LEARN = """
import json, resource, sys, time
started = time.perf_counter()
from gpa_agent import Workspace
with Workspace.open(sys.argv[2], holdout=0.0) as ws:
    ws.ingest(sys.argv[1])
    report = ws.learn()
    live = sum(a.status == "live" for r in report.rubrics for a in r.aspects)
    stages = {k: round(s.seconds, 1) for k, s in report.stages.items()}
    judged = ws.stats()["judgments"]
own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"seconds": time.perf_counter() - started, "mib": own / 1024,
                  "worker_mib": workers / 1024, "live": live, "judged": judged, "stages": stages}))
"""
FLOOR = """
import json, resource, sqlite3, sys, time
started = time.perf_counter()
db = sqlite3.connect(sys.argv[2])
db.execute("create table line (id text primary key, body text)")
with open(sys.argv[1], encoding="utf-8") as f, db:
    db.executemany("insert into line values (?, ?)", ((json.loads(l)["id"], l) for l in f))
mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": time.perf_counter() - started, "mib": mib}))
"""


class Figures(NamedTuple):
    """One size."""

    answers: int
    ours: dict[str, float]
    floor: dict[str, float]


def write_log(path: Path, answers: int) -> int:
    """Write a simulated log with that many judged answers."""
    people = max(10, answers // 20)
    world = replace(ChatWorld(), people=people, conversations=10, answers=(1, 1), explicit=1.0)
    written = 0
    with path.open("w", encoding="utf-8") as file:
        for record in world.log():
            if written >= answers:
                break
            file.write(json.dumps(record) + "\n")
            written += sum("judgment" in m for m in record["messages"])
    return written


def run(program: str, *arguments: str) -> dict[str, float]:
    """Run a program in a process of its own and read the JSON it prints last."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results: list[Figures] = []
    for size in map(int, args.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log.jsonl"
            write_log(log, size)
            floor = run(FLOOR, str(log), str(Path(folder) / "floor.sqlite"))
            ours = run(LEARN, str(log), str(Path(folder) / "ws.gpa"))
            results.append(Figures(size, ours, floor))
    if args.json:
        print(json.dumps([r._asdict() for r in results]))
        return
    table = Table(title="Embedded learning from a simulated log")
    for column in ("judged answers", "seconds", "peak MiB", "floor s", "ratio", "stages", "live"):
        table.add_column(column)
    for r in results:
        table.add_row(
            f"{r.ours['judged']:,.0f}",
            f"{r.ours['seconds']:.1f}",
            f"{r.ours['mib']:.0f} + {r.ours['worker_mib']:.0f} a worker",
            f"{r.floor['seconds']:.1f}",
            f"{r.ours['seconds'] / r.floor['seconds']:.1f}",
            str(r.ours["stages"]),
            f"{r.ours['live']:.0f}",
        )
    console = Console()
    console.print(table)
    console.print(f"Promise: {PROMISE}.")


if __name__ == "__main__":
    main()
