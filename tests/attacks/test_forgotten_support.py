"""A13: an item that just enough people support, one of whom is forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpa_agent import GPAMiddleware, Workspace
from gpa_agent.conversations.own_text import OPEN
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.testing.chat_world import ChatWorld
from tests.attacks.attack_logs import INTENT, open_workspace, write
from tests.turn.support import thread

K = 12
"""As many experts as an item needs."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Novices in plenty, and just K experts."""
    taste = {"steps": 2.5, "jargon": -2.5}
    world = ChatWorld(
        tastes={
            "novice": {INTENT: taste},
            "expert": {INTENT: {name: -by for name, by in taste.items()}},
        },
        intents=(INTENT,), people=30, conversations=5, explicit=1.0, seed=1,
    )  # fmt: skip
    records = list(world.log())
    experts = sorted({r["user"] for r in records if r["group"] == "expert"})
    kept = [r for r in records if r["group"] == "novice" or r["user"] in experts[:K]]
    return write(tmp_path / "log.jsonl", kept)


def _served(ws: Workspace, group: str) -> bool:
    model = ScriptedChatModel()
    keys = thread(f"asked by {group}", group=group, intent=INTENT)
    GPAMiddleware(ws, learn="off").chat_model(model).invoke("Why is the sky blue?", keys)
    return OPEN in model.prompts[0][0].text


def test_what_fewer_than_k_support_after_forgetting_is_out_at_once(
    tmp_path: Path, log: Path
) -> None:
    path = tmp_path / "ws"
    with open_workspace(path, holdout=0.0, min_people=K, min_turns=15) as ws:
        ws.ingest(log)
        (rubric,) = ws.learn().rubrics
        live = {a.name for a in rubric.aspects if a.status == "live"}
        people = {a.evidence.people["expert"] for a in rubric.aspects if a.evidence is not None}
        assert live
        assert people == {K}
        assert _served(ws, "novice")
        assert _served(ws, "expert")
        records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        receipt = ws.forget(next(r["user"] for r in records if r["group"] == "expert"))
        assert {a["aspect"] for a in receipt["retired"]} >= live
        assert not _served(ws, "novice")
        assert not _served(ws, "expert")
        assert ws.stats()["live_aspects"] == 0
        assert not ws.search_rubrics("steps")
    with Workspace.open(path) as again:
        assert not _served(again, "novice")
        assert not [a for r in again.export_rubrics() for a in r.aspects if a.status == "live"]
