"""A folder that cannot be used is named at once: read-only, missing, or somebody else's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpa_agent.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = b"k" * 32
OPENER = """
import os, sys, time
from gpa_agent.ledger import Ledger
Ledger.open(sys.argv[1] + "/warm.db", people_key=b"k" * 32).close()  # imports what it needs
os.unlink(sys.argv[1] + "/warm.db")
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
started = time.perf_counter()
try:
    with Ledger.open(sys.argv[1] + "/folder/ledger.db", people_key=b"k" * 32) as ledger:
        with ledger.exclusive("learning"):
            ledger.record_turn(conversation="c", key="k", user="u", assistant="a")
except Exception as exc:
    print(type(exc).__name__, exc)
print(time.perf_counter() - started)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that everybody can get to, unlike those of the test's user."""
    place = Path(tempfile.mkdtemp(prefix="gpa-access-"))
    place.chmod(0o755)
    yield place
    for folder in place.iterdir():
        folder.chmod(0o755)
    shutil.rmtree(place)


def read_only(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o555)


def missing(folder: Path) -> None:
    assert not folder.exists()


def a_file(folder: Path) -> None:
    folder.write_text("not a folder")


def not_to_be_entered(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o600)


def anothers_ledger(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make what belongs to somebody else")
    folder.mkdir()
    folder.chmod(0o755)
    Ledger.open(folder / "ledger.db", people_key=KEY).close()
    (folder / "ledger.db").chmod(0o644)


@pytest.mark.parametrize(
    "prepare", [read_only, missing, a_file, not_to_be_entered, anothers_ledger]
)
def test_it_is_named_within_two_seconds(home: Path, prepare: Callable[[Path], None]) -> None:
    prepare(home / "folder")
    done = subprocess.run(
        [sys.executable, "-c", OPENER, str(home)], capture_output=True, text=True, check=True
    )
    *told, seconds = done.stdout.splitlines()
    assert len(told) == 1, done
    assert told[0].startswith("StoreError could not open ")
    assert str(home / "folder" / "ledger.db") in told[0]
    assert "check that its folder exists, is not read-only and belongs to you" in told[0]
    assert float(seconds) < 2
