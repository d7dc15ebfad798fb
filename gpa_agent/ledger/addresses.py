"""Where a ledger is: the path of a SQLite file, or the URL of a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from gpa_agent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_POSTGRESQL: Final = frozenset({"postgres", "postgresql", "postgresql+psycopg"})

_SESSION: Final[Mapping[str, str]] = {"connect_timeout": "10", "application_name": "gpa-agent"}
"""What a session asks for where the URL does not say; the timeout is in seconds."""

_SECRET: Final = ("password", "sslpassword")
"""Parameters of a PostgreSQL URL that nobody is shown."""


def database_url(where: str | Path) -> URL:
    """The URL of a ledger.

    Args:
        where: A path, or a URL: ``sqlite:///...`` or ``postgresql://user@host/database``.

    Raises:
        UsageError: It is neither; the message does not repeat it, as it may hold a password.
    """
    if isinstance(where, Path) or "://" not in where:
        return URL.create("sqlite", database=str(Path(where).absolute()))
    try:
        url = make_url(where)
    except (ArgumentError, ValueError):
        raise UsageError(
            "the ledger's address is not a database URL; expected a path or "
            "postgresql://user:password@host:5432/database"
        ) from None
    if url.drivername in _POSTGRESQL:
        query = {**_SESSION, **url.query}
        return url.set(drivername="postgresql+psycopg", query=query)
    if url.drivername in {"sqlite", "sqlite+pysqlite"}:
        return url
    raise UsageError(
        f"a ledger cannot be kept in {url.drivername!r}; expected a path or "
        "postgresql://user:password@host:5432/database"
    )


def shown(url: URL) -> str:
    """A URL (or, of SQLite, the path) as it may be shown: stars for its password."""
    if url.get_backend_name() == "sqlite":
        return url.database or ""
    query = {name: value for name, value in url.query.items() if name not in {*_SECRET, *_SESSION}}
    return str(url.set(drivername="postgresql", query=query))
