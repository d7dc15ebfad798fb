"""A workspace that has learned once, and two ways to run the command: by itself, and in-process."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gpa_agent.cli.app import app
from gpa_agent.testing.chat_world import ChatWorld
from gpa_agent.testing.world_logs import write_log
from tests.cli.support import Invoke, Run, Taught, run_gpa


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run ``gpa`` as its own process in an empty folder that is also its home."""

    def call(*args: str, input: str = "", **env: str) -> subprocess.CompletedProcess[str]:  # noqa: A002 -- as in subprocess
        return run_gpa(tmp_path, *args, input=input, **env)

    return call


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    """Run ``gpa`` in this process."""
    for name in list(os.environ):
        if name.startswith(("GPA_", "OPENAI_", "COLUMNS")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def call(*args: str | Path, **options: Any) -> Result:
        return CliRunner().invoke(app, [str(a) for a in args], **options)

    return call


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    """Learn once from a small simulated log; tests work on copies."""
    folder = tmp_path_factory.mktemp("taught")
    log = folder / "log.jsonl.gz"
    write_log(ChatWorld(seed=1, people=80, conversations=4), log)
    path = folder / "ws"
    args = ("learn", str(log), "--workspace", str(path), "--groups", "novice,expert", "--json")
    done = run_gpa(folder, *args)
    assert done.returncode == 0, done.stderr
    return Taught(path, log, json.loads(done.stdout))


@pytest.fixture
def workspace(taught: Taught, tmp_path: Path) -> Path:
    """A copy of the workspace that has learned."""
    copy = tmp_path / "ws"
    shutil.copytree(taught.path, copy)
    return copy
