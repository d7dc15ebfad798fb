"""Pairs that were made, written for other tools; registered, so that forgetting reaches them.

It reaches the files alone: what a tool has made of them (caches, checkpoints, models) it does not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from gpa_agent.alignment.pair import Pair, read_pairs
from gpa_agent.alignment.pairs.formats import ROWS, Format, Row, dataset_entry
from gpa_agent.alignment.pairs.making import pairs_file
from gpa_agent.errors import DataError, UsageError
from gpa_agent.files import write_whole
from gpa_agent.learning.forgetting import LEARNING, PAIRS

if TYPE_CHECKING:
    from gpa_agent.alignment.pair import Split
    from gpa_agent.workspace import Workspace

_SPLITS: Final[tuple[Split, ...]] = ("train", "holdout")
_DATASETS: Final = "dataset_info.json"


class Exported(BaseModel):
    """What was written."""

    model_config = ConfigDict(frozen=True)

    format: Format
    files: dict[str, int] = Field(default_factory=dict[str, int])
    """Rows by file; one file for each group and part."""
    datasets: tuple[str, ...] = ()
    """Names under which LLaMA-Factory knows them."""
    left_out: int = 0
    """Pairs of the log that the tool could not read: users and assistants do not take turns."""


def export_pairs(
    ws: Workspace, to: Format, folder: str | Path, *, groups: Sequence[str] = ()
) -> Exported:
    """Write the pairs of a workspace as another tool reads them.

    What `alignment.pairs.making.make_pairs` made is written; nothing is made here. A folder
    that holds a ``dataset_info.json`` already gets our entries beside its own.

    Args:
        ws: A workspace with pairs.
        to: The tool.
        folder: Where to; made where it is missing.
        groups: Whose; empty for all.

    Raises:
        UsageError: There are no pairs.
        DataError: A file of pairs, or the folder's ``dataset_info.json``, is damaged.
        StoreError: A file cannot be written.
    """
    where = Path(folder).expanduser()
    files: dict[str, int] = {}
    left_out = 0
    with ws.ledger.exclusive(LEARNING, wait_seconds=30.0):
        for source in _sources(ws, groups):
            pairs = _here(ws, list(read_pairs(source)))
            for split in _SPLITS:
                rows = [ROWS[to](pair) for pair in pairs if pair.split == split]
                fitting = [row for row in rows if row is not None]
                left_out += len(rows) - len(fitting)
                path = where / f"{source.stem}-{split}.jsonl"
                if _written(ws, path, fitting):
                    files[str(path)] = len(fitting)
    datasets = _make_known(where, files) if to == "llama-factory" else ()
    return Exported(format=to, files=files, datasets=datasets, left_out=left_out)


def _sources(ws: Workspace, groups: Sequence[str]) -> list[Path]:
    if groups:
        return [pairs_file(ws, group) for group in groups]
    found = sorted((ws.path / PAIRS).glob("*.jsonl"))
    if not found:
        raise UsageError(f"there are no pairs in {ws.path / PAIRS}: make them with 'gpa pairs'")
    return found


def _here(ws: Workspace, pairs: list[Pair]) -> list[Pair]:
    gone = ws.ledger.gone([pair.subject for pair in pairs])
    return [pair for pair in pairs if pair.subject not in gone]


def _written(ws: Workspace, path: Path, rows: Sequence[Row]) -> bool:
    """Write a file; where there is nothing to write, what an earlier export left there goes."""
    if not rows:
        if any(export.path == path.absolute() for export in ws.ledger.exports()):
            path.unlink(missing_ok=True)
        return False
    ws.ledger.add_export("lines", path)
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    write_whole(path, "".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
    return True


def _make_known(folder: Path, files: dict[str, int]) -> tuple[str, ...]:
    """Add the files to LLaMA-Factory's list of data sets."""
    path = folder / _DATASETS
    entries = {f"gpa_{Path(f).stem}": dataset_entry(Path(f).name) for f in files}
    listed = json.dumps({**_listed(path), **entries}, indent=2, ensure_ascii=False)
    write_whole(path, f"{listed}\n".encode())
    return tuple(entries)


def _listed(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as exc:
        raise DataError(
            f"{path} is no list of data sets ({exc}); mend it, or export to another folder"
        ) from exc
