"""Undoing what was learned from a person, wherever it has got to; with a receipt.

The rows go first, in one transaction, and with them what is live and falls under k people. What
rests on the person without naming them follows, under the lock of learning: classifiers that may
have read their words are taken away and trained on the others', claims are weighed again (nobody
is asked), files that quote them are rewritten, the index is removed (the next search builds it),
group models are marked stale, and at last the ledger's file is written anew.

That second part is level-triggered, as learning is: what has to go follows from what the ledger
does not know any more, never from a list of the forgotten. So a process that finds somebody else
learning leaves it to them, and one that was killed half-way leaves it to the next
(:func:`settle`). A run that was at it when the rows went must not publish: it compares
``ledger.forget_epoch()`` with what it was when it began.

What it does not reach is said by the documentation: backups, what a chat model's provider keeps,
the app's own checkpoints, and a disk's freed blocks.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

from gpa_agent.calls.sweeping import FileChange, sweep
from gpa_agent.errors import StoreError
from gpa_agent.files import write_whole
from gpa_agent.learning import editing
from gpa_agent.learning.finding import model_of
from gpa_agent.learning.model_preferences import preference_source
from gpa_agent.ledger.exclusive import Busy
from gpa_agent.ledger.exports import Export
from gpa_agent.ledger.opening import utc_now
from gpa_agent.rubrics.records import ContrastModel
from gpa_agent.understanding.storage import has_classifier, remove_classifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpa_agent.ledger import Ledger
    from gpa_agent.settings import Settings

PATIENCE_SECONDS: Final = 30.0
"""How long forgetting waits for a run of learning to end before it leaves the rest to it."""

LEARNING: Final = "learning"
"""What the lock of learning is called."""

PAIRS: Final = "pairs"
"""The folder of contrastive pairs in a workspace: one file a group."""

_CLASSIFIERS: Final = ("intent", "group", "satisfaction")
_MANIFEST: Final = "manifest.json"
_STALE: Final = "stale.json"
_FORGOTTEN: Final = "a person whose words it was trained on was forgotten"

AFTER_LEARNING: Final = (
    "what rests on them is weighed again, and files that quote them are rewritten, by the next "
    "`gpa learn` or worker: another process is learning now"
)
AFTER_READING: Final = (
    "bytes of theirs may stay in the ledger's file until it can be rewritten: another process is "
    "reading it, or the disk is full; the next worker tries again"
)


class Retired(BaseModel):
    """An aspect that is not live any more."""

    model_config = ConfigDict(frozen=True)

    intent: str
    aspect: str


class Recomputed(BaseModel):
    """A rubric that was weighed again and has a new version."""

    model_config = ConfigDict(frozen=True)

    intent: str
    contrast: ContrastModel
    version: int


class Settled(BaseModel):
    """What became of things that rested on forgotten people."""

    model_config = ConfigDict(frozen=True)

    files: tuple[FileChange, ...] = ()
    """Files and folders that were removed, rewritten, or are not where they were."""
    stale: tuple[str, ...] = ()
    """Names of the group models that were trained on forgotten people's words."""
    compacted: bool = False
    """Whether the ledger's file was rewritten too."""


class Receipt(Settled):
    """What forgetting a person did."""

    person: str
    """Their keyed hash."""
    deleted: dict[str, int]
    """Rows by table; ``links`` to their preferences that were taken out of evidence."""
    retired: tuple[Retired, ...] = ()
    """What is not live any more."""
    recomputed: tuple[Recomputed, ...] = ()
    """What was weighed again."""
    pending: tuple[str, ...] = Field(default=())
    """What could not be done now, and who does it."""


class Workplace(Protocol):
    """What forgetting needs of a workspace."""

    @property
    def path(self) -> Path:
        """The workspace's folder."""
        ...

    @property
    def ledger(self) -> Ledger:
        """Where the rows are."""
        ...

    @property
    def settings(self) -> Settings:
        """How many people stand behind what is live."""
        ...

    def person(self, user_id: str) -> str:
        """The keyed hash of a user."""
        ...

    def let_go(self) -> None:
        """Close the index and drop classifiers from memory: their files are about to go."""
        ...

    def weigh_again(self) -> None:
        """Weigh what is left, asking nobody and serving nothing new; the lock is held."""
        ...


def forget(place: Workplace, user: str, *, wait_seconds: float = PATIENCE_SECONDS) -> Receipt:
    """Delete everything of a person, and recompute or retire what rested on them.

    Args:
        place: The workspace.
        user: The raw user id.
        wait_seconds: How long to wait for a run of learning to end.

    Returns:
        What was done, and what is left to whom.

    Raises:
        StoreError: The ledger cannot be written, and nothing was done; or a file cannot, and the
            next worker goes on from there.
    """
    ledger, person = place.ledger, place.person(user)
    before = _live(ledger)
    deleted = ledger.forget(person, min_people=place.settings.min_people)
    pending: list[str] = []
    try:
        settled = settle(place, wait_seconds=wait_seconds)
    except Busy:
        settled = Settled(compacted=ledger.compact())
        pending.append(AFTER_LEARNING)
    if not ledger.forgetting_compacted():
        pending.append(AFTER_READING)
    after = _live(ledger)
    return Receipt(
        **dict(settled),
        person=person,
        deleted=deleted,
        retired=tuple(_retired(before, after)),
        recomputed=tuple(_recomputed(before, after)),
        pending=tuple(pending),
    )


def settle(place: Workplace, *, wait_seconds: float = 0.0) -> Settled:
    """Do what forgetting has left to do, if anything; any process may, and a worker does.

    Args:
        place: The workspace.
        wait_seconds: How long to wait for a run of learning to end.

    Raises:
        Busy: Another process learns; it is left undone.
        StoreError: Something cannot be written; what is left is done next time.
    """
    ledger = place.ledger
    files: list[FileChange] = []
    stale: list[str] = []
    if not ledger.forgetting_settled():
        with ledger.exclusive(LEARNING, wait_seconds=wait_seconds):
            epoch = ledger.forget_epoch()
            _drop_claims(ledger)
            place.let_go()
            files += _without_classifiers(place.path / "models")
            place.weigh_again()
            # The workspace's own pairs are found by where they are: it may have been moved, or
            # be a copy, and what another workspace's files say is not ours to change.
            for export in (*_own_pairs(place.path / PAIRS), *ledger.exports()):
                files += sweep(ledger, export)
            files += _without_index(place.path / "chroma")
            files += _without_work(place.path / "models" / "work")
            stale += mark_stale(ledger, place.path / "models" / "groups")
            ledger.settle_forgetting(epoch)
    compacted = not ledger.forgetting_compacted() and ledger.compact()
    return Settled(files=tuple(files), stale=tuple(stale), compacted=compacted)


def _drop_claims(ledger: Ledger) -> None:
    """Calls and claims that quote many people, but those claims that are weighed again."""
    ledger.forget_stray_calls()
    model = model_of(str(ledger.last_summary().get("engine", "")))
    ledger.forget_claims(but=None if model is None else preference_source(model))


def _without_classifiers(models: Path) -> Iterator[FileChange]:
    """Take away what may have been trained on their words; weighing again trains on the others'."""
    for kind in _CLASSIFIERS:
        if has_classifier(models / kind):
            remove_classifier(models / kind)
            yield FileChange(path=str(models / kind), change="removed")
        (models / f"{kind}.json").unlink(missing_ok=True)


def _without_index(index: Path) -> Iterator[FileChange]:
    if not index.exists():
        return
    try:
        shutil.rmtree(index)
    except OSError as exc:
        raise StoreError(
            f"cannot remove the rubric index at {index}: {exc.strerror or exc}; delete the folder: "
            "the next search builds it"
        ) from exc
    yield FileChange(path=str(index), change="removed")


def _own_pairs(folder: Path) -> Iterator[Export]:
    for left in folder.glob(".*.jsonl.*"):
        left.unlink(missing_ok=True)
    for path in sorted(folder.glob("*.jsonl")):
        yield Export("lines", path)


def _without_work(work: Path) -> Iterator[FileChange]:
    """Take away what a tuning has not finished: its rows and checkpoints quote people."""
    if not work.exists():
        return
    try:
        shutil.rmtree(work)
    except OSError as exc:
        raise StoreError(
            f"cannot remove {work}: {exc.strerror or exc}; delete the folder: `gpa finetune` "
            "begins again"
        ) from exc
    yield FileChange(path=str(work), change="removed")


def mark_stale(ledger: Ledger, groups: Path) -> list[str]:
    """Mark group models whose manifest names people that are not here any more, or is damaged.

    Args:
        ledger: Who is known.
        groups: The folder of group models: one a group, and in it one a tuning.

    Returns:
        The models that are stale from now on, as ``<group's folder>/<tuning>``.

    Raises:
        StoreError: A mark cannot be written.
    """
    stale: list[str] = []
    for path in sorted(groups.glob(f"*/*/{_MANIFEST}")):
        manifest = _manifest(path)
        people: list[str] = manifest.get("people", []) if manifest is not None else []
        known = ledger.known_people(people)
        if manifest is not None and len(known) == len(people):
            continue
        note = json.dumps({"reason": _FORGOTTEN, "at": utc_now().isoformat()}, indent=2)
        write_whole(path.with_name(_STALE), note.encode())
        # The hash goes last: with it what tells that the model is stale.
        left = json.dumps({**(manifest or {}), "people": sorted(known)}, indent=2)
        write_whole(path, left.encode())
        stale.append(f"{path.parent.parent.name}/{path.parent.name}")
    return stale


def _manifest(path: Path) -> dict[str, Any] | None:
    """What a manifest says; None where it is damaged and may have named anybody."""
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        whole = all(isinstance(person, str) for person in said.get("people", []))
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return said if whole else None


_Live = dict[tuple[str, str, str], tuple[int, frozenset[str]]]


def _live(ledger: Ledger) -> _Live:
    """Version and names of what is live, by (intent, group, other)."""
    return {
        (r.intent, r.contrast.group, r.contrast.other): (
            r.version,
            frozenset(a.name for a in r.aspects),
        )
        for r in editing.live_rubrics(ledger)
    }


def _retired(before: _Live, after: _Live) -> list[Retired]:
    gone = {
        (key[0], name)
        for key, (_, names) in before.items()
        for name in names - (after[key][1] if key in after else frozenset())
    }
    return [Retired(intent=intent, aspect=name) for intent, name in sorted(gone)]


def _recomputed(before: _Live, after: _Live) -> list[Recomputed]:
    return [
        Recomputed(intent=i, contrast=ContrastModel(group=g, other=o), version=version)
        for (i, g, o), (version, _) in sorted(after.items())
        if (i, g, o) in before and before[i, g, o][0] != version
    ]
