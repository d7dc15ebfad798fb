"""Outside a LangGraph server ``learn="graph"`` leaves what waits to others."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage

from gpa_agent.errors import UsageError
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.turn.enqueue import learn_thread
from gpa_agent.turn.middleware import GPAMiddleware
from tests.turn.support import thread

if TYPE_CHECKING:
    from gpa_agent.workspace import Workspace


@pytest.mark.parametrize("kind", ["turn", "agent"])
async def test_outside_a_server_nothing_is_enqueued(ws: Workspace, kind: str) -> None:
    middleware: GPAMiddleware[Any] = GPAMiddleware(ws, learn="graph")
    app: Any = (
        middleware.wrap(ScriptedChatModel())
        if kind == "turn"
        else create_agent(ScriptedChatModel(), middleware=[middleware])
    )
    given: Any = {"messages": [HumanMessage("Hi")]}
    for out in (app.invoke(given, thread("a")), await app.ainvoke(given, thread("b"))):
        assert out["gpa"]["degraded"] is None
        assert "learn" not in out["gpa"]
    assert ws.ledger.count_events()["waiting"] == 2
    assert "gpa-worker" not in {running.name for running in threading.enumerate()}


def test_each_conversation_has_one_thread_to_learn_on() -> None:
    assert learn_thread("c1") == learn_thread("c1") != learn_thread("c2")


def test_an_unknown_way_to_learn_is_refused(ws: Workspace) -> None:
    wrong: Any = "sometimes"
    with pytest.raises(UsageError, match="'background', 'graph' and 'off'"):
        GPAMiddleware(ws, learn=wrong)
