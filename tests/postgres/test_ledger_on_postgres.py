"""What only a server can do: two writers, a lock timeout, a restart, an order of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from gpa_agent.conversations import Conversation, Turn
from gpa_agent.errors import StoreError, UsageError, WorkspaceError
from gpa_agent.ledger import Busy, Ledger, engines
from gpa_agent.ledger.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres.server import Server

KEY = b"k" * 32
WRITER = """
import sys
from gpa_agent.ledger import Ledger
with Ledger.open(sys.argv[1], people_key=b"k" * 32) as ledger:
    for n in range(int(sys.argv[2]), int(sys.argv[2]) + 30):
        print(ledger.record_turn(conversation="c", key=str(n), user="u", assistant="a"))
        ledger.publish({"intent": "i", "contrast": {"group": "g", "other": "*"}, "aspects": []},
                       reason="learned")
"""


@pytest.fixture
def ledger(postgres_url: str) -> Iterator[Ledger]:
    with Ledger.open(postgres_url, people_key=KEY) as opened:
        yield opened


@pytest.fixture
def empty(postgres: Server) -> Iterator[str]:
    """The name of a database in which nothing is."""
    name = postgres.new_database(empty=True)
    yield name
    postgres.drop_database(name)


def name_of(ledger: Ledger) -> str:
    assert ledger.url.database is not None
    return ledger.url.database


def test_two_processes_number_turns_and_versions_without_a_gap(
    postgres_url: str, ledger: Ledger
) -> None:
    command = [sys.executable, "-c", WRITER, postgres_url]
    writers = [
        subprocess.Popen([*command, start], stdout=subprocess.PIPE, text=True)
        for start in ("0", "20")
    ]
    written = [int(line) for writer in writers for line in writer.communicate()[0].split()]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sorted(set(written)) == list(range(50))  # ten of the turns were said by both
    history = ledger.history(intent="i", group="g")
    assert [row.version for row in history] == list(range(1, 61))
    assert [row.status for row in history] == ["retired"] * 59 + ["live"]
    assert ledger.revision() == 60


def test_openers_of_an_empty_database_all_succeed(postgres: Server, empty: str) -> None:
    failures: list[BaseException] = []

    def opener() -> None:
        try:
            Ledger.open(postgres.url(empty), people_key=KEY).close()
        except BaseException as exc:  # noqa: BLE001 -- carried to the test's thread
            failures.append(exc)

    threads = [threading.Thread(target=opener) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_the_migrations_make_exactly_the_tables_and_sort_by_bytes(
    postgres: Server, ledger: Ledger
) -> None:
    engine = create_engine(ledger.url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    columns = postgres.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE data_type = 'text' "
        "AND table_schema = 'public' AND collation_name IS DISTINCT FROM 'C'",
        database=name_of(ledger),
    )
    assert columns == []


def test_conversations_come_in_the_order_of_bytes(ledger: Ledger) -> None:
    ids = ["a", "B", "_", "ä", "Z", "10", "9"]  # a language would sort: _ 10 9 a ä B Z
    with ledger.ingesting("log") as ingest:
        ingest.add_all([Conversation(id=i, turns=(Turn(user="u", assistant="a"),)) for i in ids])
    found = [s.subject_id for page in ledger.to_label("intent", "1", batch=2) for s in page]
    assert found == sorted(ids)


def test_a_writer_in_the_way_is_waited_for_and_then_told(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.2)
    with (
        Ledger.open(ledger.url.render_as_string(), people_key=KEY) as second,
        ledger.ingesting("long") as ingest,
    ):
        ingest.add(Conversation(id="c1", turns=(Turn(user="u", assistant="a"),)))
        assert second.counts()["conversations"] == 0  # readers are not kept waiting
        with pytest.raises(StoreError, match="written by another process"):
            second.record_turn(conversation="x", key="k", user="u", assistant="a")
    assert ledger.counts()["conversations"] == 1


def test_a_read_sees_one_moment(ledger: Ledger, postgres_url: str) -> None:
    with Ledger.open(postgres_url, people_key=KEY) as writer, ledger._read() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM turns").scalar()
        writer.record_turn(conversation="c", key="k", user="u", assistant="a")
        assert connection.exec_driver_sql("SELECT count(*) FROM turns").scalar() == before


def test_a_server_that_comes_back_is_used_again(postgres: Server, ledger: Ledger) -> None:
    ledger.record_turn(conversation="c", key="0", user="u", assistant="a")
    lock = ledger.exclusive("learning")
    lock.__enter__()
    postgres.stop()
    try:
        started = time.monotonic()
        with pytest.raises(StoreError, match=r"could not reach .* check that its server runs"):
            ledger.record_turn(conversation="c", key="1", user="u", assistant="a")
        with pytest.raises(StoreError, match="could not reach"):
            Ledger.open(ledger.url.render_as_string(), people_key=KEY)
        assert time.monotonic() - started < 2
    finally:
        postgres.start()
    assert ledger.record_turn(conversation="c", key="1", user="u", assistant="a") == 1
    with ledger.exclusive("learning"):  # the server knows nothing of who held it before
        pass
    lock.__exit__(None, None, None)


def test_a_killed_session_is_told_and_the_next_one_works(postgres: Server, ledger: Ledger) -> None:
    end_all = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{name_of(ledger)}'"
    )
    writing = ledger.ingesting("log")
    writing.__enter__().add(Conversation(id="c1", turns=(Turn(user="u", assistant="a"),)))
    postgres.execute(end_all)
    with pytest.raises(StoreError, match="could not reach"):
        writing.__exit__(None, None, None)
    assert ledger.counts()["conversations"] == 0


def test_a_holder_is_named_by_its_program_and_server_process(
    ledger: Ledger, postgres_url: str
) -> None:
    with (
        Ledger.open(postgres_url, people_key=KEY) as second,
        ledger.exclusive("learning"),
        pytest.raises(Busy, match=r"server process \d+, gpa-agent learning .*:\d+ \(since"),
        second.exclusive("learning"),
    ):
        pass


def test_two_schemas_of_one_database_are_two_ledgers(postgres: Server, empty: str) -> None:
    urls = []
    for schema in ("one", "two"):
        postgres.execute(f"CREATE SCHEMA {schema}", database=empty)
        urls.append(postgres.url(empty) + f"&options=-csearch_path%3D{schema}")
    one, two = (Ledger.open(url, people_key=KEY) for url in urls)
    with one, two, one.exclusive("learning"), two.exclusive("learning"):
        one.record_turn(conversation="c", key="k", user="u", assistant="a")
        assert (one.counts()["turns"], two.counts()["turns"]) == (1, 0)


def test_no_password_is_shown(postgres: Server) -> None:
    url = f"postgresql://ann:s3cret@/absent?host={postgres.folder}&sslpassword=s3cret"
    with pytest.raises(
        StoreError, match=r"could not reach 'postgresql://ann:...@/absent"
    ) as caught:
        Ledger.open(url, people_key=KEY)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(UsageError, match="not a database URL") as misused:
        Ledger.open("postgresql://ann:s3cret@host:port/absent", people_key=KEY)
    assert "s3cret" not in str(misused.value)


def test_another_programs_database_and_a_newer_ledger_are_refused(
    postgres: Server, empty: str, ledger: Ledger
) -> None:
    postgres.execute("CREATE TABLE invoices (id integer)", database=empty)
    with pytest.raises(WorkspaceError, match="not a gpa-agent ledger"):
        Ledger.open(postgres.url(empty), people_key=KEY)
    newer = "UPDATE alembic_version SET version_num = '0999'"
    postgres.execute(newer, database=name_of(ledger))
    with pytest.raises(WorkspaceError, match=r"newer version.*'0999'.*pip install --upgrade"):
        Ledger.open(ledger.url.render_as_string(), people_key=KEY)


def test_a_user_without_rights_is_told(postgres: Server, empty: str) -> None:
    postgres.execute(f"CREATE ROLE reader_{empty} LOGIN")
    url = postgres.url(empty).replace("postgres@", f"reader_{empty}@")
    with pytest.raises(StoreError, match=r"permission denied.*give its user the right"):
        Ledger.open(url, people_key=KEY)
    postgres.execute(f"DROP ROLE reader_{empty}")
