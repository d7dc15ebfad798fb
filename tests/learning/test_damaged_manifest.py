"""A group model whose manifest is damaged may have been trained on anybody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder

DAMAGED = ('{"people": ["', "[]", '{"people": 3}', '{"people": [["x"]]}', "\xff\xfe")


@pytest.mark.parametrize("text", DAMAGED)
def test_forgetting_marks_it_stale_and_ends(tmp_path: Path, text: str) -> None:
    with Workspace.open(tmp_path / "w.gpa", encoder=HashingEncoder()) as ws:
        ws.record_turn(
            conversation="c",
            key="0",
            user="Hi",
            assistant="Hello.",
            user_id="ann",
            group=None,
            intent=None,
            trace={},
        )
        manifest = ws.path / "models" / "groups" / "novice" / "0001" / "manifest.json"
        manifest.parent.mkdir(parents=True)
        manifest.write_bytes(text.encode("latin-1"))
        assert ws.forget("ann")["stale"] == ["novice/0001"]
        assert ws.ledger.forgetting_settled()
        assert manifest.with_name("stale.json").exists()
        assert json.loads(manifest.read_text()) == {"people": []}
