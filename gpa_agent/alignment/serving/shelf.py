"""Which adapters of a workspace may serve, by what is on disk; and why the others may not.

Level-triggered: nothing tells that a model was tuned, refused, marked stale or taken away, so the
folders are looked at again and again. A look is some system calls a folder; manifests are read
only where something changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gpa_agent.alignment.manifest import MANIFEST, STALE, Run, numbered, runs, serving

Signature = tuple[tuple[str, int, int, bool], ...]
"""Of every numbered folder: its path, its manifest's time and size, whether it is stale."""

_NO_MANIFEST = (0, -1)


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """What may serve, and what may not."""

    runs: Mapping[str, Run] = field(default_factory=dict[str, Run])
    """By group: the newest that passed and is not stale."""
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    """By group: why none of its runs may; where no run ever ended, by the folder's name."""


def signature(models: Path) -> Signature:
    """What `read_shelf` depends on, without reading a file.

    Args:
        models: The workspace's ``models``; may be missing.
    """
    return tuple(
        (str(run), *_stamp(run / MANIFEST), (run / STALE).exists())
        for folder in _folders(models)
        for run in numbered(folder)
    )


def may_serve(folder: Path) -> bool:
    """Tell whether a run that passed is still there and not stale.

    Args:
        folder: The run's.
    """
    return (folder / MANIFEST).exists() and not (folder / STALE).exists()


def read_shelf(models: Path) -> Shelf:
    """Read all manifests.

    Args:
        models: The workspace's ``models``; may be missing.
    """
    may: dict[str, Run] = {}
    refused: dict[str, str] = {}
    for folder in _folders(models):
        run = serving(folder)
        if run is not None:
            may[run.manifest.group] = run
            continue
        newest = next(runs(folder), None)
        if newest is not None:
            refused[newest.manifest.group] = _why_not(newest)
        elif numbered(folder):
            refused[folder.name] = "its run never ended: finish it with 'gpa finetune'"
    return Shelf(runs=may, refused=refused)


def _folders(models: Path) -> list[Path]:
    groups = models / "groups"
    return sorted(path for path in groups.iterdir() if path.is_dir()) if groups.is_dir() else []


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 -- twice a second for every run
    except OSError:
        return _NO_MANIFEST
    return found.st_mtime_ns, found.st_size


def _why_not(run: Run) -> str:
    if run.stale:
        return "stale: somebody it was tuned on was forgotten; tune it again with 'gpa finetune'"
    return f"refused by the gate: {'; '.join(run.manifest.verdict.reasons) or 'no reason given'}"
