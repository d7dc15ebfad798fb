"""The README is true: its Python runs, its one-command blocks are what CI runs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.testing.simulated_chat_model import SimulatedChatModel

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_every_python_block_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chat_log: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPA_MINILM", "")
    monkeypatch.setenv("GPA_PERMUTATIONS", "1999")
    shutil.copy(chat_log, "log.jsonl")
    names: dict[str, Any] = {
        "model": ScriptedChatModel(script=["From the agent."]),
        "tools": [],
        "app": ScriptedChatModel(script=["From the app."]),
        "judge": SimulatedChatModel(),
    }
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)  # executing the README is the test
    names["ws"].close()
    assert names["report"].rubrics
    assert names["other"].settings.model == "simulatedchatmodel:simulated"
    assert names["result"]["gpa"]["group"] == "novice"
    assert names["result"]["messages"][-1].content == "From the app."


def test_the_log_format_is_read(tmp_path: Path) -> None:
    from gpa_agent.conversations.reading import read_log

    lines = blocks("json")[0]
    (tmp_path / "log.jsonl").write_text(lines, encoding="utf-8")
    kinds = [type(record).__name__ for record in read_log(tmp_path / "log.jsonl")]
    assert kinds == ["Conversation", "PreferencePair"]
    assert all(json.loads(line) for line in lines.splitlines())


def test_try_it_and_test_it_have_one_command_each() -> None:
    for heading in ("## Try it", "## Test it"):
        section = README.split(heading, 1)[1].split("\n## ", 1)[0]
        commands = re.findall(r"```bash\n(.*?)```", section, flags=re.DOTALL)
        assert len(commands) == 1
        assert len(commands[0].strip().splitlines()) == 1
