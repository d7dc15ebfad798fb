"""What is learned after a turn, for LangGraph Studio: ``langgraph dev`` and pick "learn".

Each turn of "turn" and "agent" asks for a run, on a thread that belongs to its conversation
(``gpa.learn.thread`` in the turn's state); started by hand with no input it learns from whatever
waits. ``GPA_REFINE_AFTER_TURNS`` says after how many turns everything is weighed again.
"""

from __future__ import annotations

from gpa_agent.learning.graph import build_learn_graph
from graphs.workspace import workspace  # noqa: TID251 -- a file of the same recipe

learn = build_learn_graph(workspace)
