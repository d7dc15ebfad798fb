"""``gpa finetune`` on a terminal: what it prints, and what it exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpa_agent import Workspace
from gpa_agent.alignment.manifest import serving
from gpa_agent.alignment.tuning.job import Folders
from tests.alignment.heap_world import write_groups
from tests.alignment.tiny_models import make_base
from tests.cli.support import Invoke


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """One with pairs of two groups."""
    path = tmp_path / "my.gpa"
    Workspace.open(path, groups=["novice", "expert"]).close()
    write_groups(path / "pairs", "novice", "expert")
    return path


def test_a_refused_model_ends_with_exit_code_4_and_the_reason(
    invoke: Invoke, workspace: Path, tmp_path: Path
) -> None:
    base = make_base(tmp_path / "base")  # random: its own answers do not end
    config = tmp_path / "c.yaml"
    config.write_text(
        "device: cpu\nbatch_size: 16\nmax_length: 128\nsave_steps: 100\n"
        "gate: {max_new_tokens: 4, samples: 1}\n"
    )
    done = invoke(
        "finetune",
        "-w",
        workspace,
        "--base",
        base,
        "--config",
        config,
        "--group",
        "novice",
        "--json",
    )
    assert done.exit_code == 4
    (group,) = json.loads(done.stdout)["groups"]
    assert (group["group"], group["status"]) == ("novice", "refused")
    assert (group["rows"], group["steps"]) == (48, 3)
    assert "error: 'novice' is refused: " in done.stderr
    assert "ending tells nothing" in done.stderr
    assert serving(Folders.of(workspace).finished("novice")) is None


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--base", "b", "--method", "ppo"], 2, "'kto-augmented'"),
        ([], 2, "--base FOLDER"),
        (["--base", "b", "--epochs", "-1"], 2, "epochs"),
        (["--base", "b", "--config", "none.yaml"], 2, "none.yaml"),
        (["--base", "b", "--group", "nobody"], 2, "'nobody'"),
        (["--merge", "out"], 2, "--group"),
        (["--merge", "out", "--group", "novice", "--force"], 2, "leave --force out"),
        (["--serve-command", "--epochs", "1", "--seed", "0"], 2, "leave --epochs, --seed out"),
        (["--serve-command", "--merge", "out"], 2, "leave --merge out"),
    ],
)
def test_misuse_says_what_to_do(
    invoke: Invoke, workspace: Path, words: list[str], code: int, said: str
) -> None:
    done = invoke("finetune", "-w", workspace, *words)
    assert done.exit_code == code
    assert said in done.stderr
    assert not (workspace / "models" / "groups").exists()


def test_without_pairs_it_is_bad_data(invoke: Invoke, workspace: Path) -> None:
    for path in (workspace / "pairs").iterdir():
        path.unlink()
    done = invoke("finetune", "-w", workspace, "--base", "b")
    assert (done.exit_code, "gpa pairs" in done.stderr) == (3, True)


def test_pairs_of_one_group_alone_are_bad_data_unless_it_is_named(
    invoke: Invoke, workspace: Path
) -> None:
    (workspace / "pairs" / "expert.jsonl").unlink()
    done = invoke("finetune", "-w", workspace, "--base", "b")
    assert (done.exit_code, "--group 'novice'" in done.stderr) == (3, True)
    named = invoke(
        "finetune", "-w", workspace, "--base", "b", "--group", "novice", "--launch-command"
    )
    assert named.exit_code == 0
    assert named.stdout.startswith("accelerate launch ")
    assert "untested" in named.stderr


def test_a_workspace_that_is_not_there_is_misuse(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("finetune", "-w", tmp_path / "none", "--base", "b").exit_code == 2
