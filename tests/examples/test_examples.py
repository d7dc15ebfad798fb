"""Every example runs as its docstring says, in an empty folder, and is short enough to read."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def _run(name: str, *args: str, cwd: Path, seconds: float = 180) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GPA_", "OPENAI_"))}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *args],
        cwd=cwd,
        env={**kept, "HOME": str(cwd), "MPLCONFIGDIR": str(cwd.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(cwd.iterdir()) == []
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_examples_are_short_and_say_how_to_run_them(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert f"python examples/{path.name}" in text.split('"""')[1]
    assert "usage:" in _run(path.name, "--help", cwd=tmp_path)


def test_middleware_adds_to_the_prompt_and_only_for_the_group(tmp_path: Path) -> None:
    out = _run("middleware.py", cwd=tmp_path)
    novice, expert, nobody = re.split(r"--- asked as .*\n", out)[1:]
    assert novice.startswith("You help.\n\n<reader_preferences>")
    assert "- Explain in numbered steps." in novice
    assert "- Show the code first." in expert
    assert nobody.strip() == "You help."


@pytest.mark.slow
def test_planted_world_says_what_was_planted_and_found(tmp_path: Path) -> None:
    out = _run("planted_world.py", "--people", "60", "--conversations", "3", cwd=tmp_path)
    assert re.search(r"planning: .*\n  planted \{\}\n  found   \{\}", out)
    assert '"code_blocks": ' in out


@pytest.mark.slow
def test_learn_and_ask_answers_differently(tmp_path: Path) -> None:
    out = _run("learn_and_ask.py", cwd=tmp_path)
    assert "planning: no provable difference" in out
    novice, expert = re.split(r"--- asked as .*\n", out)[1:]
    assert novice.strip() != expert.strip()
