"""Two workers on one server share the work; when one is killed the other does all of it."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.ledger import Ledger
from gpa_agent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

KEY = b"k" * 32
SAID = ("How do I sort a list?", "That is wrong, it fails.", "Perfect, that fixed it, thank you!")
CONVERSATIONS = 40
WORKER = """
import sys, time
from pathlib import Path
from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.learning.worker import Worker
from gpa_agent.ledger import Ledger
from gpa_agent.settings import Settings
folder, url = sys.argv[1:]
ledger = Ledger.open(url, people_key=b"k" * 32)
with Workspace(Path(folder), Settings(), ledger, HashingEncoder()) as ws:
    worker = Worker(ws)
    worker.handle()
    print("ready", flush=True)
    while True:
        handled = worker.handle().events
        if handled:
            print(handled, flush=True)
        time.sleep(0.02)
"""


@contextmanager
def working(folder: Path, url: str) -> Generator[subprocess.Popen[str]]:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", WORKER, str(folder), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def handled(process: subprocess.Popen[str]) -> int:
    """Kill a worker and tell how many events it had handled."""
    process.kill()
    assert process.stdout is not None
    return sum(map(int, process.stdout.read().split()))


def record(ledger: Ledger, start: int) -> None:
    for n in range(start, start + len(SAID)):
        for c in range(CONVERSATIONS):
            user = SAID[n % len(SAID)]
            ledger.record_turn(conversation=f"c{c}", key=str(n), user=user, assistant="sorted()")


def wait_until_done(ledger: Ledger) -> None:
    until = time.monotonic() + 60
    while ledger.count_events()["waiting"]:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_events_are_handled_once_and_none_is_lost_with_a_killed_worker(
    tmp_path: Path, postgres_url: str
) -> None:
    with (
        Ledger.open(postgres_url, people_key=KEY) as ledger,
        Workspace(tmp_path, Settings(), ledger, HashingEncoder()) as ws,
        working(tmp_path / "one", postgres_url) as one,
        working(tmp_path / "two", postgres_url) as two,
    ):
        record(ledger, 0)
        wait_until_done(ledger)
        record(ledger, 3)
        first = handled(one)
        record(ledger, 6)
        wait_until_done(ledger)
        second = handled(two)
        events = 3 * len(SAID) * CONVERSATIONS
        assert ledger.count_events() == {"waiting": 0, "done": events, "shed": 0, "failed": 0}
        assert min(first, second) > 0
        assert first + second <= events  # what was killed on the way was not counted by its worker
        assert not any(ledger.turns_to_judge(ws.satisfaction_reader().version))
