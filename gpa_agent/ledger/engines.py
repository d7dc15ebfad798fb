"""How SQLite and PostgreSQL are talked to, so that a write means the same on both.

A write begins with the ledger's only write lock and holds it to its end: on SQLite
``BEGIN IMMEDIATE``, on PostgreSQL an advisory lock of the transaction. What a write reads can
therefore not change before it writes: the next turn's position and the next version are safe
without a word about it where they are computed. On PostgreSQL a write that keeps to one
conversation shares the lock with those that keep to others. A read sees one moment and keeps
nobody waiting. Whoever waits longer than `BUSY_SECONDS` for the lock is told so.

SQLite runs in write-ahead mode with ``synchronous=FULL`` (an acknowledged row survives a power
cut), foreign keys on, and ``secure_delete`` (freed pages are overwritten). The driver's own
transaction handling is switched off for that (SQLAlchemy, "Serializable isolation / Savepoints /
Transactional DDL" of the SQLite dialect).
"""

from __future__ import annotations

import os
import sqlite3
import sys
from typing import Final
from weakref import WeakSet

from sqlalchemy import URL, Connection, Engine, create_engine, event, text

from gpa_agent.errors import MissingDependency

BUSY_SECONDS: Final = 10
"""How long a write waits for another process's write before it gives up."""

CACHE: Final = "cache_size=-2048"
"""Pages a connection holds: 2 MiB, as several are open at a time. A log of 100,000 conversations
is read no faster with 16."""

_WRITE: Final = "gpa_write"
_ENGINES: Final[WeakSet[Engine]] = WeakSet()

_PATIENCE: Final = "SELECT set_config('lock_timeout', :milliseconds, true), "
_LEDGER: Final = "hashtextextended('gpa-agent ledger ' || current_schema(), 0)"
_LOCK: Final = text(f"{_PATIENCE} pg_advisory_xact_lock({_LEDGER})")
_LOCK_CONVERSATION: Final = text(
    f"{_PATIENCE} pg_advisory_xact_lock_shared({_LEDGER}), pg_advisory_xact_lock("
    "hashtextextended('gpa-agent conversation ' || CAST(:conversation AS text), 0))"
)


def make_engine(url: URL) -> Engine:
    """An engine whose transactions read; those of :func:`writing` write.

    Its errors hold no parameters: those are what people said.

    Args:
        url: Of a SQLite file or a PostgreSQL database.

    Raises:
        MissingDependency: PostgreSQL's driver is not installed.
    """
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
        _ENGINES.add(engine)
        return engine
    try:
        engine = create_engine(
            url, hide_parameters=True, pool_pre_ping=True, isolation_level="REPEATABLE READ"
        )
    except ImportError as exc:
        purpose = "keep the ledger in PostgreSQL"
        raise MissingDependency("psycopg", extra="scale", purpose=purpose) from exc
    _ENGINES.add(engine)
    return engine


def writing(engine: Engine) -> Engine:
    """The same engine, whose transactions write; they begin with :func:`lock`.

    Args:
        engine: Of :func:`make_engine`.
    """
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{_WRITE: True})
    # Each statement looks anew, so that the ones after the lock see what was waited for.
    return engine.execution_options(isolation_level="READ COMMITTED")


def lock(connection: Connection, conversation: str | None = None) -> None:
    """Wait for the write lock; SQLite has it with the beginning of the transaction.

    Args:
        connection: At the beginning of a transaction of :func:`writing`.
        conversation: The one to which all that is read and written belongs, if it is one.
    """
    if connection.dialect.name == "sqlite":
        return
    patience = {"milliseconds": str(round(1000 * BUSY_SECONDS))}
    if conversation is None:
        connection.execute(_LOCK, patience)
    else:
        connection.execute(_LOCK_CONVERSATION, {**patience, "conversation": conversation})


def _on_connect(connection: sqlite3.Connection, record: object) -> None:
    del record
    connection.isolation_level = None
    for pragma in ("foreign_keys=ON", "synchronous=FULL", "secure_delete=ON", CACHE):
        connection.execute(f"PRAGMA {pragma}").close()


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _leave_to_parent() -> None:
    """In a child of a fork: two processes must not talk over one connection."""
    for engine in list(_ENGINES):
        engine.dispose(close=False)


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_leave_to_parent)
