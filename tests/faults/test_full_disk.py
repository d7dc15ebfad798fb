"""Fault F5: the disk is full in the middle of it, and then it is not.

Chat goes on, what cannot be recorded is counted and said, learning pauses and says so, and when
there is space again everything goes on by itself; no file is ever torn.
"""

from __future__ import annotations

import logging
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from gpa_agent import Workspace
from gpa_agent.errors import StoreError
from tests.faults.support import App, files, rows

Open = Callable[[Path], Workspace]


class Disk(Protocol):
    """A disk that can be filled."""

    folder: Path

    def fill(self) -> None:
        """Leave no space."""
        ...

    def free(self) -> None:
        """Give space again."""
        ...


class SmallDisk:
    """A file system of a few megabytes, filled by a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


class LimitedFiles:
    """No file of this process may grow: what a full disk looks like to whoever writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._before[1]))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@pytest.fixture(params=["tmpfs", "limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A disk to fill: a small one where we may mount it, and a limit on the size of files."""
    if request.param == "limit":
        limited = LimitedFiles(tmp_path)
        yield limited
        limited.free()
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk; the limit on files is tried instead")
    yield SmallDisk(tmp_path)
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True, capture_output=True)


def test_chat_goes_on_and_what_was_said_meanwhile_is_counted(
    disk: Disk, open_here: Open, app_of: Callable[..., App]
) -> None:
    ws = open_here(disk.folder / "ws")
    app = app_of(ws)
    assert app.ask("First").degraded is None
    disk.fill()
    for number in range(3):
        answer = app.ask(f"While full {number}")
        assert answer.text == "plain"
        assert answer.degraded == "record_turn: StoreError"
    assert app.middleware.degraded_total == 3
    disk.free()
    assert app.ask("After").degraded is None
    said = [text for (text,) in rows(ws, "SELECT user_text FROM turns ORDER BY idx")]
    assert said == ["First", "After"]
    assert rows(ws, "PRAGMA integrity_check") == [("ok",)]


def test_learning_says_that_the_disk_is_full_and_goes_on_when_it_is_not(
    disk: Disk, open_here: Open, strong_log: Path, app_of: Callable[..., App]
) -> None:
    ws = open_here(disk.folder / "ws")
    ws.ingest(strong_log)
    app = app_of(ws)
    app.ask("First")
    app.ask("Thanks, that helped!")
    kept = files(ws.path)
    disk.fill()
    with pytest.raises(StoreError, match="full"):
        ws.catch_up()
    assert files(ws.path) == kept
    assert app.ask("And now?").text == "plain"
    disk.free()
    report = ws.catch_up()
    assert (report.refined, report.waiting) == (True, 0)
    assert (report.live or 0) > 0
    assert app.ask("What now?").trace["mode"] == "context"
    assert rows(ws, "PRAGMA integrity_check") == [("ok",)]


def test_the_worker_pauses_says_so_once_and_heals(
    disk: Disk, app_of: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    with Workspace.open(disk.folder / "ws", groups=["novice", "expert"], work_seconds=0.05) as ws:
        app = app_of(ws)
        app.ask("First")
        disk.fill()
        with caplog.at_level(logging.WARNING, logger="gpa_agent.learning"):
            ws.work_in_background()
            _until(lambda: _complaints(caplog) == 1)
            time.sleep(0.5)
        assert app.ask("While full").text == "plain"
        disk.free()
        _until(lambda: ws.ledger.count_events()["waiting"] == 0)
        assert ws.ledger.count_events()["done"] == 1
    assert _complaints(caplog) == 1


def _complaints(caplog: pytest.LogCaptureFixture) -> int:
    return sum("learning pauses" in record.getMessage() for record in caplog.records)


def test_settings_are_old_or_new_and_never_torn(disk: Disk, open_here: Open) -> None:
    folder = disk.folder / "ws"
    open_here(folder).close()
    kept = files(folder)
    disk.fill()
    with pytest.raises(StoreError, match=r"space|full"):
        Workspace.open(folder, min_people=7).keep_settings()
    assert files(folder) == kept
    disk.free()
    with Workspace.open(folder, min_people=7) as ws:
        ws.keep_settings()
    with Workspace.open(folder) as again:
        assert again.settings.min_people == 7
    assert not list(folder.glob(".settings*")), "a scratch file was left"


def _until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)
