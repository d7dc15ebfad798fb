"""An upgrade of the schema that is killed, at any moment, is as if it had not begun."""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import count
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest
from alembic import command
from sqlalchemy import create_engine, inspect, text

from gpa_agent.ledger import Ledger, migrating
from gpa_agent.ledger.addresses import database_url
from gpa_agent.ledger.tables import SCHEMA_REVISION, metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.postgres.server import Server

KEY = b"k" * 32
KILLS = 12
ROWS = 3000
UPGRADER = """
import os, signal, sys, time
import alembic.command, psycopg, sqlalchemy.dialects.postgresql
from gpa_agent.ledger import Ledger
for line in sys.stdin:
    where, seconds = line.split()
    started = time.perf_counter()
    pid = os.fork()
    if not pid:
        Ledger.open(where, people_key=b"k" * 32).close()
        os._exit(0)
    ended, status = os.waitpid(pid, os.WNOHANG)
    while not ended:
        time.sleep(0.001)
        if time.perf_counter() - started > float(seconds):
            os.kill(pid, signal.SIGKILL)
            ended, status = os.waitpid(pid, 0)
        else:
            ended, status = os.waitpid(pid, os.WNOHANG)
    how = "killed" if os.waitstatus_to_exitcode(status) else "done"
    print(how, time.perf_counter() - started, flush=True)
"""
Schema = dict[str, list[str]]


class Ended(NamedTuple):
    """How an upgrade ended: ``killed`` or ``done``, and after how long."""

    how: str
    seconds: float


def make_old(where: str) -> None:
    """A ledger of the first schema, with runs and conversations in it."""
    engine = create_engine(database_url(where))
    config = migrating.alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO conversations (id, source, digest, created_at) "
                "VALUES (:id, 'log', 'd', '2026-01-01 00:00:00')"
            ),
            [{"id": str(n)} for n in range(ROWS)],
        )
        connection.execute(
            text(
                "INSERT INTO runs (id, started, finished, settings, summary) "
                "VALUES (:id, :at, :at, '{}', '{}')"
            ),
            [{"id": f"r{n}", "at": f"2026-01-{n:02} 00:00:00"} for n in range(1, 29)],
        )
    engine.dispose()


def schema(where: str) -> Schema:
    engine = create_engine(database_url(where))
    inspector = inspect(engine)
    found = {
        table: sorted(str(column["name"]) for column in inspector.get_columns(table))
        for table in inspector.get_table_names()
    }
    engine.dispose()
    return found


@pytest.fixture
def old_copies(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Iterator[str]:
    """Copies of a ledger of the first schema, as many as are asked for."""
    if kind == "sqlite":
        make_old(str(tmp_path / "old.db"))
        return (shutil.copy(str(tmp_path / "old.db"), str(tmp_path / f"{n}.db")) for n in count())
    server: Server = request.getfixturevalue("postgres")
    original = server.new_database(empty=True)
    make_old(server.url(original))
    return (server.url(server.new_database(template=original)) for _ in count())


@pytest.fixture
def upgrade() -> Iterator[Callable[[str, float], Ended]]:
    """Upgrades a ledger in a process that is killed after so many seconds."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", UPGRADER], stdin=pipe, stdout=pipe, text=True
    ) as upgrader:
        assert upgrader.stdin is not None
        assert upgrader.stdout is not None
        asks, answers = upgrader.stdin, upgrader.stdout

        def one(where: str, killed_after: float) -> Ended:
            print(where, killed_after, file=asks, flush=True)
            how, seconds = answers.readline().split()
            return Ended(how, float(seconds))

        yield one


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_killed_upgrade_is_whole_or_nothing_and_is_done_next_time(
    old_copies: Iterator[str], upgrade: Callable[[str, float], Ended]
) -> None:
    chance = Random(7)
    whole = next(old_copies)
    before = schema(whole)
    usual = upgrade(whole, 60)
    assert usual.how == "done"
    after = schema(whole)
    assert set(after) == {*metadata.tables, "alembic_version"}
    killed = unfinished = 0
    while killed < KILLS:
        where = next(old_copies)
        killed += upgrade(where, chance.uniform(0, usual.seconds)).how == "killed"
        found = schema(where)
        assert found in (before, after)
        unfinished += found == before
        assert_upgraded(where)
        assert schema(where) == after
    assert unfinished > 0


def assert_upgraded(where: str) -> None:
    """Opening brings it to this version's schema, with every row."""
    with Ledger.open(where, people_key=KEY) as ledger, ledger._read() as connection:
        for query, expected in {
            "SELECT version_num FROM alembic_version": SCHEMA_REVISION,
            "SELECT count(*) FROM conversations": ROWS,
            "SELECT id FROM runs ORDER BY seq DESC": "r28",
        }.items():
            assert connection.execute(text(query)).scalar() == expected
