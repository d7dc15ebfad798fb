"""Checkpoints that a killed run can go on from.

Trainers take the newest folder as it is; one that was being written when the process was killed
ends the next run with an error. Here a checkpoint counts only if every file in it is whole, which
can be told without loading any: safetensors files say how long they are, and what torch saves is
a zip archive with a checksum for every entry.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any, Final

from gpa_agent.alignment.fingerprints import tensors
from gpa_agent.errors import DataError

ADAPTER: Final = "adapter_model.safetensors"
ADAPTER_CONFIG: Final = "adapter_config.json"
STATE: Final = "trainer_state.json"
_NEEDED: Final = (ADAPTER, ADAPTER_CONFIG, STATE, "optimizer.pt", "scheduler.pt")
_NAMED: Final = re.compile(r"checkpoint-(\d+)")
_ARCHIVES: Final = frozenset({".pt", ".pth", ".bin"})


def whole_checkpoints(work: Path) -> list[Path]:
    """Checkpoints that can be gone on from, oldest first.

    Args:
        work: What the trainer writes into; may be missing.
    """
    return [path for path in _all(work) if is_whole(path)]


def sweep_torn(work: Path) -> int:
    """Delete checkpoints that are not whole.

    Args:
        work: What the trainer writes into.

    Returns:
        How many there were.
    """
    torn = [path for path in _all(work) if not is_whole(path)]
    for path in torn:
        shutil.rmtree(path)
    return len(torn)


def is_whole(checkpoint: Path) -> bool:
    """Whether everything in a checkpoint is there and undamaged.

    Args:
        checkpoint: Its folder.
    """
    if not all((checkpoint / name).is_file() for name in _NEEDED):
        return False
    try:
        tensors(checkpoint / ADAPTER)
        json.loads((checkpoint / ADAPTER_CONFIG).read_bytes())
        if state(checkpoint)["global_step"] != step_of(checkpoint):
            return False
        return all(_is_whole_archive(path) for path in checkpoint.iterdir())
    except (DataError, OSError, ValueError, KeyError):
        return False


def state(checkpoint: Path) -> dict[str, Any]:
    """What the trainer noted: steps done, everything it logged.

    Args:
        checkpoint: Its folder.
    """
    noted: dict[str, Any] = json.loads((checkpoint / STATE).read_bytes())
    return noted


def step_of(checkpoint: Path) -> int:
    """The step a checkpoint was written at.

    Args:
        checkpoint: Its folder, as the trainer names it.
    """
    return int(checkpoint.name.rpartition("-")[2])


def _all(work: Path) -> list[Path]:
    if not work.is_dir():
        return []
    return sorted((p for p in work.iterdir() if _NAMED.fullmatch(p.name)), key=step_of)


def _is_whole_archive(path: Path) -> bool:
    if path.suffix not in _ARCHIVES:
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except zipfile.BadZipFile:
        return False
