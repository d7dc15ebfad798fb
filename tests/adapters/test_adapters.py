"""Every adapter runs as its docstring says: on files of the same shape, and on the data if here."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADAPTERS = sorted((ROOT / "adapters").glob("*.py"))
DATA = Path(os.environ.get("GPA_DATA", ROOT.parent / "shared" / "data"))

needs_data = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="no research data: set GPA_DATA"),
]


def _run(name: str, *args: str | Path, cwd: Path) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GPA_", "OPENAI_"))}
    done = subprocess.run(
        [sys.executable, str(ROOT / "adapters" / name), *map(str, args)],
        cwd=cwd,
        env={**kept, "HOME": str(cwd), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda p: p.name)
def test_adapters_say_how_to_run_them(path: Path, tmp_path: Path) -> None:
    assert f"python adapters/{path.name}" in path.read_text(encoding="utf-8").split('"""')[1]
    assert "usage:" in _run(path.name, "--help", cwd=tmp_path)


def _dialogue(n: int, expertise: str, satisfaction: int | None) -> dict[str, Any]:
    said = ["I want a bicycle.", "Which kind?", "A quiet one.", "Take this one."]
    roles = ["user", "assistant"] * 2
    return {
        "id": f"d{n}",
        "domain": "bicycle",
        "expertise": expertise,
        "satisfaction": satisfaction,
        "comment": "fine",
        "completed": True,
        "messages": [{"role": r, "content": s} for r, s in zip(roles, said, strict=True)],
    }


def test_recquest_puts_the_rating_on_the_last_answers(tmp_path: Path) -> None:
    ratings = [5, 4, 3, 2, 1, None]
    levels = ["Novice", "Expert", "Intermediate"]
    _write(tmp_path / "d.jsonl", [_dialogue(n, levels[n % 3], r) for n, r in enumerate(ratings)])
    out = _run("recquest.py", "--data", "d.jsonl", "--workspace", "ws", cwd=tmp_path)
    assert "not tested" in out
    log = _read(tmp_path / "recquest.jsonl")
    assert [r["group"] for r in log[:3]] == ["novice", "expert", "intermediate"]
    assert {r["intent"] for r in log} == {"bicycle"}
    # 5 and 4 pleased, 3 neither, 2 and 1 displeased, none without a rating.
    assert [r["messages"][-1].get("judgment") for r in log] == [1, 1, 0, -1, -1, None]
    assert all("judgment" not in m for r in log for m in r["messages"][:-1])
    _run("recquest.py", "--data", "d.jsonl", "--workspace", "w2", "--last", "2", cwd=tmp_path)
    both = _read(tmp_path / "recquest.jsonl")[0]["messages"]
    assert [m.get("judgment") for m in both] == [None, 1, None, 1]


def _pair(n: int, kind: str) -> dict[str, Any]:
    """Controversial talk wants prose, other talk wants lists; one in ten the other way round."""
    rng = Random(n)
    listed = "There are two sides:\n\n- one is this\n- one is that\n- one is neither"
    prose = "There are two sides, and people of good will stand on both of them, as it were."
    wants_list = (kind != "controversy guided") != (rng.random() < 0.1)
    age = ["18-24", "45-54"][n % 2]
    degree = ["university bachelors degree", "vocational"][n // 2 % 2]
    profile = (
        f"The person is {['female', 'male'][n // 4 % 2]}. The person is {age} years old. "
        f"The person's highest education level is {degree}. The person is number {n // 2}."
    )
    return {
        "question": f"What do you think of matter {n}?",
        "chosen": listed if wants_list else prose,
        "rejected": prose if wants_list else listed,
        "user_profile": profile,
        "conversation_type": kind,
    }


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("gender", {"female", "male"}),
        ("education", {"degree", "no degree"}),
        ("age", {"under 25", "25 and over"}),
        ("conversation_type", {"controversial", "other talk"}),
    ],
)
def test_prism_splits(tmp_path: Path, by: str, groups: set[str]) -> None:
    kinds = ["controversy guided", "unguided", "values guided"]
    _write(tmp_path / "p.jsonl", [_pair(n, kinds[n % 3]) for n in range(240)])
    out = _run("prism.py", "--data", "p.jsonl", "--by", by, "--workspace", "ws", cwd=tmp_path)
    log = _read(tmp_path / f"prism-{by}.jsonl")
    assert {r["group"] for r in log} == groups
    assert len({r["user"] for r in log}) <= 240
    assert re.search("lists", out) if by == "conversation_type" else "no provable difference" in out


def test_existing_agent_keeps_its_tools_and_prompt(tmp_path: Path) -> None:
    plain = _run("existing_agent.py", "--group", "expert", cwd=tmp_path)
    tailored = _run("existing_agent.py", "--group", "novice", cwd=tmp_path)
    for out in (plain, tailored):
        assert "tool call: server_status({'name': 'build'})" in out
        assert "tool: build: up since Monday" in out
    assert "ai: Yes." in plain
    assert "ai: 1. I looked" in tailored
    assert "'aspects': ['steps']" in tailored
    assert list(tmp_path.iterdir()) == []


class TestOnTheData:
    """What the data are known to hold; see the adapters' docstrings."""

    pytestmark = needs_data

    @pytest.mark.slow
    def test_recquest(self, tmp_path: Path) -> None:
        data = DATA / "recquest" / "dialogues.jsonl"
        out = _run("recquest.py", "--data", data, "--workspace", "ws", cwd=tmp_path)
        for domain in ("bicycle", "laptop", "smartwatch"):
            assert domain in out

    @pytest.mark.parametrize("by", ["gender", "education", "age"])
    def test_prism_people_do_not_differ(self, tmp_path: Path, by: str) -> None:
        data = DATA / "prism" / "pairs.jsonl"
        out = _run("prism.py", "--data", data, "--by", by, "--workspace", "ws", cwd=tmp_path)
        assert "no provable difference" in out
        assert ": 0 live" in out

    def test_prism_controversial_talk_wants_fewer_lists(self, tmp_path: Path) -> None:
        data = DATA / "prism" / "pairs.jsonl"
        out = _run(
            *("prism.py", "--data", data, "--by", "conversation_type", "--workspace", "ws"),
            cwd=tmp_path,
        )
        assert re.search(r"^\s*lists .*-\d\.\d\d \[.*live", out, re.MULTILINE)
