"""What the tests of faults share: an app to talk to, tastes that are sure to be found."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage

from gpa_agent import GPAMiddleware, Workspace
from gpa_agent.testing.chat_world import ChatWorld
from gpa_agent.testing.living_world import LivingWorld


def strong() -> dict[str, dict[str, dict[str, float]]]:
    """Two groups that differ starkly in one intent."""
    return {
        "novice": {"debugging": {"warmth": 1.8, "questions_back": -1.8}},
        "expert": {"debugging": {"warmth": -1.8, "questions_back": 1.8}},
    }


OUTSPOKEN = LivingWorld(
    world=ChatWorld(
        tastes=strong(),
        intents=("debugging",),
        people=20,
        explicit=0.8,
        voiced=1.0,
        mood=0.0,
        own_taste=0.0,
        label_noise=0.0,
    )
)
"""Few people who always say what they think: what they want is learned from 90 visits."""


def show_prompt(messages: list[BaseMessage]) -> str:
    """Answer with the system text, or say that there is none."""
    said = [m.text for m in messages if m.type == "system"]
    return "\n".join(said) or "plain"


class App:
    """An app with our middleware in it.

    Args:
        graph: What is invoked.
        middleware: Ours.
    """

    def __init__(self, graph: Any, middleware: GPAMiddleware[Any]) -> None:
        self.graph = graph
        self.middleware = middleware

    def ask(
        self, text: str = "Why?", *, thread: str = "t", user: str = "u", group: str = "novice"
    ) -> Answer:
        """Say something; the key is the text, so that saying it again is the same turn."""
        who = {"thread_id": thread, "user_id": user, "group": group, "intent": "debugging"}
        message = HumanMessage(text, id=f"{thread}/{text}")
        state = self.graph.invoke({"messages": [message]}, {"configurable": who})
        return Answer(state)


class Answer:
    """What came back.

    Args:
        state: The graph's state.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.text: str = state["messages"][-1].text
        self.trace: Mapping[str, Any] = state["gpa"]

    @property
    def degraded(self) -> str | None:
        """Why something of ours failed, or None."""
        reason: str | None = self.trace["degraded"]
        return reason


def rows(ws: Workspace, query: str) -> list[tuple[Any, ...]]:
    """What the ledger's file holds."""
    with closing(sqlite3.connect(ws.path / "ledger.sqlite", timeout=10)) as ledger:
        found = ledger.execute(query).fetchall()
        ledger.commit()
    return found


def learned(ws: Workspace) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that was concluded from what was said, in no order and without times."""
    return {
        "judgments": sorted(
            rows(ws, "SELECT conversation_id, idx, kind, judgment, source FROM judgments")
        ),
        "preferences": sorted(rows(ws, "SELECT id, subject_id, idx, polarity FROM preferences")),
        "measured": sorted(rows(ws, "SELECT input_id, key FROM stage_results")),
        "labels": sorted(rows(ws, "SELECT subject_id, kind, value FROM labels")),
        "live": sorted(
            (r.intent, a.name, tuple(sorted(a.evidence.turns.items())) if a.evidence else ())
            for r in ws.export_rubrics()
            for a in r.aspects
        ),
    }


def files(folder: Path) -> dict[str, bytes]:
    """The bytes of every file of a folder that is written whole or not at all."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in {".json", ".safetensors", ".key"}
    }
