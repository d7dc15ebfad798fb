"""The turn around a chat model, for LangGraph Studio: ``langgraph dev`` and pick "turn".

Without a key a demo model answers that only repeats what it was sent (see ``workspace.py``).
The graph has no checkpointer: the server brings its own.
"""

from __future__ import annotations

from gpa_agent.testing.chat_models import echo
from graphs.workspace import middleware, model_or  # noqa: TID251 -- a file of the same recipe

turn = middleware.wrap(model_or(echo), name="turn")
