"""A workspace whose served turns are simulated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from tests.evaluation.simulated_serving import Serving


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Serving]:
    """An app with 100 people, 20 of them held out, and nothing served yet."""
    Workspace.open(tmp_path / "ws", groups=["novice", "expert"]).close()
    serving = Serving(path=tmp_path / "ws" / "ledger.sqlite", people=100, held_out=20)
    with serving.ledger:
        yield serving


@pytest.fixture
def workspace(app: Serving) -> Iterator[Workspace]:
    """The workspace of the app."""
    with Workspace.open(app.path.parent, encoder=HashingEncoder()) as ws:
        yield ws
