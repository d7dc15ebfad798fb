"""A log of simulated users who say what they want, learned from with a simulated model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from langchain_core.language_models import BaseChatModel

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.learning.report import LearnReport
from gpa_agent.testing.simulated_chat_model import SimulatedChatModel
from gpa_agent.testing.voiced_world import VoicedWorld
from gpa_agent.testing.world_logs import write_log

WORLD = VoicedWorld(seed=0, people=80)


class Learned(NamedTuple):
    """A workspace that has learned, and what it reported."""

    path: Path
    report: LearnReport
    found: dict[str, set[str]]


def open_workspace(path: Path, model: BaseChatModel | None = None, **settings: Any) -> Workspace:
    """A workspace of the world, small and quick."""
    return Workspace.open(
        path,
        groups=list(WORLD.groups),
        model=model or SimulatedChatModel(),
        encoder=HashingEncoder(),
        permutations=999,
        bootstrap=200,
        **settings,
    )


def served(report: LearnReport) -> dict[str, set[str]]:
    """Names of the live aspects by intent."""
    return {r.intent: {a.name for a in r.aspects if a.status == "live"} for r in report.rubrics}


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world") / "log.jsonl"
    write_log(WORLD, path)
    return path


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Learned:
    """Learned once for all tests that only look, or copy it."""
    path = tmp_path_factory.mktemp("learned") / "ws"
    with open_workspace(path) as ws:
        ws.ingest(log)
        report = ws.learn()
    return Learned(path, report, served(report))
