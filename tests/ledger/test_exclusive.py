"""One at a time, and a dead holder holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from gpa_agent.errors import StoreError
from gpa_agent.ledger import Busy, Ledger

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

KEY = b"k" * 32
HOLDER = """
import sys
from gpa_agent.ledger import Ledger
with Ledger.open(sys.argv[1], people_key=b"k" * 32) as ledger, ledger.exclusive("learning"):
    print("held", flush=True)
    sys.stdin.read()
"""

FORKING = """
import os, sys, time
from gpa_agent.ledger import Ledger
with Ledger.open(sys.argv[1], people_key=b"k" * 32) as ledger, ledger.exclusive("learning"):
    child = os.fork()
    if child:
        print(child, flush=True)
    time.sleep(60)
"""


@contextmanager
def holding(where: str) -> Generator[subprocess.Popen[str]]:
    """Another process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLDER, where]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def free(ledger: Ledger, *, within: float = 0.0) -> bool:
    try:
        with ledger.exclusive("learning", wait_seconds=within):
            return True
    except Busy:
        return False


def test_a_second_process_is_told_who_is_at_it(ledger: Ledger, where: str) -> None:
    with (
        holding(where) as other,
        pytest.raises(Busy, match=rf"'learning' of .*{other.pid}.* \(since 2\d\d\d-.*UTC\); wait"),
        ledger.exclusive("learning"),
    ):
        pass
    assert free(ledger, within=5)


def test_a_killed_holder_holds_nothing(ledger: Ledger, where: str) -> None:
    with holding(where) as other:
        assert not free(ledger)
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert free(ledger, within=5)


def test_a_second_time_in_the_same_process_is_busy_too(ledger: Ledger, where: str) -> None:
    with Ledger.open(where, people_key=KEY) as second, ledger.exclusive("learning"):
        assert not free(ledger)
        assert not free(second)
        with second.exclusive("export"):
            pass
    assert free(ledger)


def test_an_exception_frees_it(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.exclusive("learning"):
        raise ZeroDivisionError
    assert free(ledger)


def test_waiting_ends_when_the_holder_is_done(ledger: Ledger) -> None:
    done = threading.Event()

    def hold() -> None:
        with ledger.exclusive("learning"):
            held.set()
            done.wait(10)

    held = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    started = time.monotonic()
    assert not free(ledger, within=0.2)
    assert time.monotonic() - started >= 0.2
    done.set()
    assert free(ledger, within=10)
    thread.join()


def test_a_child_that_outlives_its_killed_parent_does_not_hold_it(path: Path) -> None:
    pipe = subprocess.PIPE
    with (
        Ledger.open(path, people_key=KEY) as ledger,
        subprocess.Popen([sys.executable, "-c", FORKING, str(path)], stdout=pipe) as parent,
    ):
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not free(ledger)
        parent.kill()
        try:
            assert free(ledger, within=5)
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_file_that_cannot_be_made_is_named(path: Path, ledger: Ledger) -> None:
    path.with_name("ledger.db.learning.lock").mkdir()
    with (
        pytest.raises(StoreError, match=r"ledger\.db\.learning\.lock.*belongs to you"),
        ledger.exclusive("learning"),
    ):
        pass


def test_only_the_owner_reads_the_lock_and_it_stays(path: Path, ledger: Ledger) -> None:
    assert free(ledger)
    lock = path.with_name("ledger.db.learning.lock")
    assert lock.stat().st_mode & 0o777 == 0o600
    assert lock.read_text() == ""


def test_in_memory_it_is_one_at_a_time_too() -> None:
    with Ledger.open("sqlite://", people_key=KEY) as ledger:
        with ledger.exclusive("learning"):
            assert not free(ledger)
        assert free(ledger)
