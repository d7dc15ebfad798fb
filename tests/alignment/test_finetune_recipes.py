"""The recipes in ``finetune/group_models``: each is valid, says how it is run, and runs."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gpa_agent import Workspace
from gpa_agent.alignment.config import Method, tuning_config
from gpa_agent.cli.app import app
from tests.alignment.heap_world import write_groups
from tests.alignment.tiny_models import make_base

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "finetune" / "group_models").glob("*.yaml"))
METHODS: tuple[Method, ...] = ("dpo", "kto", "kto-augmented", "sft", "rs-sft", "rs-dpo")


def command_on_top(recipe: Path) -> list[str]:
    first = recipe.read_text().splitlines()[0]
    assert first.startswith("# Run: ")
    return shlex.split(first.removeprefix("# Run: ").removeprefix("$(").removesuffix(")"))


def test_there_is_one_for_every_method() -> None:
    assert {tuning_config(r, base="b").method for r in RECIPES} == set(METHODS)
    assert {f"{method}.yaml" for method in METHODS} <= {recipe.name for recipe in RECIPES}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_the_command_on_top_runs_the_recipe_it_stands_in(recipe: Path) -> None:
    command = command_on_top(recipe)
    assert command[:2] == ["gpa", "finetune"]
    assert ROOT / command[command.index("--config") + 1] == recipe


def test_the_command_on_top_runs(tmp_path: Path) -> None:
    recipe = ROOT / "finetune" / "group_models" / "miniature.yaml"
    workspace, base = tmp_path / "my.gpa", make_base(tmp_path / "base")
    Workspace.open(workspace, groups=["novice", "expert"]).close()
    write_groups(workspace / "pairs", "novice", "expert")
    here = {"my.gpa": str(workspace), "./my-base": str(base)}
    command = [here.get(word, word) for word in command_on_top(recipe)]
    command[command.index("--config") + 1] = str(recipe)
    done = CliRunner().invoke(app, [*command[1:], "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "novice: to be tuned" in done.output
