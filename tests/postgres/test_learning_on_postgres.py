"""A log is learned on PostgreSQL as it is on SQLite, to the last figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.ledger import Ledger
from gpa_agent.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

KEY = b"k" * 32


def learned(folder: Path, where: str, log: Path) -> list[dict[str, Any]]:
    settings = Settings(groups=("novice", "expert"), holdout=0.0)
    folder.mkdir()
    ledger = Ledger.open(where, people_key=KEY)
    with Workspace(folder, settings, ledger, HashingEncoder()) as ws:
        ws.ingest(log)
        ws.learn()
        return [rubric.model_dump(mode="json") for rubric in ws.export_rubrics()]


@pytest.mark.slow
def test_both_databases_learn_the_same(
    tmp_path: Path, postgres_url: str, chat_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPA_PERMUTATIONS", "1999")
    one = learned(tmp_path / "one", str(tmp_path / "ledger.db"), chat_log)
    two = learned(tmp_path / "two", postgres_url, chat_log)
    assert any(rubric["aspects"] for rubric in one)
    assert two == one
