"""What is live, in memory and fresh: whatever changes it, in whichever process, is served at once.

A thread looks twice a second whether the ledger's revision has moved. The hot path reads
memory only.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from gpa_agent.errors import GPAError
from gpa_agent.learning.editing import live_rubrics
from gpa_agent.ledger import Ledger
from gpa_agent.rubrics.snapshot import EMPTY, Snapshot, build_snapshot

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
"""How often a process looks whether another has changed what is live."""


class Watched:
    """The snapshot of a ledger's live rubrics.

    Args:
        ledger: Where they are.
        forgotten: Called when a person was forgotten, by whichever process: what was trained on
            their words must not stay in memory.
    """

    def __init__(self, ledger: Ledger, *, forgotten: Callable[[], None]) -> None:
        self._ledger = ledger
        self._forgotten = forgotten
        self._epoch: int | None = None
        self._snapshot: Snapshot = EMPTY
        self._starting = threading.Lock()
        self._refreshing = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def snapshot(self) -> Snapshot:
        """What is live; loaded at the first call and kept fresh from then on."""
        if self._thread is None:
            with self._starting:
                if self._snapshot is EMPTY:
                    self.refresh()
                if self._thread is None and not self._closed.is_set():
                    self._thread = threading.Thread(
                        target=self._follow, name="gpa-snapshot", daemon=True
                    )
                    self._thread.start()
        return self._snapshot

    def refresh(self) -> None:
        """Read what is live now."""
        with self._refreshing:
            # The revision is read first: what changes meanwhile is seen at the next look.
            revision, epoch = self._ledger.revision(), self._ledger.forget_epoch()
            if self._epoch not in (None, epoch):
                self._forgotten()
            self._epoch = epoch
            self._snapshot = build_snapshot(
                live_rubrics(self._ledger), self._ledger.people_groups(), revision=revision
            )

    def close(self) -> None:
        """Stop looking; what was read last stays."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _follow(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            try:
                if self._ledger.revision() != self._snapshot.revision:
                    self.refresh()
            except GPAError as error:
                # The old snapshot keeps serving; the next round tries again.
                logger.warning("cannot look for newer rubrics: %s", error)
