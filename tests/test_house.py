"""The house stands: one import name, a light import, an honest public surface."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import gpa_agent

ROOT = Path(__file__).parents[1]


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout


def test_the_public_surface_is_what_all_says() -> None:
    assert gpa_agent.__all__ == sorted(gpa_agent.__all__)
    for name in gpa_agent.__all__:
        assert getattr(gpa_agent, name) is not None
    assert dir(gpa_agent) == gpa_agent.__all__
    contract = {
        "GPAMiddleware",
        "Workspace",
        "Conversation",
        "Turn",
        "Judgment",
        "Contrast",
        "Aspect",
        "Rubric",
        "GPAContext",
        "GPAError",
    }
    assert contract <= set(gpa_agent.__all__)


def test_importing_is_light() -> None:
    heavy = ("torch", "chromadb", "langgraph", "langchain_core", "sklearn", "sqlalchemy", "numpy")
    loaded = run(f"import sys, gpa_agent; print([m for m in {heavy!r} if m in sys.modules])")
    assert loaded.strip() == "[]"


def test_serving_loads_neither_torch_nor_chroma_nor_scikit_learn() -> None:
    loaded = run(
        "import sys; from gpa_agent import GPAMiddleware, Workspace; "
        "print([m for m in ('torch', 'chromadb', 'sklearn') if m in sys.modules])"
    )
    assert loaded.strip() == "[]"


def test_the_changelog_knows_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == gpa_agent.__version__
    assert f"## {gpa_agent.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_recipe_folders_are_not_packages() -> None:
    for folder in ("graphs", "adapters", "finetune", "examples"):
        assert (ROOT / folder).is_dir()
        assert not list((ROOT / folder).rglob("__init__.py"))


def test_every_decision_that_is_cited_exists() -> None:
    cited = {
        name
        for path in (ROOT / "gpa_agent").rglob("*.py")
        for name in re.findall(r"docs/decisions/([\w-]+\.md)", path.read_text())
    }
    assert cited <= {p.name for p in (ROOT / "docs" / "decisions").iterdir()}


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "docs" / "dependencies.md").read_text()
    for requirement in project["dependencies"]:
        name = re.split(r"[<>=\[ ]", requirement)[0]
        assert f"`{name}`" in text, name
