"""Opening the ledger: the schema's version, and errors by name.

Every write is one transaction, so a crash, a full disk or an exception leaves what was there
before; :mod:`.engines` says how that is done on each database.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError

from gpa_agent.errors import GPAError, StoreError, WorkspaceError
from gpa_agent.ledger.addresses import database_url, shown
from gpa_agent.ledger.engines import lock, make_engine, writing
from gpa_agent.ledger.migrating import prepare
from gpa_agent.ledger.people import person_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType


def utc_now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


class Store:
    """A database with transactions whose errors are ours; the base of :class:`Ledger`.

    Args:
        engine: An engine of :func:`gpa_agent.ledger.engines.make_engine`.
        name: What to call the database in messages: its path, or its URL without password.
        people_key: Secret for hashing user ids.
        clock: Tells the time, timezone-aware.
    """

    def __init__(
        self, engine: Engine, name: str, *, people_key: bytes, clock: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self._name = name
        self._people_key = people_key
        self._clock = clock

    @classmethod
    def open(
        cls, where: str | Path, *, people_key: bytes, clock: Callable[[], datetime] = utc_now
    ) -> Self:
        """Open the ledger, creating or migrating it where needed.

        Args:
            where: Path of the SQLite file, or a URL (``postgresql://user@host/database``).
            people_key: Secret of 16 to 64 bytes under which user ids are hashed.
            clock: Tells the time; replaced in tests.

        Raises:
            UsageError: The URL or the key is not usable.
            MissingDependency: It is in PostgreSQL, and its driver is not installed.
            WorkspaceError: It is not a ledger, is damaged, or was written by a newer version.
            StoreError: It cannot be opened or written (read-only, disk full, locked, no server).
        """
        person_hash("", key=people_key)
        url = database_url(where)
        name = shown(url)
        fresh = url.get_backend_name() == "sqlite" and _missing(Path(name))
        if fresh:
            _make_private(Path(name))
        engine = make_engine(url)
        try:
            with store_errors(name):
                prepare(engine, name)
        except BaseException as exc:
            engine.dispose()
            if fresh and "locked" not in str(exc.__cause__):  # locked: another process makes it
                _remove(Path(name))
            raise
        return cls(engine, name, people_key=people_key, clock=clock)

    def close(self) -> None:
        """Close every connection; the ledger can be opened again."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """Where the database is, as it may be shown: its path, or its URL without password."""
        return self._name

    @property
    def url(self) -> URL:
        """Where the database is; with its password, so never to be shown."""
        return self._engine.url

    def now(self) -> datetime:
        """The present, by the clock the ledger was opened with."""
        return self._clock()

    def person(self, raw: str) -> str:
        """The keyed hash of a raw user id: 32 hexadecimal digits."""
        return person_hash(raw, key=self._people_key)

    @contextmanager
    def _read(self) -> Generator[Connection]:
        with store_errors(self._name), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _write(self, conversation: str | None = None) -> Generator[Connection]:
        """A transaction that writes; of one conversation alone where that is named."""
        with store_errors(self._name), self._writer.begin() as connection:
            lock(connection, conversation)
            yield connection


def _missing(path: Path) -> bool:
    try:
        return not path.exists()
    except OSError:  # nobody may look into its folder: opening it tells so
        return False


def _make_private(path: Path) -> None:
    """Make the file readable for its owner alone; SQLite's further files follow it."""
    with suppress(OSError):  # where it cannot be made SQLite says why
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


def _remove(path: Path) -> None:
    """Take away what a failed creation left, so that nothing half-made stays."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(OSError):  # a read-only disk: then nothing was made
            path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def store_errors(name: str) -> Generator[None]:
    """Turn the driver's errors into ours.

    Args:
        name: What to call the database.

    Raises:
        WorkspaceError: The file is damaged or no database.
        StoreError: It cannot be read or written.
    """
    try:
        yield
    except GPAError:
        raise
    except IntegrityError:
        raise  # a bug of ours: never the user's fault
    except DBAPIError as exc:
        raise _translated(exc, name) from exc
    except sqlite3.DatabaseError as exc:
        raise _translated(exc, name) from exc


class _Failure(NamedTuple):
    """What a driver says when something is wrong, and what we say then.

    Attributes:
        says: Words in the driver's message, in small letters.
        kind: Our error.
        message: Ours, about ``{name}``, with the driver's ``{reason}``.
    """

    says: tuple[str, ...]
    kind: type[GPAError]
    message: str


_FAILURES: Final = (
    _Failure(
        ("not a database", "malformed", "file is encrypted"),
        WorkspaceError,
        "{name!r} is damaged or not a gpa-agent ledger ({reason}); "
        "restore it from a backup or give another path",
    ),
    _Failure(
        ("is full", "disk full", "disk i/o error", "no space left"),
        StoreError,
        "could not write {name!r}: the disk is full or failing ({reason}); "
        "free some space and run again: nothing was half-written",
    ),
    _Failure(
        ("readonly", "unable to open"),
        StoreError,
        "could not open {name!r} for writing ({reason}); check that its folder exists, is "
        "not read-only and belongs to you",
    ),
    _Failure(
        ("permission denied", "read-only transaction"),
        StoreError,
        "could not write {name!r} ({reason}); give its user the right to make and write tables "
        "there, on a server that is not a standby",
    ),
    _Failure(
        ("locked", "busy", "lock timeout"),
        StoreError,
        "{name!r} is being written by another process ({reason}); wait for it to finish "
        "and run again",
    ),
    _Failure(
        ("connection", "server closed", "shutting down", "starting up"),
        StoreError,
        "could not reach {name!r} ({reason}); check that its server runs and lets its user in, "
        "and run again: what was stored is kept",
    ),
)


def _translated(exc: DBAPIError | sqlite3.DatabaseError, name: str) -> Exception:
    said = str(exc) if isinstance(exc, sqlite3.DatabaseError) else str(exc.orig)
    # The first line alone: those after it may quote the row, and with it what somebody said.
    reason = said.partition("\n")[0]
    for failure in _FAILURES:
        if any(words in reason.lower() for words in failure.says):
            return failure.kind(failure.message.format(name=name, reason=reason))
    if isinstance(exc, DBAPIError) and not isinstance(exc, DatabaseError):
        return exc
    return StoreError(f"the ledger {name!r} failed ({reason}); run 'gpa doctor' for a diagnosis")
