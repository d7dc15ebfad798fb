"""Publishing a tuned adapter: a numbered folder whose manifest is written last.

What a checkpoint holds for the trainer alone (optimizer, schedule, random state, arguments) are
pickles, and stays behind. Files get ordinary modes: the libraries write safetensors that only
their owner can read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpa_agent.alignment.manifest import MANIFEST, Manifest, numbered, write_manifest
from gpa_agent.alignment.tuning.card import model_card
from gpa_agent.alignment.tuning.checkpoints import ADAPTER, ADAPTER_CONFIG
from gpa_agent.alignment.tuning.curves import CURVE, PICTURE, History, as_csv, as_picture
from gpa_agent.files import write_whole


def publish(finished: Path, checkpoint: Path, manifest: Manifest, history: History) -> Path:
    """Write a run's folder; it counts once its manifest is there.

    Args:
        finished: The group's folder of numbered runs.
        checkpoint: Holds the adapter that was taken.
        manifest: What is known of the run.
        history: The trainer's log.

    Returns:
        The new folder.

    Raises:
        StoreError: Something cannot be written; what is there does not count.
    """
    before = numbered(finished)
    folder = finished / f"{int(before[-1].name) + 1 if before else 1:04d}"
    hub = not Path(manifest.base.name).is_dir()
    write_whole(folder / ADAPTER, (checkpoint / ADAPTER).read_bytes())
    write_whole(folder / ADAPTER_CONFIG, _adapter_config(checkpoint, manifest.base.name))
    write_whole(folder / "README.md", model_card(manifest, hub=hub).encode())
    write_whole(folder / CURVE, as_csv(history))
    picture = as_picture(history, f"{manifest.group}, {manifest.method}")
    if picture is not None:
        write_whole(folder / PICTURE, picture)
    write_manifest(folder, manifest)
    return folder


def sweep(finished: Path) -> int:
    """Delete folders that were being written when a run was killed.

    Args:
        finished: The group's folder of numbered runs.

    Returns:
        How many there were.
    """
    torn = [path for path in numbered(finished) if not (path / MANIFEST).exists()]
    for path in torn:
        shutil.rmtree(path)
    return len(torn)


def _adapter_config(checkpoint: Path, base: str) -> bytes:
    """The adapter's configuration in one order: PEFT keeps names of layers in a set."""
    said: Mapping[str, Any] = json.loads((checkpoint / ADAPTER_CONFIG).read_bytes())
    settled = {
        **said,
        "base_model_name_or_path": base,
        "inference_mode": True,
        "target_modules": sorted(said["target_modules"]),
    }
    return (json.dumps(settled, indent=2, sort_keys=True) + "\n").encode()
