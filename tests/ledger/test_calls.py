from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from alembic import command
from sqlalchemy import create_engine

from gpa_agent.conversations import Conversation, Turn
from gpa_agent.ledger import CallRow, Ledger, migrating

if TYPE_CHECKING:
    from pathlib import Path

KEY = b"k" * 32


def call(number: int, *, subject: str | None = None, answer: str = "{}") -> CallRow:
    return CallRow(
        key=f"{number:064x}",
        model="openai:gpt-4o-mini",
        prompt="intent",
        version="1",
        subject=subject,
        answer=answer,
        finish_reason="stop",
        input_tokens=1000 + number,
        output_tokens=20,
        cached_tokens=512,
        cost=None if number % 2 else 0.001,
    )


@pytest.fixture
def old(path: Path) -> Path:
    """A workspace of the first schema, with a conversation in it."""
    engine = create_engine(f"sqlite:///{path}")
    config = migrating.alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO conversations (id, source, digest, created_at) "
            "VALUES ('c1', 'log', 'd', '2026-01-01 00:00:00')"
        )
    engine.dispose()
    return path


def test_a_call_is_found_by_its_key_as_it_was_stored(ledger: Ledger) -> None:
    ledger.add_calls([call(0), call(1, subject="t:c1:0", answer="ünïcode \U0001f600")])
    assert ledger.call(call(1).key) == call(1, subject="t:c1:0", answer="ünïcode \U0001f600")
    assert ledger.call(call(2).key) is None
    assert ledger.count_calls() == 2


def test_a_call_that_is_there_stays_as_it_is(ledger: Ledger) -> None:
    ledger.add_calls([call(0, answer="first")])
    ledger.add_calls([call(0, answer="second"), call(1), call(1, answer="again")])
    found = ledger.calls([call(0).key, call(1).key])
    assert [row.answer for row in found.values()] == ["first", "{}"]


def test_more_keys_than_a_statement_takes_are_looked_up(ledger: Ledger) -> None:
    ledger.add_calls([call(n) for n in range(1200)])
    found = ledger.calls([call(n).key for n in range(1100, 2400)])
    assert sorted(found) == [call(n).key for n in range(1100, 1200)]
    assert ledger.calls([]) == {}


def test_nothing_is_stored_of_a_group_that_fails(ledger: Ledger) -> None:
    bad = call(1)._replace(answer=None)  # type: ignore[arg-type]
    with pytest.raises(Exception, match=r"(?i)not.null"):
        ledger.add_calls([call(0), bad])
    assert ledger.count_calls() == 0


def test_a_workspace_of_the_first_schema_is_migrated_where_it_is(old: Path) -> None:
    with Ledger.open(old, people_key=KEY) as ledger:
        assert ledger.counts()["conversations"] == 1
        ledger.add_calls([call(0)])
    with Ledger.open(old, people_key=KEY) as ledger:
        assert ledger.call(call(0).key) == call(0)
        with ledger.ingesting("log") as ingest:
            assert ingest.add(Conversation(id="c2", turns=(Turn(user="hi"),))) == "added"
