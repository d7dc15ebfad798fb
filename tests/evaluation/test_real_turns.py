"""From turns of a wrapped app to the audit, nothing made up in between."""

from __future__ import annotations

from gpa_agent import GPAMiddleware, Workspace
from gpa_agent.conversations import Judgment
from gpa_agent.evaluation import audit
from gpa_agent.learning.harm import served_effects
from gpa_agent.testing.chat_models import ScriptedChatModel
from tests.turn.support import seed


def test_a_wrapped_apps_turns_tell_what_serving_did(workspace: Workspace) -> None:
    workspace.import_rubrics([seed("debugging")])
    graph = GPAMiddleware(workspace, holdout=0.5, learn="off").wrap(ScriptedChatModel())
    for n in range(80):
        user, thread = f"u{n % 20}", f"t{n}"
        asked = {"thread_id": thread, "user_id": user, "group": "novice", "intent": "debugging"}
        out = graph.invoke({"messages": [("user", "Why?")]}, {"configurable": asked})
        held_out = out["gpa"]["arm"] == "holdout"
        workspace.feedback(
            conversation=thread, turn=0, judgment=Judgment.SAT if held_out else Judgment.DSAT
        )
    rows = list(workspace.ledger.outcomes())
    assert {(r.arm, r.mode, bool(r.aspects)) for r in rows} == {
        ("tailored", "context", True),
        ("holdout", "plain", False),
    }
    # What was at hand is told of the held-out too, though nothing was applied.
    assert {(r.intent, r.group, r.version, r.own_intent) for r in rows} == {
        ("debugging", "novice", 1, "debugging")
    }
    assert audit(workspace).guided.lift == -1
    ((place, items),) = served_effects(workspace.ledger).harmed.items()
    assert place[0] == "debugging"
    assert items.keys() == {aspect.name for aspect in seed("debugging").aspects}
