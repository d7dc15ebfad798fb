"""One contrastive pair, and the file of them that training reads.

A line is TRL's conversational preference format (``prompt``, ``chosen``, ``rejected``: lists of
messages) with what our own stages need to know beside it. TRL leaves columns alone that it does
not know, so the file is its data set as it stands. ``subject`` is what forgetting looks for.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gpa_agent.errors import DataError, UsageError
from gpa_agent.files import write_whole

Split = Literal["train", "holdout"]

_SAFE: Final = re.compile(r"(?!.*-[0-9a-f]{8}$)[a-z0-9][a-z0-9_-]{0,47}")
"""A name that may stand as it is: not one that ends as a made one does."""


class Said(BaseModel):
    """One message, as chat templates take it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class Pair(BaseModel):
    """A prompt with the answer its group would choose and the one it would not.

    (S, A₊, A₋) of Group Preference Alignment, Algorithm 4.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: Annotated[tuple[Said, ...], Field(min_length=1)]
    """The conversation up to and including the user's last message."""
    chosen: Annotated[tuple[Said, ...], Field(min_length=1, max_length=1)]
    rejected: Annotated[tuple[Said, ...], Field(min_length=1, max_length=1)]
    subject: str
    """What it was made from, in the ledger's words: ``t:<conversation>:<idx>`` or ``pair:<id>``."""
    person: str | None = None
    """Keyed hash of whose turn it was."""
    group: str
    intent: str
    judgment: Literal[1, -1] | None = None
    """How the logged answer was judged: 1 makes it the chosen one, -1 the rejected one; None where
    both answers come from the record."""
    rubric_version: int | None = None
    """Version of the rubric whose guidance the twin was written with; None without a twin."""
    wishes: tuple[str, ...] = ()
    """What that guidance asks for, by name; a model tuned on it serves while all of it is live."""
    generator: str | None = None
    """Who wrote the twin, as ``openai:gpt-4o-mini``; None without a twin."""
    split: Split = "train"
    """``holdout`` is never trained on; all of an owner's pairs have the same."""

    @property
    def owner(self) -> str:
        """Whose it is: a person, or where nobody is named the conversation or pair it is from."""
        if self.person is not None:
            return self.person
        return self.subject.rpartition(":")[0] if self.subject.startswith("t:") else self.subject


def folder_name(group: str) -> str:
    """Name a group's folder and file; never a path of the group's own making.

    Args:
        group: The group's name; any text.

    Returns:
        The name itself where it is plain (``novice``), else one made from it and its hash.
    """
    if _SAFE.fullmatch(group):
        return group
    digest = hashlib.sha256(group.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    plain = re.sub(r"[^a-z0-9]+", "-", group.lower()).strip("-")[:32]
    return f"{plain or 'group'}-{digest}"


def write_pairs(path: Path, pairs: Iterable[Pair]) -> int:
    """Write pairs as JSON Lines, whole or not at all.

    Args:
        path: The file.
        pairs: What it is to hold.

    Returns:
        How many there were.

    Raises:
        StoreError: It cannot be written; what was there is untouched.
    """
    lines = [pair.model_dump_json(exclude_none=True) for pair in pairs]
    # What users wrote is nobody else's to read.
    content = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    write_whole(path, content, mode=0o600)
    return len(lines)


def read_pairs(path: Path) -> Iterator[Pair]:
    """Read what `write_pairs` wrote.

    Args:
        path: The file.

    Returns:
        The pairs, in the file's order.

    Raises:
        UsageError: There is no such file.
        DataError: A line is no pair; file and line are named.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _pair(path, number, line)
    except FileNotFoundError as exc:
        raise UsageError(f"there are no pairs at {path}: make them with 'gpa pairs'") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"cannot read the pairs at {path}: {exc}") from exc


def _pair(path: Path, number: int, line: str) -> Pair:
    try:
        return Pair.model_validate(json.loads(line))
    except (ValueError, ValidationError) as exc:
        what = exc.errors()[0]["loc"] if isinstance(exc, ValidationError) else "not JSON"
        raise DataError(
            f"{path}, line {number}: no preference pair ({what}); expected prompt, chosen and "
            "rejected as lists of messages, subject, group and intent; make them with 'gpa pairs'"
        ) from exc
