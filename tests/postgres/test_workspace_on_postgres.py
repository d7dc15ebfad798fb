"""A workspace whose ledger is in PostgreSQL: opened by URL or environment, and never by mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpa_agent import Workspace
from gpa_agent.conversations.records import Label
from gpa_agent.embedding import HashingEncoder
from gpa_agent.errors import UsageError, WorkspaceError


def say(ws: Workspace, n: int) -> None:
    ws.record_turn(
        conversation="t",
        key=str(n),
        user="Perfect, that fixed it, thank you!",
        assistant="Use sorted().",
        user_id="u",
        group=Label("novice", 1.0, "context"),
        intent=None,
        trace={"mode": "plain"},
    )


def test_the_environment_says_where_and_the_folder_remembers_without_the_password(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "w.gpa"
    with Workspace.open(folder, ledger=postgres_url, encoder=HashingEncoder()) as ws:
        for n in range(3):
            say(ws, n)
        assert ws.catch_up().judged == 2
    assert not (folder / "ledger.sqlite").exists()
    assert "postgresql" not in (folder / "settings.json").read_text()
    with pytest.raises(UsageError, match="set GPA_LEDGER"):
        Workspace.open(folder)
    assert not (folder / "ledger.sqlite").exists()
    monkeypatch.setenv("GPA_LEDGER", postgres_url)
    with Workspace.open(folder, encoder=HashingEncoder()) as ws:
        assert ws.stats()["judgments"] == 2


def test_another_people_key_is_refused(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace.open(tmp_path / "one.gpa", ledger=postgres_url).close()
    with pytest.raises(WorkspaceError, match="another key"):
        Workspace.open(tmp_path / "two.gpa", ledger=postgres_url)
    monkeypatch.setenv("GPA_PEOPLE_KEY", (tmp_path / "one.gpa" / "people.key").read_text().strip())
    Workspace.open(tmp_path / "two.gpa", ledger=postgres_url).close()
