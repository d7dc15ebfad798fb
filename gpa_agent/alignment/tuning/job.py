"""What the tuning process is told, in one file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

from gpa_agent.alignment.config import TuningConfig
from gpa_agent.alignment.pair import Pair, folder_name, read_pairs
from gpa_agent.errors import DataError
from gpa_agent.rubrics.records import Rubric

GROUPS: Final = "groups"
WORK: Final = "work"


class Folders(BaseModel):
    """Where pairs are read and models are written."""

    model_config = ConfigDict(frozen=True)

    pairs: Path
    """One file a group, as ``gpa pairs`` writes them."""
    models: Path
    """Gets ``groups/`` with what is finished and ``work/`` with what is not."""

    @classmethod
    def of(cls, workspace: Path) -> Self:
        """Those of a workspace's folder."""
        return cls(pairs=workspace / "pairs", models=workspace / "models")

    def finished(self, group: str) -> Path:
        """The folder of a group's numbered runs."""
        return self.models / GROUPS / folder_name(group)

    def work(self, group: str) -> Path:
        """The folder of a group's checkpoints: the only place where pickles lie."""
        return self.models / WORK / folder_name(group)

    def pairs_of(self, group: str) -> list[Pair]:
        """A group's pairs, train and held out.

        Raises:
            UsageError: It has none.
            DataError: A line is no pair, or another group's.
        """
        path = self.pairs / f"{folder_name(group)}.jsonl"
        pairs = list(read_pairs(path))
        for number, pair in enumerate(pairs, start=1):
            if pair.group != group:
                raise DataError(f"{path}, line {number}: a pair of group {pair.group!r}")
        return pairs

    def groups(self) -> list[str]:
        """The groups that have pairs, in the order of their files.

        Raises:
            DataError: The first line of a file is no pair.
        """
        first = (next(iter(read_pairs(path)), None) for path in sorted(self.pairs.glob("*.jsonl")))
        return [pair.group for pair in first if pair is not None]


class Job(BaseModel):
    """What the tuning process has to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folders: Folders
    config: TuningConfig
    groups: tuple[str, ...]
    """To tune, in this order."""
    rubrics: tuple[Rubric, ...] = ()
    """What is live, for the judge."""
    force: bool = False
    """Whether to tune again what is finished."""
    dry_run: bool = False
    """Whether only to say what would be done."""


def pairs_digest(pairs: Sequence[Pair]) -> str:
    """Digest of pairs in their order."""
    whole = hashlib.sha256()
    for pair in pairs:
        whole.update(pair.model_dump_json().encode("utf-8", "surrogatepass") + b"\n")
    return whole.hexdigest()


def newest_rubrics(pairs: Sequence[Pair]) -> Mapping[str, int]:
    """By intent, the newest rubric that a twin was written with."""
    versions: dict[str, int] = {}
    for pair in pairs:
        if pair.rubric_version is not None:
            newest = max(pair.rubric_version, versions.get(pair.intent, 0))
            versions[pair.intent] = newest
    return versions


def wishes_of(pairs: Sequence[Pair]) -> dict[str, tuple[str, ...]]:
    """By intent, everything that the twins' guidance asks for."""
    found: dict[str, set[str]] = {}
    for pair in pairs:
        found.setdefault(pair.intent, set()).update(pair.wishes)
    return {intent: tuple(sorted(found[intent])) for intent in sorted(found)}
