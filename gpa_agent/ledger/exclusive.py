"""One at a time: work on a ledger that two processes must not do at once."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gpa_agent.errors import StoreError
from gpa_agent.ledger.locks import FileLock, Lock, MemoryLock, ServerLock
from gpa_agent.ledger.opening import Store, store_errors

if TYPE_CHECKING:
    from collections.abc import Generator

_LOOK_SECONDS: Final = 0.05
"""How often one that waits looks again."""


class Busy(StoreError):  # noqa: N818 -- reads as the fact it reports
    """Somebody else is at it; the message says who."""


class Exclusive(Store):
    """Mutual exclusion over everything that uses the same ledger."""

    @contextmanager
    def exclusive(self, name: str, *, wait_seconds: float = 0.0) -> Generator[None]:
        """Do something that only one may do at a time, in this process and in all others.

        Args:
            name: Of what is done, such as ``learning``; letters and hyphens.
            wait_seconds: How long to wait for another to finish; 0 not to.

        Raises:
            Busy: Another holds it still.
            StoreError: The lock's file or the server cannot be reached.

        Example:
            >>> import tempfile, pathlib
            >>> from gpa_agent.ledger import Busy, Ledger
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = pathlib.Path(folder) / "ledger.db"
            ...     with Ledger.open(path, people_key=b"k" * 32) as ledger:
            ...         with ledger.exclusive("learning"):
            ...             try:
            ...                 with ledger.exclusive("learning"):
            ...                     pass
            ...             except Busy:
            ...                 print("one at a time")
            one at a time
        """
        lock = self._lock(name)
        with store_errors(self._name):
            if not _taken(lock, wait_seconds):
                raise Busy(
                    f"{name!r} of {self._name!r} is being done by {lock.holder()}; "
                    "wait for it to finish, or stop it, and run again"
                )
        try:
            yield
        finally:
            lock.release()

    def _lock(self, name: str) -> Lock:
        if self._engine.dialect.name != "sqlite":
            return ServerLock(self._engine, name)
        if self._name in {"", ":memory:"}:
            return MemoryLock(self._engine, name)
        return FileLock(Path(f"{self._name}.{name}.lock"), self._clock)


def _taken(lock: Lock, wait_seconds: float) -> bool:
    until = time.monotonic() + wait_seconds
    while not lock.take():
        left = until - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(_LOOK_SECONDS, left))
    return True
