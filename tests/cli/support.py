"""How the tests of the command line run it, and the workspace they run it on."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import Result

Invoke = Callable[..., Result]
Run = Callable[..., subprocess.CompletedProcess[str]]


class Taught(NamedTuple):
    """A workspace that has learned, the log it learned from, and what ``--json`` printed."""

    path: Path
    log: Path
    report: dict[str, Any]


def environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    own = ("GPA_", "OPENAI_", "XDG_", "COLUMNS")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    return {**kept, "HOME": str(home), "OMP_NUM_THREADS": "1", **extra}


def run_gpa(cwd: Path, *args: str, input: str = "", **env: str) -> subprocess.CompletedProcess[str]:  # noqa: A002 -- as in subprocess
    return subprocess.run(
        [sys.executable, "-m", "gpa_agent.cli", *args],
        cwd=cwd,
        env=environment(cwd, env),
        input=input,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
