"""Configurations of a tuning, from YAML and from code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gpa_agent.alignment.config import TARGETS, TuningConfig, tuning_config
from gpa_agent.errors import UsageError


def test_the_defaults_are_the_settings_that_do_not_collapse() -> None:
    config = TuningConfig(base="b")
    assert config.loss_type == ("sigmoid", "sft")
    assert config.epochs == 1
    assert len(TARGETS) == 7
    assert list(config.target_modules) == sorted(config.target_modules)


def test_what_is_given_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("base: somewhere/else\nmethod: kto\nseed: 3\ngate:\n  min_people: 4\n")
    config = tuning_config(path, method="sft", seed=None)
    assert (config.base, config.method, config.seed) == ("somewhere/else", "sft", 3)
    assert config.gate.min_people == 4


def test_a_base_beside_the_file_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "c.yaml").write_text("base: base\n")
    assert tuning_config(tmp_path / "c.yaml").base == str(tmp_path / "base")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: b\nmethod: ppo\n", "method.*'rs-dpo'"),
        ("base: b\nmetod: dpo\n", "metod"),
        ("method: dpo\n", "--base FOLDER"),
        ("base: b\nlearning_rate: 3\n", "learning_rate"),
        ("base: b\nmethod: kto\nbatch_size: 1\n", "batch_size is 2 or more"),
        ("base: b\nquantization: 4bit\ndevice: cpu\n", "needs a GPU"),
        ("base: b\ngate:\n  min_peple: 4\n", "gate.min_peple"),
        ("base: b\ntarget_modules: [q_proj, q_proj]\n", "twice"),
        ("- base\n", "list of settings"),
        ("base: [\n", "cannot read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        tuning_config(path)


def test_a_missing_file_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        tuning_config(tmp_path / "none.yaml")


def test_configuration_and_manifest_load_no_torch() -> None:
    program = (
        "import sys; import gpa_agent.alignment.manifest, gpa_agent.alignment.tuning.tuning; "
        "print([m for m in ('torch', 'transformers', 'trl', 'peft') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
