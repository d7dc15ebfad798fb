"""What is live, in memory and fresh: whatever changes it, in whichever process, is served at once.

A thread looks twice a second whether the ledger's revision has moved, and whether other
classifiers are kept than those in memory. The hot path reads memory only.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Final

from gpa_agent.errors import GPAError
from gpa_agent.learning.editing import live_rubrics
from gpa_agent.learning.own_lock import OwnLock
from gpa_agent.ledger import Ledger
from gpa_agent.rubrics.snapshot import EMPTY, Snapshot, build_snapshot

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
"""How often a process looks whether another has changed what is live."""


class Watched:
    """The snapshot of a ledger's live rubrics, and what else must follow other processes.

    Args:
        ledger: Where they are.
        follow: Called at every look: takes up what was trained, and lets go of what was taken away.
    """

    def __init__(self, ledger: Ledger, *, follow: Callable[[], None]) -> None:
        self._ledger = ledger
        self._follow = follow
        self._snapshot: Snapshot = EMPTY
        self._starting = OwnLock()
        self._reading = OwnLock()
        self._closed = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = 0

    def snapshot(self) -> Snapshot:
        """What is live; loaded at the first call and kept fresh from then on.

        A process that was forked since has none of its parent's threads: it gets its own.
        """
        if self._process != os.getpid():
            with self._starting:
                self._start()
        return self._snapshot

    def refresh(self) -> None:
        """Read what is live and what is trained now."""
        self._read()
        self._follow()

    def close(self) -> None:
        """Stop looking; what was read last stays."""
        self._closed = True
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _start(self) -> None:
        if self._snapshot is EMPTY:
            self._read()
        if self._process == os.getpid():
            return
        self._stop = threading.Event()
        if not self._closed:
            self._thread = threading.Thread(
                target=self._watch, args=(self._stop,), name="gpa-snapshot", daemon=True
            )
            self._thread.start()
            self._process = os.getpid()

    def _read(self) -> None:
        with self._reading:
            # The revision is read first: what changes meanwhile is seen at the next look.
            revision = self._ledger.revision()
            self._snapshot = build_snapshot(
                live_rubrics(self._ledger), self._ledger.people_groups(), revision=revision
            )

    def _watch(self, stop: threading.Event) -> None:
        complaint = ""
        while not stop.wait(LOOK_SECONDS):
            said = self._look()
            if said and said != complaint:
                logger.warning("cannot look for newer rubrics and classifiers: %s", said)
            complaint = said

    def _look(self) -> str:
        """Follow the others; what went wrong, if anything: the next look tries again."""
        try:
            if self._ledger.revision() != self._snapshot.revision:
                self._read()
            self._follow()
        except GPAError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 -- the thread must live; the text may quote users
            return type(error).__name__
        return ""
