"""What a folder of a group model says of itself, and which one serves.

::

    models/groups/<group>/0001/    adapter_model.safetensors, adapter_config.json, README.md,
                                   curve.csv, curve.png, and manifest.json, written last

A folder without a manifest is a torn run. Nothing points to the one that serves: it is the
newest that the gate passed and that nobody marked stale, so there is no pointer to be wrong.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gpa_agent.alignment.config import TuningConfig
from gpa_agent.alignment.fingerprints import Fingerprint
from gpa_agent.alignment.gating.verdict import Verdict
from gpa_agent.alignment.pair import Pair
from gpa_agent.errors import DataError
from gpa_agent.files import write_whole

MANIFEST: Final = "manifest.json"
STALE: Final = "stale.json"
_NUMBERED: Final = re.compile(r"\d{4,}")


class Base(Fingerprint):
    """The base an adapter belongs to."""

    name: str
    """The folder or the name on the hub it was tuned on; a copy elsewhere is the same base."""


class Data(BaseModel):
    """The rows an adapter was tuned on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    """Of the rows, in their order."""
    pairs: int
    """Pairs they were made from."""
    held_out: int
    """Pairs kept for the gate."""
    held_out_sha256: str = ""
    """`people_digest` of those whose pairs they are; empty where it was not kept."""
    looks: int = 1
    """Checkpoints that the gate examined on them."""


class Manifest(BaseModel):
    """A finished run, passed or refused."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = 1
    group: str
    method: str
    base: Base
    data: Data
    people: tuple[str, ...]
    """Keyed hashes of those whose words it was tuned on; forgetting looks for them."""
    wishes: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    """By intent of the pairs it was tuned on: what their twins' guidance asks for; it serves while
    all of it is live. Empty where only people's own pairs were there."""
    rubric_versions: dict[str, int] = Field(default_factory=dict[str, int])
    """By intent: the newest rubric that a twin was written with."""
    config: TuningConfig
    seed: int
    packages: dict[str, str]
    metrics: dict[str, float] = Field(default_factory=dict[str, float])
    """Last logged at the step that was taken, what was not a number left out; of the ``rs-``
    methods also the reward model's accuracy on people it had not seen."""
    counts: dict[str, int] = Field(default_factory=dict[str, int])
    """Rows trained on, and what was left out by reason."""
    verdict: Verdict
    inputs: str
    """`inputs_digest`: a group is not tuned again on the same inputs."""
    created_at: datetime


class Run(BaseModel):
    """A numbered folder with a manifest."""

    model_config = ConfigDict(frozen=True)

    path: Path
    manifest: Manifest
    stale: bool
    """Whether it must not serve any more, as where somebody in it was forgotten."""


def inputs_digest(
    base: Fingerprint, pairs_sha256: str, config: TuningConfig, groups: Collection[str]
) -> str:
    """Digest of what decides what comes out, but the rubrics that the judge goes by.

    Args:
        base: The base; where it lies does not count.
        pairs_sha256: Of the group's pairs, the held-out ones too: they decide whether it serves.
        config: The configuration, seed included.
        groups: All that have pairs: the gate looks whether a model wins for another group too.
    """
    said = {
        "base": base.model_dump(include=set(Fingerprint.model_fields)),
        "pairs": pairs_sha256,
        "config": config.model_dump(mode="json", exclude={"base"}),
        "groups": sorted(groups),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def people_digest(pairs: Iterable[Pair]) -> str:
    """Digest of whose pairs these are: other words of the same people leave it as it is.

    Args:
        pairs: Those kept for the gate.
    """
    owners = sorted({pair.owner for pair in pairs})
    return hashlib.sha256(json.dumps(owners).encode()).hexdigest()


def looks_at(folder: Path, held_out_sha256: str) -> int:
    """How often the gate of a group's finished runs looked at the same people.

    Args:
        folder: The group's, under ``models/groups``.
        held_out_sha256: `people_digest` of their pairs.
    """
    data = (run.manifest.data for run in runs(folder))
    return sum(one.looks for one in data if one.held_out_sha256 == held_out_sha256)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, which makes the folder count.

    Args:
        folder: The run's; everything else is in it already.
        manifest: What it says.

    Raises:
        StoreError: It cannot be written.
    """
    write_whole(folder / MANIFEST, (manifest.model_dump_json(indent=2) + "\n").encode())


def read_manifest(folder: Path) -> Manifest:
    """Read what a run's folder says of itself.

    Args:
        folder: The run's.

    Raises:
        DataError: There is no manifest, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as exc:
        raise DataError(f"{str(folder)!r} is no finished group model: no {MANIFEST}") from exc
    except (OSError, ValidationError) as exc:
        raise DataError(f"{str(path)!r} is damaged; tune the group again") from exc


def numbered(folder: Path) -> list[Path]:
    """All numbered folders of a group, torn ones too, oldest first.

    Args:
        folder: The group's, under ``models/groups``.
    """
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if _NUMBERED.fullmatch(path.name))
    return sorted(found, key=lambda path: int(path.name))


def runs(folder: Path) -> Iterator[Run]:
    """The finished runs of a group, newest first; torn and damaged ones are passed over.

    Args:
        folder: The group's, under ``models/groups``.
    """
    for path in reversed(numbered(folder)):
        try:
            manifest = read_manifest(path)
        except DataError:
            continue
        yield Run(path=path, manifest=manifest, stale=(path / STALE).exists())


def serving(folder: Path) -> Run | None:
    """The run that serves a group: the newest that passed and is not stale.

    Args:
        folder: The group's, under ``models/groups``.
    """
    return next(
        (run for run in runs(folder) if run.manifest.verdict.passed and not run.stale), None
    )
