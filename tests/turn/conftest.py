"""The turn's tests run on a real workspace with one hand-written rubric."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from gpa_agent.embedding.hashing import HashingEncoder
from gpa_agent.workspace import Workspace
from tests.turn.support import Turns, seed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace that every test gets a copy of: making one anew takes its time."""
    folder = tmp_path_factory.mktemp("template") / "my.gpa"
    with Workspace.open(folder, groups=["novice", "expert"], holdout=0.0) as made:
        made.import_rubrics([seed()])
    return folder


@pytest.fixture
def ws(template: Path, tmp_path: Path) -> Iterator[Workspace]:
    folder = shutil.copytree(template, tmp_path / "my.gpa")
    with Workspace.open(folder, encoder=HashingEncoder()) as opened:
        yield opened


@pytest.fixture
def turns(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> Turns:
    """Everything that is recorded; it is recorded in the workspace too."""
    seen = Turns()
    record = ws.record_turn

    def spy(**turn: Any) -> None:
        seen.append(turn)
        record(**turn)

    monkeypatch.setattr(ws, "record_turn", spy)
    return seen
