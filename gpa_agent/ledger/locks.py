"""Locks that the kernel or the database server takes back when their holder dies.

Nothing here expires and no clock decides anything: a holder that is alive keeps its lock
however long it takes, one that was killed has lost it already. A file is locked with ``flock``
(Windows: a locked byte), whose lock belongs to the open file and not to the process, so that a
second attempt in the same process fails too. PostgreSQL locks a number for the session of a
connection ("Advisory Locks" in its manual). Neither works through what stands in between: a
network file system without locks, a connection pooler that shares sessions.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from gpa_agent.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class Lock(Protocol):
    """Held by one at a time, in this process and in all others."""

    def take(self) -> bool:
        """Whether it is ours now; at once, without waiting."""
        ...

    def holder(self) -> str:
        """Who has it when it could not be taken, to be read by a person."""
        ...

    def release(self) -> None:
        """Give back what was taken."""
        ...


class FileLock:
    """A lock on a file, with who has it written in; the file stays, as deleting it would race.

    Args:
        path: The file; its folder is there.
        clock: Tells the time written into it.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
        self._file: int | None = None

    def take(self) -> bool:
        """Lock the file and write our process and the time into it.

        Raises:
            StoreError: The file cannot be opened, or its file system has no locks.
        """
        file = self._open()
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):  # it is held: so says POSIX, so says Windows
            os.close(file)
            return False
        except OSError as exc:
            os.close(file)
            raise StoreError(
                f"{str(self._path)!r} cannot be locked ({exc.strerror}); put the workspace on a "
                "local disk, or its ledger into PostgreSQL"
            ) from exc
        self._file = file
        _HELD.add(self)
        _write(file, f"{os.getpid()} {self._clock():%Y-%m-%d %H:%M:%S %Z}\n")
        return True

    def holder(self) -> str:
        """Its process and since when, as it wrote them."""
        pid, _, since = self._path.read_text("utf-8", errors="replace").strip().partition(" ")
        if not pid:  # it has locked and not written yet
            return "another process"
        who = "this very process" if pid == str(os.getpid()) else f"process {pid}"
        return f"{who} (since {since})"

    def release(self) -> None:
        """Close the file, which frees the lock."""
        if self._file is None:  # a child of a fork: its parent holds it
            return
        _write(self._file, "")
        self.abandon()

    def abandon(self) -> None:
        """Close our descriptor alone: what a fork made of it must not outlive the holder."""
        if self._file is not None:
            os.close(self._file)
        self._file = None
        _HELD.discard(self)

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StoreError(
                f"could not open {str(self._path)!r} for writing ({exc.strerror}); check that its "
                "folder exists, is not read-only and belongs to you"
            ) from exc


class ServerLock:
    """A lock of the PostgreSQL server, held by the session of a connection kept for it.

    Args:
        engine: Of the ledger.
        name: What is locked, within the ledger's schema.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._holder = ""
        self._connection: Connection | None = None

    def take(self) -> bool:
        """Lock the name's number; the number is 64 bits of a hash."""
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            if connection.execute(_TAKE, {"name": self._name}).scalar_one():
                who = f"gpa-agent {self._name} {socket.gethostname()}:{os.getpid()}"
                connection.execute(_NAME, {"who": who})
                self._connection = connection
                return True
            row = connection.execute(_HOLDER, {"name": self._name}).first()
        except BaseException:
            connection.invalidate()  # ends the session, and with it what it may have locked
            raise
        connection.close()
        self._holder = "" if row is None else f"server process {row[0]}, {row[1]} (since {row[2]})"
        return False

    def holder(self) -> str:
        """Its server process, its program and since when."""
        return self._holder or "another process"

    def release(self) -> None:
        """Unlock; a session that has died meanwhile holds nothing any more."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.execute(_RELEASE)
        except DBAPIError:
            connection.invalidate()
        connection.close()


class MemoryLock:
    """A lock for a database in memory, which no other process sees.

    Args:
        engine: Of the ledger.
        name: What is locked.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._key = (id(engine), name)

    def take(self) -> bool:
        """Enter the name among those held; one step, so that no thread comes in between."""
        return _IN_MEMORY.setdefault(self._key, self) is self

    def holder(self) -> str:
        """There is but one process."""
        return "this very process"

    def release(self) -> None:
        """Take the name out."""
        del _IN_MEMORY[self._key]


_IN_MEMORY: Final[dict[tuple[int, str], MemoryLock]] = {}
_HELD: Final[set[FileLock]] = set()

# Two ledgers in two schemas of one database do not meet.
_KEY: Final = "hashtextextended('gpa-agent ' || current_schema() || ' ' || CAST(:name AS text), 0)"
_TAKE: Final = text(f"SELECT pg_try_advisory_lock({_KEY})")
_NAME: Final = text(
    # The server sees within a minute that a machine is gone, and does not end an idle session.
    "SELECT set_config('application_name', :who, false), "
    "set_config('idle_session_timeout', '0', false), "
    "set_config('tcp_keepalives_idle', '30', false), "
    "set_config('tcp_keepalives_interval', '10', false), "
    "set_config('tcp_keepalives_count', '3', false)"
)
_RELEASE: Final = text(
    "SELECT pg_advisory_unlock_all(), set_config('application_name', 'gpa-agent', false)"
)
_HOLDER: Final = text(
    # The last thing a holder's session did was to take the lock.
    f"""
    SELECT l.pid, a.application_name,
           to_char(a.query_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC')
    FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.classid::bigint << 32) | l.objid::bigint = {_KEY}
    """  # noqa: S608 -- of constants
)


def _lock(file: int) -> None:
    if sys.platform == "win32":
        os.lseek(file, 1 << 30, os.SEEK_SET)  # what is locked there cannot be read by others
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _write(file: int, content: str) -> None:
    with suppress(OSError):  # a full disk: who holds it is then unknown, but it is held
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, content.encode())


def _abandon_all() -> None:
    for lock in list(_HELD):
        lock.abandon()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_abandon_all)
