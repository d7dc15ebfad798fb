"""``gpa chat``: the wrapped app, with a simulated and with a real (loopback) model."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gpa_agent.workspace import Workspace
from tests.cli.support import Invoke, Run

QUESTION = "Why does my script stop with a KeyError?"


def test_one_question_shows_answer_and_trace(invoke: Invoke, workspace: Path) -> None:
    args = ("--group", "novice", "--intent", "debugging", "-w", workspace)
    done = invoke("chat", QUESTION, *args)
    assert done.exit_code == 0, done.stderr
    assert "simulated model" in done.stderr
    assert "intent debugging · group novice · rubric version 1 · context (" in done.stderr
    assert done.stdout.strip()


def test_a_dialogue_and_why(run: Run, workspace: Path) -> None:
    typed = f"/why\n{QUESTION}\n/why\n\n/help\nAnd how do I log it?\n/quit\nnot sent\n"
    args = ("--group", "expert", "--intent", "debugging", "-w", str(workspace))
    done = run("chat", *args, input=typed, GPA_HOLDOUT="0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("nothing was asked yet")
    with Workspace.open(workspace) as ws:
        rubric = ws.rubric(intent="debugging", group="expert")
        assert rubric is not None
        for guidance in rubric.guidance("expert"):
            assert f"- {guidance}" in done.stdout
        assert "<reader_preferences>" in done.stdout
    assert done.stderr.count("[intent debugging") == 2
    assert "/why shows" in done.stderr


def test_json_holds_the_turns(invoke: Invoke, workspace: Path) -> None:
    with Workspace.open(workspace) as ws:
        before = ws.stats()["turns"]
    done = invoke(
        *("chat", "--json", "--user", "u-new", "--group", "novice", "--intent", "debugging"),
        *("-w", workspace),
        input=f"{QUESTION}\nThanks, that worked!\n",
        env={"GPA_HOLDOUT": "0"},
    )
    talk = json.loads(done.stdout)
    assert talk["simulated"] is True
    first, second = talk["turns"]
    assert first["user"] == QUESTION
    assert first["trace"]["intent"] == "debugging"
    assert first["trace"]["aspects"]
    assert "<reader_preferences>" in first["system"]
    assert second["assistant"]
    with Workspace.open(workspace) as ws:
        assert ws.stats()["turns"] == before + 2


def test_an_unknown_group_gets_the_plain_answer(invoke: Invoke, workspace: Path) -> None:
    args = ("--group", "martians", "--intent", "debugging", "-w", workspace, "--json")
    turn = json.loads(invoke("chat", QUESTION, *args).stdout)["turns"][0]
    assert turn["trace"]["mode"] == "plain"
    assert turn["system"] == ""


class _OpenAI(BaseHTTPRequestHandler):
    """Speaks just enough of the OpenAI API: answers with the model's name, streamed or whole."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        words = ["I", " am ", body["model"]]
        base = {"id": "x", "created": 1, "model": body["model"]}
        if body.get("stream"):
            chunks = [{"role": "assistant", "content": w} for w in words] + [{}]
            events = [
                base
                | {"object": "chat.completion.chunk"}
                | {"choices": [{"index": 0, "delta": c, "finish_reason": None if c else "stop"}]}
                for c in chunks
            ]
            text = "".join(f"data: {json.dumps(e)}\n\n" for e in events) + "data: [DONE]\n\n"
            self._reply(text, "text/event-stream")
            return
        message = {"role": "assistant", "content": "".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = base | {"object": "chat.completion", "choices": [choice]}
        self._reply(json.dumps(whole), "application/json")

    def _reply(self, text: str, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- named by http.server
        """Say nothing."""


@pytest.fixture
def openai_url() -> Iterator[str]:
    _OpenAI.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _OpenAI)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_with_a_key_the_real_model_answers(run: Run, workspace: Path, openai_url: str) -> None:
    done = run(
        *("chat", QUESTION, "--group", "novice", "--intent", "debugging", "-w", str(workspace)),
        *("--model", "tiny-1"),
        OPENAI_API_KEY="secret-key",
        OPENAI_BASE_URL=openai_url,
        GPA_HOLDOUT="0",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "I am tiny-1"
    assert "tiny-1 at http://127.0.0.1" in done.stderr
    assert "secret-key" not in done.stdout + done.stderr
    (asked,) = _OpenAI.asked
    assert [m["role"] for m in asked["messages"]] == ["system", "user"]
    assert "<reader_preferences>" in asked["messages"][0]["content"]
