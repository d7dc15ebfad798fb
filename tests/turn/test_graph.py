from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage

from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.turn.context import GPAContext
from gpa_agent.turn.middleware import GPAMiddleware
from tests.turn.support import Scripted, thread

if TYPE_CHECKING:
    from gpa_agent.workspace import Workspace

SNAPSHOTS = Path(__file__).parent / "snapshots"
NODES = [
    "classify_intent",
    "classify_group",
    "retrieve_rubric",
    "rewrite_prompt",
    "dispatch_group_model",
    "plain",
    "respond",
    "record_turn",
]


def test_drawing_matches_its_snapshot(ws: Workspace) -> None:
    graph = GPAMiddleware(ws).wrap(ScriptedChatModel())
    drawn = graph.get_graph().draw_mermaid()
    assert drawn == (SNAPSHOTS / "turn.mmd").read_text(encoding="utf-8")


def test_nodes_are_named_as_in_the_design(ws: Workspace) -> None:
    graph = GPAMiddleware(ws).wrap(ScriptedChatModel())
    assert list(graph.get_graph().nodes)[1:-1] == NODES


def test_xray_shows_the_graph_inside(ws: Workspace) -> None:
    app: Any = create_agent(ScriptedChatModel())
    drawn = GPAMiddleware(ws).wrap(app).get_graph(xray=True)
    assert "respond:model" in drawn.nodes


def test_steps_run_in_the_order_of_the_design(ws: Workspace) -> None:
    graph = GPAMiddleware(ws, group_models={"expert": ScriptedChatModel()}).wrap(
        ScriptedChatModel()
    )

    def steps(**who: str) -> list[str]:
        given: Any = {"messages": [HumanMessage("Hi")]}
        parts = graph.stream(given, thread(**who), stream_mode="updates")
        return [name for part in parts for name in part]

    for who, branch in (
        ({"group": "novice"}, "rewrite_prompt"),
        ({"group": "expert"}, "dispatch_group_model"),
        ({}, "plain"),
    ):
        seen = steps(**who)
        assert set(seen[:2]) == {"classify_intent", "classify_group"}
        assert seen[2:] == ["retrieve_rubric", branch, "respond", "record_turn"]


def test_input_is_messages_only_and_output_the_trace_besides(ws: Workspace) -> None:
    graph = GPAMiddleware(ws).wrap(ScriptedChatModel())
    assert set(graph.get_input_jsonschema()["properties"]) == {"messages"}
    out = graph.invoke({"messages": [HumanMessage("Hi")]}, context=GPAContext(group="novice"))
    assert set(out) == {"messages", "gpa"}
    schema = graph.get_context_jsonschema()
    assert schema is not None
    assert set(schema["properties"]) == {"user_id", "group", "intent"}


async def test_failing_and_slow_nodes_leave_the_plain_answer(
    ws: Workspace, monkeypatch: Any
) -> None:
    monkeypatch.setattr(ws, "intent_classifier", lambda: Scripted("general", seconds=5))
    middleware = GPAMiddleware(ws, budget_seconds=0.05)
    graph = middleware.wrap(ScriptedChatModel())
    given: Any = {"messages": [HumanMessage("Hi")]}
    for out in (graph.invoke(given, thread(group="novice")), await graph.ainvoke(given)):
        assert out["messages"][-1].text == "Understood."
        assert out["gpa"]["degraded"] == "classify_intent: over budget (0.05 s)"
        assert out["gpa"]["mode"] == "plain"
    assert middleware.degraded_total == 2


async def test_reply_is_kept_when_it_cannot_be_recorded(ws: Workspace, monkeypatch: Any) -> None:
    def fail(**_: object) -> None:
        raise OSError

    monkeypatch.setattr(ws, "record_turn", fail)
    graph = GPAMiddleware(ws).wrap(ScriptedChatModel())
    given: Any = {"messages": [HumanMessage("Hi")]}
    for out in (graph.invoke(given), await graph.ainvoke(given)):
        assert out["messages"][-1].text == "Understood."
        assert out["gpa"]["degraded"] == "record_turn: OSError"
