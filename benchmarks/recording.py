"""What does recording a turn cost, when does it cost it, and what if nobody learns from it?

Run: python -m benchmarks.recording [--rounds 300] [--json]

Every round streams one turn each way, in turn, from a scripted model that answers at once: the app
without us, ours without recording, ours with it, and ours with it while the worker of the same
process learns from a log without pause. *First token* is the time until the first chunk is out;
*after* the time from the last chunk to the end of the run, where recording happens (SQLite with
``synchronous=FULL``: the turn is on the disk). What recording adds is the difference to ours
without it in the same round. Then more turns than the queue holds are recorded, and no worker runs.

Promised: recording adds at most 5 ms p95 after the reply and nothing before the first token; the
queue never grows past its limit, and what was left out of it is counted and learned later.

Predicted before the first run: recording adds 1.5 ms p50 and 4 ms p95 after the reply; with the
worker learning beside it 3 ms and 15 ms, since Python runs one thread at a time; 0.0 ms before the
first token.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk, HumanMessage
from rich.console import Console
from rich.table import Table

from gpa_agent import GPAContext, GPAMiddleware, Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.testing.chat_world import ChatWorld
from gpa_agent.testing.world_logs import lines

QUESTION = "Why does my loop over the list skip every second element when I remove items in it?"
ANSWER = "Because the list moves under the iterator. Loop over a copy of it, or build a new list."
LIMIT = 300
"""Events that may wait, in the part about the queue."""


class Took(NamedTuple):
    """Milliseconds of one streamed turn.

    Attributes:
        first: Until the first chunk.
        after: From the last chunk to the end of the run.
    """

    first: float
    after: float


Run = Callable[[], Took]


def streamed(app: Any) -> Run:  # noqa: ANN401 -- any compiled graph
    """A run of one turn; every turn is a user's first in a conversation of its own."""
    numbers = count()

    def run() -> Took:
        number = next(numbers)
        who = GPAContext(user_id=f"u{number % 50}", group="novice", intent="debugging")
        config = {"configurable": {"thread_id": f"{id(numbers)}-{number}"}}
        given = {"messages": [HumanMessage(QUESTION)]}
        start = time.perf_counter()
        first = last = start
        for chunk, _ in app.stream(given, config, context=who, stream_mode="messages"):
            if isinstance(chunk, AIMessageChunk) and chunk.text:
                last = time.perf_counter()
                first = last if first == start else first
        return Took((first - start) * 1000, (time.perf_counter() - last) * 1000)

    return run


@contextmanager
def busy(ws: Workspace) -> Generator[None]:
    """Learn from everything, again and again, in a thread of this process."""
    stop = threading.Event()

    def learn() -> None:
        while not stop.is_set():
            ws.learn()

    thread = threading.Thread(target=learn)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def turns(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds of each way of running a turn, and what each adds."""
    model = ScriptedChatModel(script=[ANSWER])

    def agent(*middleware: Any) -> Run:  # noqa: ANN401 -- LangChain's generics say nothing here
        return streamed(create_agent(model, middleware=middleware, context_schema=GPAContext))

    with open_workspace(folder / "app") as ws:
        ways = {
            "the app without us": agent(),
            "ours, not recording": agent(GPAMiddleware(ws, record=False)),
            "ours, recording": agent(GPAMiddleware(ws, learn="off")),
        }
        taken = _measure(ways, rounds)
    with open_workspace(folder / "busy") as ws:
        log = folder / "log.jsonl"
        log.write_text("".join(lines(ChatWorld(people=100))), encoding="utf-8")
        ws.ingest(log)
        ws.learn()
        ways = {
            "ours, not recording, beside learning": agent(GPAMiddleware(ws, record=False)),
            "ours, recording, beside learning": agent(GPAMiddleware(ws, learn="off")),
        }
        with busy(ws):
            taken |= _measure(ways, rounds)
    beside = {
        "ours, not recording": "the app without us",
        "ours, recording": "ours, not recording",
        "ours, recording, beside learning": "ours, not recording, beside learning",
    }
    return [_figures(way, taken, beside.get(way)) for way in taken]


def _measure(ways: dict[str, Run], rounds: int) -> dict[str, np.ndarray[Any, Any]]:
    """(rounds, 2) milliseconds of each way; every second round runs backwards."""
    taken = {way: np.zeros((rounds, 2)) for way in ways}
    for run in ways.values():
        run()  # warm
    for number in range(rounds):
        for way in ways if number % 2 == 0 else reversed(ways):
            taken[way][number] = ways[way]()
    return taken


def _figures(
    way: str, taken: dict[str, np.ndarray[Any, Any]], beside: str | None
) -> dict[str, Any]:
    figures: dict[str, Any] = {"way": way, "beside": beside}
    for column, part in enumerate(Took._fields):
        own = taken[way][:, column]
        figures[f"{part}_p50_ms"], figures[f"{part}_p95_ms"] = _quantiles(own)
        if beside is not None:
            added = own - taken[beside][:, column]
            figures[f"{part}_added_p50_ms"], figures[f"{part}_added_p95_ms"] = _quantiles(added)
    return figures


def _quantiles(values: np.ndarray[Any, Any]) -> tuple[float, float]:
    p50, p95 = np.percentile(values, [50, 95])
    return float(p50), float(p95)


def queue(folder: Path) -> dict[str, Any]:
    """Record four times what may wait, with no worker; then learn from all of it."""
    with open_workspace(folder / "queue", queue_limit=LIMIT) as ws:
        app: Any = GPAMiddleware(ws, learn="off").wrap(ScriptedChatModel(script=[ANSWER]))
        took: list[float] = []
        for number in range(2 * LIMIT):
            who = {"thread_id": f"t{number}", "user_id": f"u{number % 50}", "group": "novice"}
            for text in (QUESTION, "Thanks, that helped!"):
                start = time.perf_counter()
                app.invoke({"messages": [HumanMessage(text)]}, {"configurable": who})
                took.append((time.perf_counter() - start) * 1000)
        waiting = ws.ledger.count_events()
        ws.learn()
        return {
            "turns": len(took),
            "limit": LIMIT,
            **waiting,
            "turn_p50_ms_first_limit": float(np.median(took[:LIMIT])),
            "turn_p50_ms_last_limit": float(np.median(took[-LIMIT:])),
            "judged_by_learn": ws.stats()["judgments"],
            "waiting_after_learn": ws.ledger.count_events()["waiting"],
        }


def open_workspace(folder: Path, **settings: Any) -> Workspace:  # noqa: ANN401 -- any setting
    """An empty workspace whose encoder costs nothing."""
    return Workspace.open(
        folder, groups=["novice", "expert"], encoder=HashingEncoder(), holdout=0.0, **settings
    )


def show(found: dict[str, Any]) -> None:
    table = Table(title="A streamed turn: before the first token, and after the last")
    parts = [f"{part}{what}" for part in Took._fields for what in ("_p50_ms", "_p95_ms")]
    parts += [f"{part}_added{what}" for part in Took._fields for what in ("_p50_ms", "_p95_ms")]
    for column in ("way", *parts):
        table.add_column(column.replace("_", " "))
    for row in found["turns"]:
        table.add_row(row["way"], *(f"{row[p]:.2f}" if p in row else "" for p in parts))
    console = Console(width=160)
    console.print(table)
    console.print(found["queue"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = {"turns": turns(Path(scratch), options.rounds), "queue": queue(Path(scratch))}
    if options.json:
        print(json.dumps(found))
    else:
        show(found)


if __name__ == "__main__":
    main()
