"""A PostgreSQL server of the tests' own: in a temporary folder, on a Unix socket.

It sorts text by the rules of a language, as many servers do, so that whatever relies on the order
of bytes shows. Where PostgreSQL is not installed it is taken from the distribution's packages,
which needs root and ``apt-get``; elsewhere tests that need it are skipped, but fail in CI.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

from gpa_agent.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = b"k" * 32
SETTINGS = (
    "fsync=off",  # what a power cut loses is not what is tested
    "full_page_writes=off",
    "shared_buffers=32MB",
    "listen_addresses=",
)


class Server:
    """A server with one superuser, ``postgres``, whom everybody on this machine may be."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="gpa-pg-", dir="/tmp"))
        if os.geteuid() == 0:
            os.chown(self.folder, pwd.getpwnam("postgres").pw_uid, -1)
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N",
                  "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")  # fmt: skip

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    @cached_property
    def _template(self) -> str:
        """A database with the ledger's schema, to be copied."""
        self.execute("CREATE DATABASE schema_of_ledger")
        Ledger.open(self.url("schema_of_ledger"), people_key=KEY).close()
        return "schema_of_ledger"

    def start(self) -> None:
        """Start and wait until it answers."""
        options = f"-k {self.folder} " + " ".join(f"-c {setting}" for setting in SETTINGS)
        log = str(self.folder / "log")
        self._run("pg_ctl", "start", "-w", "-s", "-D", self._data, "-l", log, "-o", options)

    def stop(self) -> None:
        """Stop at once, cutting every connection."""
        self._run("pg_ctl", "stop", "-w", "-s", "-m", "immediate", "-D", self._data)

    def remove(self) -> None:
        """Stop for good."""
        self.stop()
        shutil.rmtree(self.folder)

    def url(self, database: str) -> str:
        """Where a database is, for SQLAlchemy."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def binary(self, name: str) -> str:
        """The path of one of PostgreSQL's programs."""
        return str(self._binaries / name)

    def execute(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement, outside of any transaction."""
        where = f"host={self.folder} user=postgres dbname={database}"
        with psycopg.connect(where, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def new_database(self, *, empty: bool = False, template: str | None = None) -> str:
        """Make a database and name it.

        Args:
            empty: Without the ledger's schema.
            template: The database to copy instead.
        """
        name = f"t{uuid4().hex}"
        template = template or ("template1" if empty else self._template)
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _run(self, name: str, *arguments: str) -> None:
        command = [self.binary(name), *arguments]
        if os.geteuid() == 0:  # the server refuses to run as root
            command = [
                "setpriv",
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
                *command,
            ]
        done = subprocess.run(
            command, check=False, cwd=self.folder, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stderr}")


def binaries() -> Path | None:
    """Where the newest PostgreSQL is; None where there is none."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    found = sorted(
        (p for p in places if (p / "initdb").exists()), key=lambda p: p.parts[-2].zfill(9)
    )
    on_path = shutil.which("initdb")
    return found[-1] if found else Path(on_path).resolve().parent if on_path else None


def install() -> None:
    """Install PostgreSQL from the distribution's packages, where that can be done."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", "postgresql"]):
        subprocess.run(["apt-get", "-qq", *arguments], check=False, env=environment)


def absent(reason: str) -> None:
    """Skip for want of a server; in CI there has to be one."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server, started when the first test needs it."""
    if binaries() is None:
        install()
    place = binaries()
    if place is None:
        absent("PostgreSQL is not installed: apt-get install postgresql")
        return
    server = Server(place)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def postgres_url(postgres: Server) -> Iterator[str]:
    """A fresh database with the ledger's schema."""
    name = postgres.new_database()
    yield postgres.url(name)
    postgres.drop_database(name)
