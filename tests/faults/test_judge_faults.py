"""Fault F16: the judge answers with no judgment: that is unknown and counted, never "pleased".

How one answer is repaired, and when it is given up, is in `tests/calls/test_caller.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.testing.chat_models import ScriptedChatModel
from tests.faults.support import App, rows

NO_JUDGMENT = {
    "prose": AIMessage("The user was satisfied, I am sure of it!"),
    "half JSON": AIMessage('{"verdict": "satisfied", "confiden'),
    "wrong enum": AIMessage('{"verdict": "delighted", "confidence": 0.9, "evidence": "thanks"}'),
    "a number": AIMessage("1"),
    "a list": AIMessage('[{"verdict": "satisfied"}]'),
    "empty": AIMessage(""),
    "cut": AIMessage('{"verdict": "satis', response_metadata={"finish_reason": "length"}),
    "refused": AIMessage("", additional_kwargs={"refusal": "I cannot help with that."}),
}


@pytest.mark.parametrize("kind", NO_JUDGMENT)
def test_what_is_no_judgment_is_unknown_and_counted(
    kind: str, tmp_path: Path, app_of: Callable[..., App]
) -> None:
    judge = ScriptedChatModel(script=[NO_JUDGMENT[kind]])
    with Workspace.open(
        tmp_path / "ws", groups=["novice", "expert"], model=judge, encoder=HashingEncoder()
    ) as ws:
        app = app_of(ws)
        for number in range(3):
            for text in ("Why?", "Thank you, that is perfect!", "And how?"):
                assert app.ask(text, thread=f"t{number}").degraded is None
        report = ws.learn()
        assert report.model is not None
        assert report.stages["judge"].done == 6
        assert report.model.malformed + report.model.refused >= 6
        assert rows(ws, "SELECT count(*) FROM judgments WHERE judgment <> 0") == [(0,)]
        assert ws.stats()["live_aspects"] == 0
        assert app.ask("Still there?", thread="last").text == "plain"
