"""Learn a log with the simulated provider over HTTP, in a process of its own that can be killed.

Usage: python -m tests.learning.run_learning WORKSPACE LOG RUNNER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gpa_agent import GPAError, Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.learning.spending import Spend


def main(path: str, log: str, runner: str) -> int:
    """Print the rubrics, or the error, as JSON."""
    with Workspace.open(
        path,
        groups=["novice", "expert"],
        model="openai:simulated",
        encoder=HashingEncoder(),
        concurrency=32,
        permutations=999,
        bootstrap=200,
    ) as ws:
        if not ws.stats()["conversations"]:
            ws.ingest(Path(log))
        try:
            report = ws.learn(spend=Spend(runner=runner))
        except GPAError as error:
            print(json.dumps({"error": str(error)}))
            return error.exit_code
        print(report.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
