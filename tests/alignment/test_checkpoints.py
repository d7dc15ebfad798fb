"""Checkpoints: whole ones are told from torn ones without loading any."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from gpa_agent.alignment.tuning.checkpoints import (
    ADAPTER,
    ADAPTER_CONFIG,
    STATE,
    is_whole,
    step_of,
    sweep_torn,
    whole_checkpoints,
)


def checkpoint(work: Path, step: int) -> Path:
    """What the trainer leaves at a step."""
    import torch

    folder = work / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    save_file({"lora": np.ones(8, dtype=np.float32)}, folder / ADAPTER)
    (folder / ADAPTER_CONFIG).write_text("{}")
    (folder / STATE).write_text(json.dumps({"global_step": step}))
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
        torch.save({"state": torch.arange(1000)}, folder / name)
    return folder


def cut(name: str) -> Callable[[Path], None]:
    def half(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return half


def missing(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def zeros_in_the_middle(folder: Path) -> None:
    """What a file has whose pages had not reached the disk."""
    content = bytearray((folder / "optimizer.pt").read_bytes())
    content[2000:4000] = bytes(2000)
    (folder / "optimizer.pt").write_bytes(content)


def of_another_step(folder: Path) -> None:
    (folder / STATE).write_text(json.dumps({"global_step": 99}))


def test_what_the_trainer_leaves_is_whole(tmp_path: Path) -> None:
    assert is_whole(checkpoint(tmp_path, 5))


@pytest.mark.parametrize(
    "tear",
    [
        *(cut(name) for name in (ADAPTER, STATE, "optimizer.pt", "rng_state.pth")),
        *(missing(name) for name in (ADAPTER, STATE, "scheduler.pt", ADAPTER_CONFIG)),
        zeros_in_the_middle,
        of_another_step,
    ],
)
def test_a_torn_one_is_stepped_over_and_swept(tmp_path: Path, tear: Callable[[Path], None]) -> None:
    before = checkpoint(tmp_path, 5)
    tear(checkpoint(tmp_path, 10))
    assert whole_checkpoints(tmp_path) == [before]
    assert sweep_torn(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [before]


def test_they_are_ordered_by_step_not_by_name(tmp_path: Path) -> None:
    for step in (10, 9, 100):
        checkpoint(tmp_path, step)
    (tmp_path / "runs").mkdir()
    assert [step_of(path) for path in whole_checkpoints(tmp_path)] == [9, 10, 100]


def test_where_nothing_was_written_there_are_none(tmp_path: Path) -> None:
    assert whole_checkpoints(tmp_path / "none") == []
    assert sweep_torn(tmp_path / "none") == 0
