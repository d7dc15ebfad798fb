"""A workspace's folder with tuned adapters in it, as tuning leaves them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from gpa_agent.alignment.config import TuningConfig
from gpa_agent.alignment.fingerprints import fingerprint
from gpa_agent.alignment.gating.verdict import Verdict
from gpa_agent.alignment.manifest import (
    STALE,
    Base,
    Data,
    Manifest,
    numbered,
    write_manifest,
)
from gpa_agent.alignment.pair import folder_name

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def put(
    workspace: Path,
    group: str,
    adapter: Path,
    base: Path,
    *,
    reasons: tuple[str, ...] = (),
    wishes: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    manifest: bool = True,
) -> Path:
    """Put an adapter into a workspace as the group's next run; refused where there are reasons."""
    finished = workspace / "models" / "groups" / folder_name(group)
    number = len(numbered(finished)) + 1
    folder = finished / f"{number:04d}"
    shutil.copytree(adapter, folder, ignore=shutil.ignore_patterns("README.md"))
    if manifest:
        write_manifest(folder, made(group, base, number, reasons, wishes))
    return folder


def made(
    group: str,
    base: Path,
    number: int,
    reasons: tuple[str, ...],
    wishes: Mapping[str, tuple[str, ...]],
) -> Manifest:
    """What tuning would say of it."""
    return Manifest(
        group=group,
        method="dpo",
        base=Base(name=str(base), **fingerprint(base).model_dump()),
        data=Data(sha256="0" * 64, pairs=24, held_out=4),
        people=("p1",),
        wishes=dict(wishes),
        config=TuningConfig(base=str(base)),
        seed=0,
        packages={},
        verdict=Verdict(passed=not reasons, reasons=reasons),
        inputs="0" * 64,
        created_at=WHEN.replace(day=number),
    )


def mark_stale(folder: Path) -> None:
    """Mark a run as forgetting does."""
    (folder / STALE).write_text("{}", encoding="utf-8")
