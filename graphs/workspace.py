"""What the graphs of this folder share: a workspace, a middleware, a chat model.

The workspace is that of ``GPA_WORKSPACE``, else a new one under the system's temporary folder.
With ``OPENAI_API_KEY`` (and ``OPENAI_BASE_URL``, ``GPA_MODEL``) answers come from there; without
a key a demo model answers. Turns are learned from by the graph "learn": each of them asks the
server for a run of it (``learn="graph"``), and no thread of this process learns besides.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpa_agent import GPAMiddleware, Workspace
from gpa_agent.testing.chat_models import ScriptedChatModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage

FOLDER = Path(os.environ.get("GPA_WORKSPACE") or Path(tempfile.gettempdir()) / "gpa-studio.gpa")

workspace = Workspace.open(FOLDER)
middleware: GPAMiddleware[Any] = GPAMiddleware(workspace, learn="graph")


def model_or(demo: Callable[[list[BaseMessage]], str | AIMessage]) -> BaseChatModel:
    """OpenAI's model where there is a key, else one that answers what a function says."""
    if not os.environ.get("OPENAI_API_KEY"):
        return ScriptedChatModel(script=demo, model_name="demo-model-that-only-repeats")
    from langchain_openai import ChatOpenAI  # noqa: PLC0415 -- slow to import, and only used with a key

    return ChatOpenAI(model=os.environ.get("GPA_MODEL", "gpt-5.5-mini"))
