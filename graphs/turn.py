"""The turn around a chat model, for LangGraph Studio: ``langgraph dev`` and pick "turn".

The workspace is that of ``GPA_WORKSPACE``, else a new one under the system's temporary
folder. With ``OPENAI_API_KEY`` (and ``OPENAI_BASE_URL``, ``GPA_MODEL``) answers come from
there; without a key a demo model answers that only repeats what it was sent. The graph has
no checkpointer: the server brings its own.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gpa_agent import GPAMiddleware, Workspace
from gpa_agent.testing.chat_models import ScriptedChatModel, echo

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def demo_or_real_model() -> BaseChatModel:
    """OpenAI's model where there is a key, else one that repeats what it was told."""
    if not os.environ.get("OPENAI_API_KEY"):
        return ScriptedChatModel(script=echo, model_name="demo-model-that-only-repeats")
    from langchain_openai import ChatOpenAI  # noqa: PLC0415 -- slow to import, and only used with a key

    return ChatOpenAI(model=os.environ.get("GPA_MODEL", "gpt-5.5-mini"))


FOLDER = Path(os.environ.get("GPA_WORKSPACE") or Path(tempfile.gettempdir()) / "gpa-studio.gpa")

turn = GPAMiddleware(Workspace.open(FOLDER)).wrap(demo_or_real_model(), name="turn")
