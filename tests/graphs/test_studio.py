"""The graphs in the real ``langgraph dev``, offline and without a key."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
NODES = {
    "classify_intent",
    "classify_group",
    "retrieve_rubric",
    "rewrite_prompt",
    "dispatch_group_model",
    "plain",
    "respond",
    "record_turn",
}

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running server's address; its state and workspace are in a folder of their own."""
    folder = tmp_path_factory.mktemp("studio")
    shutil.copy(ROOT / "langgraph.json", folder)
    shutil.copytree(ROOT / "graphs", folder / "graphs")
    port = free_port()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "LANGSMITH_"))}
    env |= {
        "GPA_WORKSPACE": str(folder / "my.gpa"),
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "LANGGRAPH_NO_VERSION_CHECK": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload"]
    command += ["--port", str(port), "--n-jobs-per-worker", "10"]
    log = folder / "log.txt"
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, cwd=folder, env=env, stdout=out, stderr=out, start_new_session=True
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_up(url, server, log)
            yield url
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait(timeout=10)


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
    answer = httpx.get(url, timeout=30) if body is None else httpx.post(url, json=body, timeout=30)
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


def test_both_graphs_are_listed(studio: str) -> None:
    found = call(f"{studio}/assistants/search", {})
    assert {assistant["graph_id"] for assistant in found} == {"turn", "agent"}


def test_drawings_have_our_nodes(studio: str) -> None:
    turn = call(f"{studio}/assistants/turn/graph?xray=true")
    assert {node["id"] for node in turn["nodes"]} >= NODES
    agent = call(f"{studio}/assistants/agent/graph?xray=true")
    names = {node["id"] for node in agent["nodes"]}
    assert {"GPAMiddleware.before_agent", "GPAMiddleware.after_agent", "model", "tools"} <= names


def test_chat_input_is_all_a_turn_needs(studio: str) -> None:
    found = call(f"{studio}/assistants/search", {"graph_id": "turn"})
    schemas = call(f"{studio}/assistants/{found[0]['assistant_id']}/schemas")
    assert set(schemas["input_schema"]["properties"]) == {"messages"}
    assert set(schemas["context_schema"]["properties"]) == {"user_id", "group", "intent"}


@pytest.mark.parametrize("assistant", ["turn", "agent"])
def test_a_thread_streams_and_has_a_history(studio: str, assistant: str) -> None:
    thread = call(f"{studio}/threads", {})["thread_id"]
    for text in ("First question", "Second question"):
        lines = stream(studio, thread, assistant, text, ["messages-tuple", "updates"])
        assert not any(line.startswith("event: error") for line in lines), lines
        assert sum(line.startswith("event: messages") for line in lines) > 3  # word by word
    state = call(f"{studio}/threads/{thread}/state")["values"]
    assert [m["content"] for m in state["messages"] if m["type"] == "human"] == [
        "First question",
        "Second question",
    ]
    assert state["messages"][-1]["content"].endswith("You said: Second question")
    assert state["gpa"]["group"] == "novice"
    history = call(f"{studio}/threads/{thread}/history", {"limit": 100})
    assert len(history) > 4
    assert all(step["created_at"] for step in history)
