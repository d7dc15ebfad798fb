"""Files that quote users, rid of what the ledger does not know any more.

Nobody needs to remember whom to look for: a line stays where what it is about is still in the
ledger, and goes otherwise. So it can be done again at any time, after any number of people were
forgotten, and over files that came back from a provider since. A question that quotes many people
(it names no subject) goes with its call.
"""

from __future__ import annotations

import glob
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from gpa_agent.errors import StoreError

if TYPE_CHECKING:
    from gpa_agent.ledger import Ledger
    from gpa_agent.ledger.exports import Export

_AT_ONCE: Final = 500
_SCRATCH: Final = re.compile(r"\..+\.jsonl\..+")
"""What a process leaves that is killed while it writes a file whole."""

_MANIFEST: Final = ".manifest.jsonl"
_Line = dict[str, Any]


class FileChange(BaseModel):
    """What became of a file when a person was forgotten."""

    model_config = ConfigDict(frozen=True)

    path: str
    change: Literal["removed", "rewritten", "missing"]
    """``missing``: a folder or file that was written here and is not found: whoever moved it
    away has what it quotes."""
    lines: int = 0
    """Lines taken out, where it is made of lines."""


def sweep(ledger: Ledger, export: Export) -> list[FileChange]:
    """Rid an export of what the ledger does not know any more.

    Args:
        ledger: What is still known.
        export: A folder of batch files, or a file of lines; nobody may write it meanwhile.

    Raises:
        StoreError: It cannot be read or written.
    """
    path = export.path
    try:
        if export.kind == "lines":
            _without_scratch(path)
        if not path.exists():
            return [FileChange(path=str(path), change="missing")]
        if export.kind == "lines":
            return _swept(path, lambda lines: _subjects_here(ledger, lines))
        waiting: set[str] = set()
        return [
            change
            for file in _batch_files(path)
            for change in _swept(file, lambda lines: _calls_here(ledger, lines, waiting))
        ]
    except OSError as exc:
        raise StoreError(
            f"cannot take a forgotten person out of {path}: {exc.strerror or exc}; check its "
            "permissions: the next `gpa learn` or worker tries again"
        ) from exc


def _without_scratch(path: Path) -> None:
    """Remove what a process left that was killed while it wrote the file whole."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        left.unlink(missing_ok=True)


def _batch_files(folder: Path) -> list[Path]:
    """Manifests first: they say what the requests are about that have no answer yet."""
    files = [f for f in (*folder.iterdir(), *(folder / "done").glob("*")) if f.is_file()]
    for left in files:
        if _SCRATCH.fullmatch(left.name):
            left.unlink(missing_ok=True)
    ours = [f for f in files if not f.name.startswith(".") and _names_calls(f)]
    return sorted(ours, key=lambda f: (not f.name.endswith(_MANIFEST), f))


def _names_calls(path: Path) -> bool:
    """Whether it begins as manifests, requests and results do; other files are not ours."""
    with path.open("rb") as file:
        first = _object(file.readline())
    return first is not None and not first.keys().isdisjoint({"custom_id", "subject"})


def _subjects_here(ledger: Ledger, lines: Sequence[_Line]) -> list[bool]:
    gone = ledger.gone([str(line.get("subject")) for line in lines])
    return [bool(line.get("subject")) and line["subject"] not in gone for line in lines]


def _calls_here(ledger: Ledger, lines: Sequence[_Line], waiting: set[str]) -> list[bool]:
    """Lines of manifests, whose calls are then waited for; of requests and of their results."""
    if "subject" in lines[0]:
        here = _subjects_here(ledger, lines)
        waiting |= {str(line["key"]) for line, stays in zip(lines, here, strict=True) if stays}
        return here
    known = waiting | ledger.calls([str(line.get("custom_id")) for line in lines]).keys()
    # A line that holds a key alone (of a question that was refused) quotes nobody.
    return [str(line.get("custom_id")) in known or len(line) == 1 for line in lines]


def _swept(path: Path, here: Callable[[Sequence[_Line]], list[bool]]) -> list[FileChange]:
    """Write a file anew with the lines that stay; remove it where none does."""
    stays = [stay for page in _pages(path) for stay in _decided(page, here)]
    dropped = stays.count(False)
    if not dropped:
        return []
    if dropped == len(stays):
        path.unlink()
        return [FileChange(path=str(path), change="removed", lines=dropped)]
    _rewrite(path, stays)
    return [FileChange(path=str(path), change="rewritten", lines=dropped)]


def _rewrite(path: Path, stays: Sequence[bool]) -> None:
    """A page at a time: batch files are large."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    scratch = Path(name)
    try:
        with os.fdopen(handle, "wb") as out, path.open("rb") as file:
            out.writelines(line for line, stay in zip(file, stays, strict=True) if stay)
            out.flush()
            os.fsync(out.fileno())
        scratch.chmod(path.stat().st_mode & 0o777)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _decided(page: Sequence[bytes], here: Callable[[Sequence[_Line]], list[bool]]) -> list[bool]:
    """What nobody can read goes: whose it is cannot be told."""
    lines = [_object(line) for line in page]
    readable = [line for line in lines if line is not None]
    decided = iter(here(readable) if readable else ())
    return [line is not None and next(decided) for line in lines]


def _object(line: bytes) -> _Line | None:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None


def _pages(path: Path) -> Iterator[list[bytes]]:
    with path.open("rb") as file:
        while page := list(islice(file, _AT_ONCE)):
            yield page
