"""The graphs in the real ``langgraph dev``, offline and without a key."""

from __future__ import annotations

import pytest

from tests.graphs.server import Studio, call, stream

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


def test_every_graph_is_listed(studio: Studio) -> None:
    found = call(f"{studio.url}/assistants/search", {})
    assert {assistant["graph_id"] for assistant in found} == {"turn", "agent", "learn"}


def test_drawings_have_our_nodes(studio: Studio) -> None:
    turn = call(f"{studio.url}/assistants/turn/graph?xray=true")
    assert {node["id"] for node in turn["nodes"]} >= NODES
    agent = call(f"{studio.url}/assistants/agent/graph?xray=true")
    names = {node["id"] for node in agent["nodes"]}
    assert {"GPAMiddleware.before_agent", "GPAMiddleware.after_agent", "model", "tools"} <= names


def test_chat_input_is_all_a_turn_needs(studio: Studio) -> None:
    found = call(f"{studio.url}/assistants/search", {"graph_id": "turn"})
    schemas = call(f"{studio.url}/assistants/{found[0]['assistant_id']}/schemas")
    assert set(schemas["input_schema"]["properties"]) == {"messages"}
    assert set(schemas["context_schema"]["properties"]) == {"user_id", "group", "intent"}


@pytest.mark.parametrize("assistant", ["turn", "agent"])
def test_a_thread_streams_and_has_a_history(studio: Studio, assistant: str) -> None:
    thread = call(f"{studio.url}/threads", {})["thread_id"]
    for text in ("First question", "Second question"):
        lines = stream(studio.url, thread, assistant, text, ["messages-tuple", "updates"])
        assert not any(line.startswith("event: error") for line in lines), lines
        assert sum(line.startswith("event: messages") for line in lines) > 3  # word by word
    state = call(f"{studio.url}/threads/{thread}/state")["values"]
    assert [m["content"] for m in state["messages"] if m["type"] == "human"] == [
        "First question",
        "Second question",
    ]
    assert state["messages"][-1]["content"].endswith("You said: Second question")
    assert state["gpa"]["group"] == "novice"
    history = call(f"{studio.url}/threads/{thread}/history", {"limit": 100})
    assert len(history) > 4
    assert all(step["created_at"] for step in history)
