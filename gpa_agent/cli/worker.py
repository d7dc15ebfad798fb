"""``gpa worker``: learn from what a running app records, in a process of its own.

Everything it does can be done again, so stopping it is never wrong: the first signal lets it
finish what it is at, for ten seconds at most, and the second ends it at once. What was not done
waits in the ledger.
"""

import json
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from gpa_agent.cli.running import (
    DEFAULT_WORKSPACE,
    QuietOption,
    WorkspaceOption,
    guarded,
    note,
    progress_on_stderr,
)
from gpa_agent.errors import ServiceError

if TYPE_CHECKING:
    from gpa_agent.learning.worker import Worker, WorkReport

DRAIN_SECONDS = 10.0
"""How long what is in hand may take after the first signal."""
_STOPPING = f"ending what is in hand, within {DRAIN_SECONDS:g} s; again: at once\n".encode()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("worker", epilog="Example: gpa worker --workspace my.gpa")(worker)


@guarded
def worker(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Learn from all that waits, and end.")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    quiet: QuietOption = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line for what was done.")
    ] = False,
) -> None:
    """Learn from what a running app records, until it is stopped (SIGTERM or Ctrl-C).

    The app needs it only where it does not learn in its own process (learn="off"); several
    workers on one workspace do no harm.
    """
    from gpa_agent.learning.worker import Worker
    from gpa_agent.workspace import Workspace

    say = _say_json if json_ else _say
    with Workspace.open(workspace, create=False) as ws, progress_on_stderr(quiet=quiet) as progress:
        working = Worker(ws, progress=progress)
        if once:
            say(working.drain(wait_seconds=0))
            return
        stop = _stop_on_signals()
        if not quiet:
            note(f"learning from what is recorded in {workspace}; Ctrl-C ends it")
        _work(working, stop, ws.settings.work_seconds, say)


def _work(
    working: "Worker", stop: threading.Event, pause: float, say: "Callable[[WorkReport], None]"
) -> None:
    """Work until stopped; what fails is said once and tried again."""
    from gpa_agent.ledger import Busy

    said: set[type[ServiceError]] = set()
    while not stop.is_set():
        try:
            done = working.run_once()
        except ServiceError as error:  # another process is at it, the disk is full, the model down
            if type(error) not in said:
                said.add(type(error))
                note(f"waiting: {error}")
            stop.wait(pause)
            continue
        said &= {Busy}  # two workers meet now and then: no news
        if done.events or done.refined:
            say(done)
        else:
            stop.wait(pause)


def _stop_on_signals() -> threading.Event:
    """An event that the first SIGTERM or SIGINT sets; the second one ends the process."""
    stop = threading.Event()

    def stopped(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()
        os.write(2, _STOPPING)  # a signal may come in the middle of another line's printing
        late = threading.Timer(DRAIN_SECONDS, os._exit, [0])
        late.daemon = True
        late.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopped)
    return stop


def _say_json(done: "WorkReport") -> None:
    typer.echo(json.dumps(done.model_dump(mode="json")))


def _say(done: "WorkReport") -> None:
    weighed = f"; weighed everything: {done.live} items live" if done.refined else ""
    if done.to_approve:
        weighed += f", {done.to_approve} wait for `gpa rubrics approve`"
    failed = f", {done.failed} failed" if done.failed else ""
    typer.echo(
        f"handled {done.events} events: {done.judged} turns judged, {done.explained} explained"
        f"{failed}; {done.waiting} more wait{weighed}",
        err=True,
    )
