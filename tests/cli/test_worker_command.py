"""``gpa worker``: learns from what waits, ends when told to, and never in the middle of nothing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gpa_agent.workspace import Workspace
from tests.cli.support import Invoke, environment

SAID = ("Why does my loop never end?", "That is wrong, it still never ends!", "Thanks, perfect.")


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """A workspace with one conversation of three turns that nobody has learned from."""
    path = tmp_path / "ws"
    with Workspace.open(path, groups=["novice", "expert"], work_seconds=0.1) as ws:
        record(ws, "c1", *SAID)
    return path


def record(ws: Workspace, conversation: str, *said: str) -> None:
    for i, text in enumerate(said):
        ws.record_turn(
            conversation=conversation,
            key=str(i),
            user=text,
            assistant="Use a while loop.",
            user_id="u1",
            group=None,
            intent=None,
            trace={},
        )


@contextmanager
def running(path: Path, *options: str) -> Generator[subprocess.Popen[str]]:
    """The command as a process of its own, whose first line on stderr has been read."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gpa_agent.cli", "worker", "-w", str(path), *options],
        env=environment(path.parent, {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_once_learns_from_all_that_waits(invoke: Invoke, waiting: Path) -> None:
    done = invoke("worker", "--once", "--json", "-w", waiting)
    assert done.exit_code == 0, done.stderr
    (line,) = done.stdout.splitlines()
    report = json.loads(line)
    assert (report["events"], report["judged"], report["waiting"]) == (3, 2, 0)
    assert report["refined"] is True
    with Workspace.open(waiting) as ws:
        assert ws.stats()["judgments"] == 2
    again = json.loads(invoke("worker", "--once", "--json", "-w", waiting).stdout)
    assert (again["events"], again["refined"]) == (0, False)


def test_once_says_what_it_did_on_stderr(invoke: Invoke, waiting: Path) -> None:
    done = invoke("worker", "--once", "-w", waiting)
    assert done.stdout == ""
    assert "handled 3 events: 2 turns judged" in done.stderr


def test_once_gives_way_to_another_worker(invoke: Invoke, waiting: Path) -> None:
    with Workspace.open(waiting) as ws, ws.ledger.exclusive("work"):
        done = invoke("worker", "--once", "--json", "-w", waiting)
    assert done.exit_code == 4
    assert done.stdout == ""
    assert done.stderr.startswith("error: 'work'")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_works_until_a_signal(waiting: Path, number: signal.Signals) -> None:
    with running(waiting, "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["events"] == 3
        with Workspace.open(waiting) as ws:
            record(ws, "c2", *SAID[:2])
        assert json.loads(process.stdout.readline())["judged"] == 1
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out == ""
    assert "ending what is in hand" in err


@pytest.mark.slow
def test_it_waits_for_another_worker_and_says_so_once(waiting: Path) -> None:
    with Workspace.open(waiting) as ws:
        with ws.ledger.exclusive("work"), running(waiting, "--json") as process:
            assert process.stderr is not None
            assert str(os.getpid()) in process.stderr.readline()
            assert ws.ledger.count_events()["waiting"] == 3
            until(process, 1.0)  # ten more looks, at a tenth of a second each
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "waiting:" not in err


def until(process: subprocess.Popen[str], seconds: float) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)


@contextmanager
def stuck(path: Path, drain_seconds: float) -> Generator[subprocess.Popen[str]]:
    """The command in the middle of work that does not end, told to stop by a first signal."""
    program = f"""
import sys, time
from gpa_agent.cli import main, worker
from gpa_agent.learning.worker import Worker
Worker.run_once = lambda self: [print("at it", flush=True), time.sleep(60)]
worker.DRAIN_SECONDS = {drain_seconds}
sys.argv = ["gpa", "worker", "-w", {str(path)!r}]
main()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment(path.parent, {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_what_takes_too_long_after_a_signal_is_left(waiting: Path) -> None:
    with stuck(waiting, 0.2) as process:
        assert process.wait(timeout=5) == 0


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(waiting: Path) -> None:
    with stuck(waiting, 60) as process:
        assert process.stderr is not None
        assert "Ctrl-C" in process.stderr.readline()
        assert "ending" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 128 + signal.SIGTERM
