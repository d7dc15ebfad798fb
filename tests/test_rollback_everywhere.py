"""A decision about what is served reaches every running process at once, without a redeploy."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.ledger import AspectRow, Ledger, RunRow
from gpa_agent.rubrics.records import Aspect, ContrastModel, Rubric
from gpa_agent.settings import Settings

KEY = b"k" * 32
PROMISED = 2.0
"""Seconds in which a decision is served; half of it on a machine that has nothing else to do."""

SERVER = """
import sys, time
from pathlib import Path
from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.ledger import Ledger
from gpa_agent.settings import Settings

ledger = Ledger.open(sys.argv[1], people_key=b"k" * 32)
ws = Workspace(Path(sys.argv[2]), Settings(), ledger, HashingEncoder())
before = None
while True:
    rubric = ws.rubric(intent="poetry", group="novice")
    served = "+".join(sorted(a.name for a in rubric.aspects)) if rubric else ""
    if served != before:
        print(time.monotonic(), served, flush=True)
        before = served
    time.sleep(0.005)
"""
"""Serves, and says when it serves something else; ``time.monotonic`` is the machine's, not the
process's, on Linux and macOS."""


class Change(NamedTuple):
    """What a process has begun to serve.

    Attributes:
        at: When, in seconds of the machine's clock.
        served: Names of the live aspects, joined by a plus sign.
    """

    at: float
    served: str


class Server:
    """A process that serves."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def next(self) -> Change:
        """What it serves now; waits until it has changed."""
        assert self._process.stdout is not None
        at, _, served = self._process.stdout.readline().rstrip("\n").partition(" ")
        return Change(float(at), served)


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "ledger.sqlite")
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def ws(where: str, tmp_path: Path) -> Iterator[Workspace]:
    """The third process: it decides."""
    ledger = Ledger.open(where, people_key=KEY)
    with Workspace(tmp_path, Settings(), ledger, HashingEncoder()) as opened:
        opened.import_rubrics([rubric("haiku")])
        opened.import_rubrics([rubric("sonnet")])
        ledger.save_run(found("ode"))
        yield opened


@pytest.fixture
def servers(ws: Workspace, where: str, tmp_path: Path) -> Iterator[list[Server]]:
    del ws  # what they serve at first is there before them
    command = [sys.executable, "-c", SERVER, where, str(tmp_path)]
    with ExitStack() as stack:
        started: list[Server] = []
        for _ in range(2):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            started.append(Server(process))
        assert [server.next().served for server in started] == ["haiku+sonnet"] * 2
        yield started


def rubric(name: str) -> Rubric:
    aspect = Aspect(
        name=name,
        rating=3,
        interpretation="By hand.",
        guidance={"novice": f"Answer with a {name}."},
        status="live",
    )
    contrast = ContrastModel(group="novice", other="expert")
    return Rubric(intent="poetry", contrast=contrast, version=0, aspects=(aspect,))


def found(name: str) -> RunRow:
    """A run that found something, which waits to be approved."""
    aspect = rubric(name).aspects[0].model_copy(update={"status": "approved"})
    body = aspect.model_dump(mode="json")
    row = AspectRow("poetry", "novice", "expert", name, "approved", body)
    now = datetime.now(UTC)
    return RunRow("run", now, now, settings={}, summary={}, contrasts=(), aspects=(row,))


def test_every_process_serves_what_was_decided(ws: Workspace, servers: list[Server]) -> None:
    decisions: list[tuple[Callable[[], object], str]] = [
        (lambda: ws.rollback(intent="poetry", version=1), "haiku"),
        (lambda: ws.rollback(intent="poetry", version=2), "haiku+sonnet"),
        (lambda: ws.reject(intent="poetry", name="haiku"), "sonnet"),
        (lambda: ws.approve(intent="poetry"), "ode+sonnet"),
        (lambda: ws.rollback(intent="poetry", version=3), "haiku"),
    ]
    took: list[float] = []
    for decide, served in decisions:
        decided = time.monotonic()
        decide()
        for server in servers:
            change = server.next()
            assert change.served == served
            took.append(change.at - decided)
    print(f"served within {max(took):.2f} s")
    assert max(took) < PROMISED
