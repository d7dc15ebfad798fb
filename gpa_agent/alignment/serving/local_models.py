"""A workspace's adapters in this process, following what is on disk.

A thread looks twice a second which adapters may serve (`alignment.serving.shelf`). One that was
marked stale, refused or taken away is withdrawn at that look. For a new one a new engine is
loaded, with all that may serve, in a thread of its own; until it is ready the old engine serves
on, and then it is let go of: whoever was sent to it is answered by it, and when the last is, it
ends. The hot path reads memory only.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import BaseMessage
from pydantic import Field
from typing_extensions import override

from gpa_agent.alignment.bases import find_base
from gpa_agent.alignment.deps import require
from gpa_agent.alignment.fingerprints import fingerprint, tensors
from gpa_agent.alignment.manifest import Run
from gpa_agent.alignment.serving.adapters import UnfitAdapter, check_adapter
from gpa_agent.alignment.serving.group_models import GroupModels
from gpa_agent.alignment.serving.local import LocalEngine
from gpa_agent.alignment.serving.local_chat import ChatLocal
from gpa_agent.alignment.serving.shelf import Shelf, Signature, may_serve, read_shelf, signature
from gpa_agent.alignment.tuning.checkpoints import ADAPTER
from gpa_agent.errors import DataError, GPAError, ModelError

if TYPE_CHECKING:
    from gpa_agent.alignment.serving.asking import Request
    from gpa_agent.workspace import Workspace

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
"""How often it is looked whether something changed."""


class GroupChat(ChatLocal):
    """One group's model; it answers no more once it is withdrawn, whoever still holds it."""

    withdrawn: threading.Event = Field(default_factory=threading.Event, exclude=True, repr=False)

    @override
    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, given: dict[str, Any], **own: Any
    ) -> Request:
        if self.withdrawn.is_set():
            raise ModelError(
                f"the model of group {self.adapter!r} was withdrawn; look it up for every call"
            )
        return super()._request(messages, stop, given, **own)


@dataclass(frozen=True, kw_only=True)
class _Serving:
    """What serves at a moment; replaced as a whole."""

    chats: Mapping[str, GroupChat] = field(default_factory=dict[str, GroupChat])
    runs: Mapping[str, Run] = field(default_factory=dict[str, Run])
    """What is loaded, by group; the groups of `chats` and those withdrawn since."""
    engine: LocalEngine | None = None


class LocalGroupModels(GroupModels):
    """See `GroupModels.local`."""

    def __init__(
        self,
        workspace: Workspace | Path | str,
        *,
        base: Path | str | None = None,
        engine: Mapping[str, Any] | None = None,
        answers: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__({})
        folder = workspace if isinstance(workspace, Path | str) else workspace.path
        self._folder = Path(folder).expanduser() / "models"
        self._base = base
        self._engine_options = dict(engine or {})
        self._answers = dict(answers or {})
        self._serving = _Serving()
        self._shelf = Shelf()
        self._seen: Signature | None = None
        self._unfit: Mapping[str, str] = {}
        self._state = threading.Lock()
        self._loading = threading.Lock()
        self._closed = threading.Event()
        self.reload()
        weakref.finalize(self, self._closed.set)
        looking = (weakref.ref(self), self._closed)
        threading.Thread(target=_look_on, args=looking, name="gpa-shelf", daemon=True).start()

    # The mapping ----------------------------------------------------------------------------

    @override
    def __getitem__(self, group: str) -> GroupChat:
        return self._serving.chats[group]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._serving.chats)

    @override
    def __len__(self) -> int:
        return len(self._serving.chats)

    @override
    def tuned_for(self, group: str) -> Mapping[str, frozenset[str]] | None:
        run = self._serving.runs.get(group)
        if run is None or not run.manifest.wishes:
            return None
        return {intent: frozenset(asked) for intent, asked in run.manifest.wishes.items()}

    @override
    def refused(self) -> Mapping[str, str]:
        return {**self._shelf.refused, **self._unfit}

    # What changes -----------------------------------------------------------------------------

    @override
    def refresh(self) -> None:
        if self._look() and not self._loading.locked():
            threading.Thread(target=self._load_new, name="gpa-load", daemon=True).start()

    @override
    def reload(self) -> None:
        self._look(anew=True)
        with self._loading:
            self._load()

    @override
    def close(self) -> None:
        self._closed.set()
        with self._loading, self._state:
            engine, self._serving = self._serving.engine, _Serving()
        if engine is not None:
            engine.close()

    def _look(self, *, anew: bool = False) -> bool:
        """Withdraw what may not serve any more; tell whether there is something new."""
        with self._state:
            now = signature(self._folder)  # first: what changes meanwhile is seen at the next look
            if anew or now != self._seen:
                self._shelf, self._seen, self._unfit = read_shelf(self._folder), now, {}
            self._withdraw()
            return any(group not in self._unfit for group in self._not_served())

    def _withdraw(self) -> None:
        serving = self._serving
        gone = {g for g in serving.chats if not may_serve(serving.runs[g].path)}
        if not gone:
            return
        for group in gone:
            serving.chats[group].withdrawn.set()
            logger.warning("the model of group %r serves no more", group)
        left = {group: chat for group, chat in serving.chats.items() if group not in gone}
        self._serving = replace(serving, chats=left) if left else _Serving()

    def _load_new(self) -> None:
        with self._loading:
            try:
                if self._look() and not self._closed.is_set():
                    self._load()
            except Exception as error:  # noqa: BLE001 -- what serves goes on
                said = str(error) if isinstance(error, GPAError) else type(error).__name__
                logger.warning("cannot load newer group models: %s", said)
                with self._state:
                    self._unfit = {**self._unfit, **dict.fromkeys(self._not_served(), said)}

    def _not_served(self) -> list[str]:
        """Groups whose newest run is not the one that serves."""
        serving = self._serving
        served = {group: serving.runs[group].path for group in serving.chats}
        return [group for group, run in self._shelf.runs.items() if run.path != served.get(group)]

    def _load(self) -> None:
        """Load all that may serve, and swap."""
        if self._closed.is_set():
            return
        shelf = self._shelf
        base = self._base_of(shelf)
        unfit = _unfit(shelf, base) if base is not None else {}
        serving = self._opened(base, shelf, unfit) if base is not None else _Serving()
        with self._state:
            # What went on its way to the old engine keeps it; the last to go ends it.
            self._unfit = unfit  # first: an engine nobody holds ends right where it is replaced
            self._serving = serving
            self._withdraw()  # what was marked meanwhile

    def _base_of(self, shelf: Shelf) -> Path | None:
        if not shelf.runs:
            return None
        require("serve group models")
        newest = max(shelf.runs.values(), key=lambda run: run.manifest.created_at)
        return find_base(str(self._base or newest.manifest.base.name))

    def _opened(self, base: Path, shelf: Shelf, unfit: dict[str, str]) -> _Serving:
        """Load what fits; what turns out not to joins `unfit`, and the others are loaded anew."""
        engine: LocalEngine | None = None
        runs: Mapping[str, Run] = {}
        while engine is None:
            runs = {group: run for group, run in shelf.runs.items() if group not in unfit}
            if not runs:
                return _Serving()
            engine = self._engine(base, runs, unfit)
        chats = {group: GroupChat(engine=engine, adapter=group, **self._answers) for group in runs}
        return _Serving(chats=chats, runs=runs, engine=engine)

    def _engine(
        self, base: Path, runs: Mapping[str, Run], unfit: dict[str, str]
    ) -> LocalEngine | None:
        groups = {run.path: group for group, run in runs.items()}
        folders = {group: run.path for group, run in runs.items()}
        try:
            return LocalEngine(base, folders, **self._engine_options)
        except UnfitAdapter as error:  # PEFT takes none off again, so that the base is read anew
            unfit[groups[error.folder]] = str(error)
            return None


def _unfit(shelf: Shelf, base: Path) -> dict[str, str]:
    """Adapters that cannot be put on the base, with the reason."""
    found = fingerprint(base)
    unfit: dict[str, str] = {}
    for group, run in shelf.runs.items():
        try:
            check_adapter(run.path, found)
            tensors(run.path / ADAPTER)
        except DataError as error:
            unfit[group] = str(error)
    return unfit


def _look_on(models: weakref.ref[LocalGroupModels], closed: threading.Event) -> None:
    complaint = ""
    while not closed.wait(LOOK_SECONDS):
        there = models()
        if there is None:
            return
        try:
            there.refresh()
            said = ""
        except Exception as error:  # noqa: BLE001 -- the thread must live; the next look tries again
            said = type(error).__name__
        if said and said != complaint:
            logger.warning("cannot look for newer group models: %s", said)
        complaint = said
        del there
