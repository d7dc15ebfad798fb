"""gpa-agent: tailor a chat app's answers to groups of its users, with evidence.

Names load on first use, so that ``import gpa_agent`` is light: it brings in neither
LangGraph, nor Chroma, nor torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpa_agent.conversations.records import Conversation, Judgment, PreferencePair, Turn
    from gpa_agent.errors import GPAError
    from gpa_agent.rubrics.records import Aspect, Contrast, Rubric
    from gpa_agent.turn.context import GPAContext
    from gpa_agent.turn.middleware import GPAMiddleware
    from gpa_agent.workspace import Workspace

__version__ = "0.1.0"

__all__ = [
    "Aspect",
    "Contrast",
    "Conversation",
    "GPAContext",
    "GPAError",
    "GPAMiddleware",
    "Judgment",
    "PreferencePair",
    "Rubric",
    "Turn",
    "Workspace",
    "__version__",
]

_HOMES = {
    "Aspect": "gpa_agent.rubrics.records",
    "Contrast": "gpa_agent.rubrics.records",
    "Conversation": "gpa_agent.conversations.records",
    "GPAContext": "gpa_agent.turn.context",
    "GPAError": "gpa_agent.errors",
    "GPAMiddleware": "gpa_agent.turn.middleware",
    "Judgment": "gpa_agent.conversations.records",
    "PreferencePair": "gpa_agent.conversations.records",
    "Rubric": "gpa_agent.rubrics.records",
    "Turn": "gpa_agent.conversations.records",
    "Workspace": "gpa_agent.workspace",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- a module attribute can be anything
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
