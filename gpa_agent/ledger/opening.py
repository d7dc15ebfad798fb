"""Opening the ledger: the engine, its pragmas, the schema's version, and errors by name.

SQLite runs in write-ahead mode with ``synchronous=FULL`` (an acknowledged row survives a
power cut), foreign keys on, and ``secure_delete`` (freed pages are overwritten). Every write
is one ``BEGIN IMMEDIATE`` transaction, so a crash, a full disk or an exception leaves what
was there before. The driver's own transaction handling is switched off for that
(SQLAlchemy, "Serializable isolation / Savepoints / Transactional DDL" of the SQLite dialect).
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, IntegrityError

from gpa_agent.errors import GPAError, StoreError, UsageError, WorkspaceError
from gpa_agent.ledger.people import person_hash
from gpa_agent.ledger.tables import SCHEMA_REVISION

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

BUSY_SECONDS: Final = 10
"""How long a write waits for another process's write before it gives up."""

CACHE: Final = "cache_size=-2048"
"""Pages a connection holds: 2 MiB, as several are open at a time. A log of 100,000 conversations
is read no faster with 16."""

_WRITE: Final = "gpa_write"


def utc_now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


class Store:
    """A database with transactions whose errors are ours; the base of :class:`Ledger`.

    Args:
        engine: An engine of :func:`make_engine`.
        name: What to call the database in messages: its path, or its URL without password.
        people_key: Secret for hashing user ids.
        clock: Tells the time, timezone-aware.
    """

    def __init__(
        self, engine: Engine, name: str, *, people_key: bytes, clock: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{_WRITE: True})
        self._name = name
        self._people_key = people_key
        self._clock = clock

    @classmethod
    def open(
        cls, where: str | Path, *, people_key: bytes, clock: Callable[[], datetime] = utc_now
    ) -> Self:
        """Open the ledger, creating or migrating it where needed.

        Args:
            where: Path of the SQLite file, or an SQLAlchemy URL (``postgresql+psycopg://...``).
            people_key: Secret of 16 to 64 bytes under which user ids are hashed.
            clock: Tells the time; replaced in tests.

        Raises:
            UsageError: The URL or the key is not usable.
            WorkspaceError: It is not a ledger, is damaged, or was written by a newer version.
            StoreError: It cannot be opened or written (read-only, disk full, locked).
        """
        person_hash("", key=people_key)
        url = _url(where)
        name = url.database or "" if url.get_backend_name() == "sqlite" else str(url)
        fresh = url.get_backend_name() == "sqlite" and not Path(name).exists()
        engine = make_engine(url)
        try:
            with store_errors(name):
                _prepare(engine, name)
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
    def url(self) -> URL:
        """Where the database is; with its password, so never to be shown."""
        return self._engine.url

    def person(self, raw: str) -> str:
        """The keyed hash of a raw user id: 32 hexadecimal digits."""
        return person_hash(raw, key=self._people_key)

    @contextmanager
    def _read(self) -> Generator[Connection]:
        with store_errors(self._name), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Generator[Connection]:
        with store_errors(self._name), self._writer.begin() as connection:
            yield connection


def make_engine(url: URL) -> Engine:
    """An engine whose SQLite connections are safe, durable and explicit about transactions."""
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: sqlite3.Connection, record: object) -> None:
    del record
    connection.isolation_level = None
    for pragma in ("foreign_keys=ON", "synchronous=FULL", "secure_delete=ON", CACHE):
        connection.execute(f"PRAGMA {pragma}").close()


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _url(where: str | Path) -> URL:
    if isinstance(where, str) and "://" in where:
        try:
            return make_url(where)
        except ArgumentError as exc:
            raise UsageError(
                f"{where!r} is not a database URL; expected a path or dialect://..."
            ) from exc
    return URL.create("sqlite", database=str(Path(where).absolute()))


def _remove(path: Path) -> None:
    """Take away what a failed creation left, so that nothing half-made stays."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(OSError):  # a read-only disk: then nothing was made
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _prepare(engine: Engine, name: str) -> None:
    """Check the schema's version and bring it up to date."""
    with engine.begin() as connection:
        revision = _revision(connection, name)
    if revision == SCHEMA_REVISION:
        return
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            if isinstance(raw, sqlite3.Connection):
                raw.execute("PRAGMA journal_mode=WAL").close()
    with engine.execution_options(**{_WRITE: True}).begin() as connection:
        # Looked at again under the write lock: another process may have just done it.
        revision = _revision(connection, name)
        if revision != SCHEMA_REVISION:
            _migrate(connection, revision, name)


def _revision(connection: Connection, name: str) -> str | None:
    """The schema revision found; None for an empty database."""
    tables = set(inspect(connection).get_table_names())
    if "alembic_version" in tables and "rubric_versions" in tables:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if found is not None and found != SCHEMA_REVISION and found not in _known_revisions():
            raise WorkspaceError(
                f"the workspace {name!r} was written by a newer version of gpa-agent (its schema "
                f"is {found!r}, this version knows up to {SCHEMA_REVISION!r}); "
                "upgrade with: pip install --upgrade gpa-agent"
            )
        return str(found)
    if tables:
        raise WorkspaceError(
            f"{name!r} is a database but not a gpa-agent ledger (it holds "
            f"{', '.join(sorted(tables)[:5])}); give the path of a workspace or of a new one"
        )
    return None


def _known_revisions() -> set[str]:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 -- heavy, and rarely needed

    script = ScriptDirectory.from_config(_alembic_config())
    return {revision.revision for revision in script.walk_revisions()}


def _alembic_config() -> Any:  # noqa: ANN401 -- JSON, or a type that differs by SQLAlchemy release
    from alembic.config import Config  # noqa: PLC0415 -- heavy, and rarely needed

    config = Config()
    config.set_main_option("script_location", "gpa_agent.ledger:migrations")
    return config


def _migrate(connection: Connection, revision: str | None, name: str) -> None:
    from alembic import command  # noqa: PLC0415 -- heavy, and rarely needed
    from alembic.util.exc import CommandError  # noqa: PLC0415 -- heavy, and rarely needed

    config = _alembic_config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        raise WorkspaceError(
            f"the workspace {name!r} (schema {revision!r}) could not be upgraded: {exc}; "
            "restore it from a backup"
        ) from exc


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


def _translated(exc: DBAPIError | sqlite3.DatabaseError, name: str) -> Exception:
    reason = str(exc) if isinstance(exc, sqlite3.DatabaseError) else str(exc.orig)
    said = reason.lower()
    if "not a database" in said or "malformed" in said or "file is encrypted" in said:
        return WorkspaceError(
            f"{name!r} is damaged or not a gpa-agent ledger ({reason}); "
            "restore it from a backup or give another path"
        )
    if "full" in said or "disk i/o error" in said:
        return StoreError(
            f"could not write {name!r}: the disk is full or failing ({reason}); "
            "free some space and run again: nothing was half-written"
        )
    if "readonly" in said or "unable to open" in said:
        return StoreError(
            f"could not open {name!r} for writing ({reason}); check that its folder exists, is "
            "not read-only and belongs to you"
        )
    if "locked" in said or "busy" in said:
        return StoreError(
            f"{name!r} is being written by another process ({reason}); wait for it to finish "
            "and run again"
        )
    if isinstance(exc, DBAPIError) and not isinstance(exc, DatabaseError):
        return exc
    return StoreError(f"the ledger {name!r} failed ({reason}); run 'gpa doctor' for a diagnosis")
