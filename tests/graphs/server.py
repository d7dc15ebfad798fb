"""A real ``langgraph dev`` in a folder of its own, and what is asked of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

ROOT = Path(__file__).parents[2]


class Studio(NamedTuple):
    """A running server.

    Attributes:
        url: Its address.
        workspace: The folder of its workspace.
    """

    url: str
    workspace: Path


@contextmanager
def serving(folder: Path, *, graphs: Sequence[str]) -> Generator[Studio]:
    """Run the server.

    Args:
        folder: For its state, its workspace and a copy of the graphs.
        graphs: Which of the repository's graphs it knows.
    """
    config = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
    config["graphs"] = {name: config["graphs"][name] for name in graphs}
    (folder / "langgraph.json").write_text(json.dumps(config), encoding="utf-8")
    shutil.copytree(ROOT / "graphs", folder / "graphs")
    port, log = free_port(), folder / "log.txt"
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload"]
    command += ["--port", str(port), "--n-jobs-per-worker", "10"]
    with log.open("wb") as out:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(folder),
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            studio = Studio(f"http://127.0.0.1:{port}", folder / "my.gpa")
            wait_until_up(studio.url, server, log)
            yield studio
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait(timeout=10)


def environment(folder: Path) -> dict[str, str]:
    """No key, no network, and everything weighed again after every turn."""
    own = ("OPENAI_", "LANGSMITH_", "GPA_")
    return {k: v for k, v in os.environ.items() if not k.startswith(own)} | {
        "GPA_WORKSPACE": str(folder / "my.gpa"),
        "GPA_HOLDOUT": "0",
        "GPA_REFINE_AFTER_TURNS": "1",
        "GPA_REFINE_SECONDS": "0",
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "LANGGRAPH_NO_VERSION_CHECK": "1",
        "PYTHONPATH": str(ROOT),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_up(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if server.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/ok", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail("langgraph dev did not start:\n" + log.read_text(errors="replace")[-4000:])


def call(url: str, body: Any = None) -> Any:
    answer = httpx.get(url, timeout=60) if body is None else httpx.post(url, json=body, timeout=60)
    assert answer.is_success, answer.text
    return answer.json()


def stream(url: str, thread: str, assistant: str, text: str, modes: list[str]) -> list[str]:
    body = {
        "assistant_id": assistant,
        "input": {"messages": [{"role": "user", "content": text}]},
        "stream_mode": modes,
        "config": {"configurable": {"group": "novice"}},
    }
    lines: list[str] = []
    with httpx.stream("POST", f"{url}/threads/{thread}/runs/stream", json=body, timeout=60) as out:
        lines.extend(out.iter_lines())
    return lines
