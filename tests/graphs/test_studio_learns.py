"""In ``langgraph dev`` a turn enqueues a run of the learn graph, which nobody waits for."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from gpa_agent.turn.enqueue import learn_thread
from gpa_agent.workspace import Workspace
from tests.graphs.server import Studio, call, serving, stream

if TYPE_CHECKING:
    from pathlib import Path

STAGES = [
    "detect_satisfaction",
    "explain_preference",
    "contrast_groups",
    "weigh_evidence",
    "gate",
    "publish",
]
SAID = ("Why does my loop never end?", "That is wrong, it never ends!", "Thanks, perfect.")

pytestmark = pytest.mark.slow


def say(studio: Studio, assistant: str, *texts: str) -> dict[str, Any]:
    """Say it on a new thread; the state's trace after the last answer, and the thread."""
    thread = call(f"{studio.url}/threads", {})["thread_id"]
    for text in texts:
        lines = stream(studio.url, thread, assistant, text, ["messages-tuple"])
        assert not any(line.startswith("event: error") for line in lines), lines
    trace = call(f"{studio.url}/threads/{thread}/state")["values"]["gpa"]
    return {**trace, "thread": thread}


def learned(studio: Studio, pointer: dict[str, str]) -> dict[str, Any]:
    """Wait for a run to end; what it found."""
    at = f"{studio.url}/threads/{pointer['thread']}/runs/{pointer['run']}"
    call(f"{at}/join")
    assert call(at)["status"] == "success"
    values: dict[str, Any] = call(f"{studio.url}/threads/{pointer['thread']}/state")["values"]
    return values


def test_the_drawing_has_the_stages(studio: Studio) -> None:
    drawn = call(f"{studio.url}/assistants/learn/graph?xray=true")
    assert [node["id"] for node in drawn["nodes"]] == ["__start__", *STAGES, "__end__"]


@pytest.mark.parametrize("assistant", ["turn", "agent"])
def test_a_turn_is_learned_from_on_a_thread_of_its_own(studio: Studio, assistant: str) -> None:
    trace = say(studio, assistant, *SAID[:2])
    assert trace["degraded"] is None
    assert trace["learn"]["thread"] == learn_thread(trace["thread"]) != trace["thread"]
    found = learned(studio, trace["learn"])
    assert found["satisfaction"]["judged"] == 1
    assert found["preferences"] == {"explained": 1, "due": True}
    assert found["contrasts"]["untested"] == 0
    assert found["published"] == []
    history = call(f"{studio.url}/threads/{trace['learn']['thread']}/history", {"limit": 100})
    seen = [name for step in reversed(history) for name in step["next"]]
    assert seen[-7:] == ["__start__", *STAGES]
    assert not any(text in str(history) for text in SAID)
    assert judged_turns(studio, trace["thread"]) == [0]


def judged_turns(studio: Studio, conversation: str) -> list[int]:
    with closing(sqlite3.connect(studio.workspace / "ledger.sqlite")) as ledger:
        select = "SELECT idx FROM judgments WHERE conversation_id = ?"
        return [row[0] for row in ledger.execute(select, [conversation])]


def test_quick_turns_make_one_run_that_no_stream_waits_for(studio: Studio) -> None:
    thread = call(f"{studio.url}/threads", {})["thread_id"]
    turns = [start(studio, thread, text) for text in SAID]
    for turn in turns:
        call(f"{studio.url}/threads/{thread}/runs/{turn}/join")
    pointer = call(f"{studio.url}/threads/{thread}/state")["values"]["gpa"]["learn"]
    at = f"{studio.url}/threads/{pointer['thread']}/runs"
    assert [(run["run_id"], run["status"]) for run in call(at)] == [(pointer["run"], "pending")]
    assert judged_turns(studio, thread) == []
    assert learned(studio, pointer)["satisfaction"] == {"events": 3, "judged": 2, "busy": None}
    assert judged_turns(studio, thread) == [0, 1]
    assert len(call(at)) == 1


def start(studio: Studio, thread: str, text: str) -> str:
    """Say it and wait for nothing; the turns of a thread follow each other by themselves."""
    body = {
        "assistant_id": "turn",
        "input": {"messages": [{"role": "user", "content": text}]},
        "multitask_strategy": "enqueue",
    }
    run: str = call(f"{studio.url}/threads/{thread}/runs", body)["run_id"]
    return run


def test_a_server_without_the_learn_graph_answers_all_the_same(tmp_path: Path) -> None:
    with serving(tmp_path, graphs=("turn",)) as studio:
        trace = say(studio, "turn", SAID[0])
        assert trace["degraded"] == "enqueue_learn: UnprocessableEntityError"
        assert "learn" not in trace
        with Workspace.open(studio.workspace, create=False) as ws:
            assert ws.ledger.count_events()["waiting"] == 1
