"""What all tests share: no network, no user's caches, a small learned workspace."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.testing.chat_world import ChatWorld
from tests.postgres.server import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]


@pytest.fixture(scope="session")
def chat_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated log: 60 people a group, tastes that differ in two of three intents."""
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    world = ChatWorld(people=60, seed=11)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in world.log())
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """An empty workspace that never looks for a sentence encoder."""
    with Workspace.open(
        tmp_path / "ws.gpa", groups=["novice", "expert"], encoder=HashingEncoder(), holdout=0.0
    ) as ws:
        yield ws


@pytest.fixture(autouse=True)
def _no_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("GPA_WORKSPACE", "GPA_LEDGER", "GPA_PEOPLE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    # A turn's own budget is for people who wait; on a machine that runs two tests at a time it
    # would end turns that a test is not about. Tests of the budget name one.
    monkeypatch.setenv("GPA_BUDGET_SECONDS", "30")


@pytest.fixture(scope="session")
def research_data() -> Path:
    """The folder of research data, or a skip that says where it was looked for."""
    folder = Path(os.environ.get("GPA_DATA", "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no research data at {folder}: set GPA_DATA")
    return folder
