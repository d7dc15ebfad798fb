"""Every test of the ledger runs on SQLite and on PostgreSQL; one that asks for ``path`` is about
SQLite's file and runs on SQLite alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpa_agent.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = b"k" * 32


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "where" in metafunc.fixturenames:
        kinds = ["sqlite"] if "path" in metafunc.fixturenames else ["sqlite", "postgres"]
        metafunc.parametrize("where", kinds, indirect=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a ledger is, as ``Ledger.open`` takes it."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def ledger(where: str) -> Iterator[Ledger]:
    with Ledger.open(where, people_key=KEY) as opened:
        yield opened
