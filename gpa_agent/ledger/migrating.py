"""Bringing a database to the schema of this version.

All of it is one transaction under the write lock: one that is killed half way leaves the schema
it found, and of two processes at once the second finds it done.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, text

from gpa_agent.errors import WorkspaceError
from gpa_agent.ledger.engines import lock, writing
from gpa_agent.ledger.tables import SCHEMA_REVISION

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


def prepare(engine: Engine, name: str) -> None:
    """Check the schema's version and bring it up to date.

    Args:
        engine: Of the database.
        name: What to call it in messages.

    Raises:
        WorkspaceError: It is not a ledger, was written by a newer version, or cannot be upgraded.
    """
    with engine.begin() as connection:
        revision = _revision(connection, name)
    _write_ahead(engine)
    if revision == SCHEMA_REVISION:
        return
    with writing(engine).begin() as connection:
        lock(connection)
        # Looked at again under the write lock: another process may have just done it.
        revision = _revision(connection, name)
        if revision != SCHEMA_REVISION:
            _migrate(connection, revision, name)


def _write_ahead(engine: Engine) -> None:
    """Let SQLite's readers and writer not wait for each other; a restored backup waits at first."""
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        if isinstance(raw, sqlite3.Connection):
            (mode,) = raw.execute("PRAGMA journal_mode").fetchone()
            if mode not in {"wal", "memory"}:
                raw.execute("PRAGMA journal_mode=WAL").close()


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

    script = ScriptDirectory.from_config(alembic_config())
    return {revision.revision for revision in script.walk_revisions()}


def alembic_config() -> Any:  # noqa: ANN401 -- imported where it is needed
    """What Alembic works with; the connection is put into its attributes."""
    from alembic.config import Config  # noqa: PLC0415 -- heavy, and rarely needed

    config = Config()
    config.set_main_option("script_location", "gpa_agent.ledger:migrations")
    return config


def _migrate(connection: Connection, revision: str | None, name: str) -> None:
    from alembic import command  # noqa: PLC0415 -- heavy, and rarely needed
    from alembic.util.exc import CommandError  # noqa: PLC0415 -- heavy, and rarely needed

    config = alembic_config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        raise WorkspaceError(
            f"the workspace {name!r} (schema {revision!r}) could not be upgraded: {exc}; "
            "restore it from a backup"
        ) from exc
