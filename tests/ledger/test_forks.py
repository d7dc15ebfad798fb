"""A server that forks after opening the ledger: parent and child go on side by side."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpa_agent.ledger import Ledger

FORKING = """
import os, sys
from gpa_agent.ledger import Ledger
ledger = Ledger.open(sys.argv[1], people_key=b"k" * 32)
ledger.record_turn(conversation="c", key="first", user="u", assistant="a")
child = os.fork()
for n in range(50):
    ledger.record_turn(conversation="c", key=f"{child > 0} {n}", user="u", assistant="a")
    assert ledger.counts()["turns"] > n
if not child:
    ledger.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
ledger.close()
"""


def test_parent_and_child_share_no_connection(where: str, ledger: Ledger) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING, where],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert ledger.counts()["turns"] == 101
