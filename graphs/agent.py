"""An agent with the middleware and a tool, for LangGraph Studio: pick "agent".

The workspace is that of ``GPA_WORKSPACE``, else a new one under the system's temporary
folder. With ``OPENAI_API_KEY`` (and ``OPENAI_BASE_URL``, ``GPA_MODEL``) answers come from
there; without a key a demo model answers that calls the tool once and repeats what it heard.
The graph has no checkpointer: the server brings its own.
"""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from gpa_agent import GPAContext, GPAMiddleware, Workspace
from gpa_agent.testing.chat_models import ScriptedChatModel, echo

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def time_now() -> str:
    """Tell the time in UTC."""
    return datetime.now(UTC).strftime("%H:%M")


def call_then_repeat(messages: list[BaseMessage]) -> str | AIMessage:
    """Look at the clock, then repeat what the user said."""
    if isinstance(messages[-1], ToolMessage):
        return f"It is {messages[-1].text}. {echo(messages)}"
    return AIMessage("", tool_calls=[{"name": "time_now", "args": {}, "id": f"t{len(messages)}"}])


def demo_or_real_model() -> BaseChatModel:
    """OpenAI's model where there is a key, else a scripted one."""
    if not os.environ.get("OPENAI_API_KEY"):
        return ScriptedChatModel(script=call_then_repeat, model_name="demo-model-that-only-repeats")
    from langchain_openai import ChatOpenAI  # noqa: PLC0415 -- slow to import, and only used with a key

    return ChatOpenAI(model=os.environ.get("GPA_MODEL", "gpt-5.5-mini"))


FOLDER = Path(os.environ.get("GPA_WORKSPACE") or Path(tempfile.gettempdir()) / "gpa-studio.gpa")

middleware: Any = GPAMiddleware(Workspace.open(FOLDER))
agent = create_agent(
    demo_or_real_model(),
    [time_now],
    system_prompt="You are a helpful assistant.",
    middleware=[middleware],
    context_schema=GPAContext,
    name="agent",
)
