"""Killed at any moment, nothing is lost, learned twice or half published.

`benchmarks/kills.py` does the same 200 times.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.kill_checks import faults
from benchmarks.killed_app import Said, log, open_workspace
from benchmarks.kills import WAYS, Way, kill_often


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_killed_processes_leave_everything_as_it_must_be(way: Way, tmp_path: Path) -> None:
    tally = kill_often(tmp_path / "ws", way, 3, seed=7)
    assert tally.faults == ()
    assert tally.kills >= 3
    assert tally.answered > 0


def test_the_checks_see_what_is_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "ws"
    with open_workspace(folder, "embedded") as ws:
        for number in range(3):
            ws.ingest(log(number, "embedded"))
        ws.learn()
        assert ws.stats()["live_aspects"], "nothing was learned: the test could not fail"
    never = Said("answered", "c", "c/0", "I was here")
    assert faults(folder, "embedded", {}, {}, {0, 1, 2}) == []
    assert "c/0 is lost" in faults(folder, "embedded", {"c/0": never}, {}, set())[0]
    assert "log 3" in faults(folder, "embedded", {}, {}, {3})[0]
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as ledger:
        ledger.execute('UPDATE rubric_versions SET body = \'{"intent": "debugging"}\'')
        ledger.execute("DELETE FROM preferences WHERE rowid = 1")
        ledger.commit()
    found = faults(folder, "embedded", {}, {}, {0, 1, 2})
    assert any("is not whole" in fault for fault in found)
    assert any(fault.startswith("preferences:") for fault in found)
