"""What is installed is what is meant to be: one import name, and everything it needs to run."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEEDED = (
    "gpa_agent/py.typed",
    "gpa_agent/demo/log.jsonl.gz",
    "gpa_agent/demo/taxonomy.json",
    "gpa_agent/ledger/migrations/env.py",
    "gpa_agent/calls/prices.toml",
    "gpa_agent/ledger/migrations/versions/0001_first_schema.py",
    "gpa_agent/ledger/migrations/versions/0002_model_calls.py",
    "gpa_agent/prompts/data/aspects.toml",
    "gpa_agent/testing/topics.toml",
    "gpa_agent/testing/wishes.toml",
    "gpa_agent/understanding/weights/hashing.safetensors",
    "gpa_agent/understanding/weights/minilm.json",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the installed hatchling."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_one_import_name_and_all_it_needs(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"gpa_agent"}
    assert set(NEEDED) <= set(names)
    assert not [n for n in names if n.endswith((".pkl", ".pickle", ".pt", ".bin"))]


@pytest.mark.slow
def test_the_wheel_alone_learns_and_serves(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = (
        "import gpa_agent, sys; assert 'site' in gpa_agent.__file__, gpa_agent.__file__\n"
        "from gpa_agent import GPAMiddleware, Workspace\n"
        "from gpa_agent.demo import bundled_log\n"
        "from gpa_agent.embedding import HashingEncoder\n"
        "ws = Workspace.open('w.gpa', groups=['novice', 'expert'], encoder=HashingEncoder())\n"
        "with bundled_log() as log: ws.ingest(log)\n"
        "report = ws.learn()\n"
        "assert any(a.status == 'live' for r in report.rubrics for a in r.aspects)\n"
        "ask = {'messages': [('user', 'Why does my loop stop too early?')]}\n"
        "who = {'configurable': {'group': 'novice', 'intent': 'debugging'}}\n"
        "graph = GPAMiddleware(ws).wrap(lambda messages: 'plain answer')\n"
        "print(graph.invoke(ask, who)['gpa']['mode'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "context"
