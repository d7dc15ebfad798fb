"""A disk that is nearly full is not written to at every look."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from gpa_agent.errors import StoreError
from gpa_agent.ledger import Ledger
from gpa_agent.ledger import forgetting as module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Disk(NamedTuple):
    """What ``shutil.disk_usage`` says."""

    total: int
    used: int
    free: int


@pytest.fixture
def forgetful(path: Path) -> Iterator[Ledger]:
    """A ledger that somebody was forgotten in."""
    with Ledger.open(path, people_key=b"k" * 32) as ledger:
        person = ledger.person("ann")
        ledger.record_turn(
            conversation="c", key="0", user="SWORDFISH", assistant="Hello.", person=person
        )
        ledger.forget(person)
        yield ledger


def test_a_file_is_rewritten_only_where_there_is_room_for_it(
    forgetful: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = path.stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(0, 0, 2 * size - 1))
    assert not forgetful.compact()
    assert not forgetful.forgetting_compacted()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(0, 0, 2 * size))
    assert forgetful.compact()  # room is looked for anew every time
    assert b"SWORDFISH" not in path.read_bytes()


def test_after_a_failure_rewriting_is_left_alone_for_an_hour(
    forgetful: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[None] = []

    def fail(_: object) -> bool:
        tried.append(None)
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(module, "_vacuumed", fail)
        assert not any(forgetful.compact() for _ in range(3))
    assert len(tried) == 1
    assert not forgetful.compact()
    later = time.monotonic() + 3600
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert forgetful.compact()
