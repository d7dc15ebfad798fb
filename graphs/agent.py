"""An agent with the middleware and a tool, for LangGraph Studio: pick "agent".

Without a key a demo model answers that calls the tool once and repeats what it heard (see
``workspace.py``). The graph has no checkpointer: the server brings its own.
"""

from __future__ import annotations

from datetime import UTC, datetime

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from gpa_agent import GPAContext
from gpa_agent.testing.chat_models import echo
from graphs.workspace import middleware, model_or  # noqa: TID251 -- a file of the same recipe


def time_now() -> str:
    """Tell the time in UTC."""
    return datetime.now(UTC).strftime("%H:%M")


def call_then_repeat(messages: list[BaseMessage]) -> str | AIMessage:
    """Look at the clock, then repeat what the user said."""
    if isinstance(messages[-1], ToolMessage):
        return f"It is {messages[-1].text}. {echo(messages)}"
    return AIMessage("", tool_calls=[{"name": "time_now", "args": {}, "id": f"t{len(messages)}"}])


agent = create_agent(
    model_or(call_then_repeat),
    [time_now],
    system_prompt="You are a helpful assistant.",
    middleware=[middleware],
    context_schema=GPAContext,
    name="agent",
)
