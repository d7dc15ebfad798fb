from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import registry
from sqlalchemy.schema import CreateIndex, CreateTable

from gpa_agent.conversations import Conversation, Turn
from gpa_agent.errors import StoreError, UsageError, WorkspaceError
from gpa_agent.ledger import Ledger, engines, migrating
from gpa_agent.ledger.people import person_hash
from gpa_agent.ledger.tables import SCHEMA_REVISION, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = b"k" * 32
POSTGRESQL = registry.load("postgresql")()


def conversation(number: int, size: int = 1) -> Conversation:
    return Conversation(
        id=f"c{number}", user="ann", turns=(Turn(user="question " * size, assistant="answer"),)
    )


def execute(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    point = tmp_path / "mount"
    point.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(point)]
    if shutil.which("mount") is None or (
        subprocess.run(command, capture_output=True, check=False).returncode
    ):
        pytest.skip("mounting a file system is not permitted here")
    yield point
    subprocess.run(["umount", "-l", str(point)], check=True)


def test_the_migrations_make_exactly_the_tables(path: Path, ledger: Ledger) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_newest_migration_is_the_one_the_tables_stand_for() -> None:
    script = ScriptDirectory.from_config(migrating.alembic_config())
    assert script.get_heads() == [SCHEMA_REVISION]


@pytest.mark.parametrize("name", sorted(metadata.tables))
def test_every_table_is_valid_postgresql(name: str) -> None:
    table = metadata.tables[name]
    ddl = str(CreateTable(table).compile(dialect=POSTGRESQL))
    assert "BLOB" not in ddl
    assert ddl.strip().startswith(f"CREATE TABLE {name} (")
    for index in table.indexes:
        assert str(CreateIndex(index).compile(dialect=POSTGRESQL))


def test_sqlite_is_durable_and_leaves_no_deleted_bytes(path: Path, ledger: Ledger) -> None:
    with ledger._read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
        timeout = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
    assert timeout == engines.BUSY_SECONDS * 1000


def test_opening_again_keeps_what_is_there(path: Path) -> None:
    for number in (1, 2):
        with (
            Ledger.open(path, people_key=KEY) as ledger,
            ledger.ingesting("log") as ingest,
        ):
            ingest.add(conversation(number))
    with Ledger.open(f"sqlite:///{path}", people_key=KEY) as ledger:
        assert ledger.counts()["conversations"] == 2


def test_two_openers_of_a_new_ledger_both_succeed(path: Path) -> None:
    failures: list[BaseException] = []

    def opener() -> None:
        try:
            Ledger.open(path, people_key=KEY).close()
        except BaseException as exc:  # noqa: BLE001 -- carried to the test's thread
            failures.append(exc)

    threads = [threading.Thread(target=opener) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_newer_workspace_is_refused_and_unchanged(path: Path) -> None:
    Ledger.open(path, people_key=KEY).close()
    execute(path, "UPDATE alembic_version SET version_num = '0999'")
    before = path.read_bytes()
    with pytest.raises(WorkspaceError, match=r"newer version.*'0999'.*pip install --upgrade"):
        Ledger.open(path, people_key=KEY)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_unchanged(path: Path) -> None:
    execute(path, "CREATE TABLE invoices (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(WorkspaceError, match="not a gpa-agent ledger"):
        Ledger.open(path, people_key=KEY)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_unchanged(path: Path) -> None:
    path.write_bytes(b"these are my notes\n" * 500)
    before = path.read_bytes()
    with pytest.raises(WorkspaceError, match=r"ledger\.db' is damaged or not a gpa-agent ledger"):
        Ledger.open(path, people_key=KEY)
    assert path.read_bytes() == before


def test_a_damaged_ledger_is_told_as_damage(path: Path) -> None:
    with Ledger.open(path, people_key=KEY) as ledger, ledger.ingesting("log") as ingest:
        ingest.add_all([conversation(n, 50) for n in range(500)])
    data = bytearray(path.read_bytes())
    data[8192:] = b"\xff" * (len(data) - 8192)
    path.write_bytes(data)
    with (
        pytest.raises(WorkspaceError, match="damaged"),
        Ledger.open(path, people_key=KEY) as ledger,
    ):
        ledger.counts()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent/ledger\.db.*check that its folder exists"):
        Ledger.open(tmp_path / "absent" / "ledger.db", people_key=KEY)


def test_a_bad_url_and_a_short_key_are_misuse(path: Path) -> None:
    with pytest.raises(UsageError, match="not a database URL"):
        Ledger.open("://", people_key=KEY)
    with pytest.raises(UsageError, match="16 to 64 bytes, this one has 5"):
        Ledger.open(path, people_key=b"short")
    assert not path.exists()


def test_a_read_only_disk_is_named_and_nothing_changes(mount: Path) -> None:
    path = mount / "ledger.db"
    with Ledger.open(path, people_key=KEY) as ledger, ledger.ingesting("log") as ingest:
        ingest.add(conversation(1))
    before = path.read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    with (
        pytest.raises(StoreError, match=r"ledger\.db.*not read-only"),
        Ledger.open(path, people_key=KEY) as ledger,
        ledger.ingesting("log") as ingest,
    ):
        ingest.add(conversation(2))
    with pytest.raises(StoreError, match=r"new\.db.*not read-only"):
        Ledger.open(mount / "new.db", people_key=KEY)
    assert path.read_bytes() == before
    assert [p.name for p in mount.iterdir()] == ["ledger.db"]


def test_a_disk_that_fills_up_undoes_the_whole_log_and_heals(mount: Path) -> None:
    with Ledger.open(mount / "ledger.db", people_key=KEY) as ledger:
        with ledger.ingesting("first") as ingest:
            ingest.add(conversation(0))
        before = ledger.counts()
        with (
            pytest.raises(StoreError, match=r"ledger\.db.*disk is full.*free some space"),
            ledger.ingesting("second") as ingest,
        ):
            ingest.add_all([conversation(number, 500) for number in range(1, 2000)])
        assert ledger.counts() == before
        with ledger.ingesting("third") as ingest:
            assert ingest.add(conversation(1)) == "added"
        with ledger._read() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def test_a_full_disk_at_creation_leaves_no_file(mount: Path) -> None:
    (mount / "filler").write_bytes(b"x" * (4 * 2**20 - 8192))
    with pytest.raises(StoreError, match="disk is full"):
        Ledger.open(mount / "ledger.db", people_key=KEY)
    assert [p.name for p in mount.iterdir()] == ["filler"]


def test_a_file_size_limit_is_told_as_a_full_disk(tmp_path: Path) -> None:
    script = """
import resource, sys
from gpa_agent.conversations import Conversation, Turn
from gpa_agent.errors import StoreError
from gpa_agent.ledger import Ledger
ledger = Ledger.open(sys.argv[1], people_key=b"k" * 32)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    with ledger.ingesting("log") as ingest:
        for n in range(3000):
            ingest.add(Conversation(id=str(n), turns=(Turn(user="x" * 1000),)))
except StoreError as exc:
    print(exc)
print(ledger.counts()["conversations"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "l.db")],
        capture_output=True,
        text=True,
        check=True,
    )
    message, count = done.stdout.splitlines()
    assert "disk is full or failing" in message
    assert count == "0"


def test_a_second_writer_waits_and_then_says_who_is_in_the_way(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.05)
    with (
        Ledger.open(path, people_key=KEY) as second,
        ledger.ingesting("long") as ingest,
    ):
        ingest.add(conversation(1))
        assert second.counts()["conversations"] == 0  # readers are not kept waiting
        with pytest.raises(StoreError, match="written by another process"):
            second.record_turn(conversation="x", key="k", user="u", assistant="a")


def test_people_are_told_apart_only_with_the_key() -> None:
    # BLAKE2b-128 keyed with 32 times "k" and personalised "gpa-person", of "user-17".
    assert person_hash("user-17", key=KEY) == PERSON_17
    assert person_hash("user-17", key=b"j" * 32) != PERSON_17
    assert person_hash("user-18", key=KEY) != PERSON_17
    assert len(person_hash("\ud800", key=KEY)) == 32


PERSON_17 = "18d2505cffbdfcea918262da6a632490"
