"""Fault F10: the Chroma folder is deleted, garbled or slow while the app serves.

The index is no truth of its own: answers do not pass through it, and it is made anew.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpa_agent import Workspace
from gpa_agent.rubrics.index import RubricIndex
from tests.faults.support import App
from tests.turn.support import STEPS, seed

Open = Callable[[Path], Workspace]


def delete(folder: Path) -> None:
    shutil.rmtree(folder)


def garble(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(os.urandom(path.stat().st_size))


def replace_by_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("not a folder")


def serving(tmp_path: Path, open_here: Open) -> Workspace:
    ws = open_here(tmp_path / "ws")
    ws.import_rubrics([seed("debugging")])
    return ws


@pytest.mark.parametrize("harm", [delete, garble])
def test_answers_stay_and_the_search_heals(
    tmp_path: Path, open_here: Open, app_of: Callable[..., App], harm: Callable[[Path], None]
) -> None:
    ws = serving(tmp_path, open_here)
    app = app_of(ws)
    found = ws.search_rubrics("numbered steps")
    before = app.ask("Why?")
    assert STEPS in before.text

    harm(ws.path / "chroma")

    answer = app.ask("Why?", thread="after")
    assert (answer.text, answer.degraded) == (before.text, None)
    assert [(r, a.name) for r, a, _ in ws.search_rubrics("numbered steps")] == [
        (r, a.name) for r, a, _ in found
    ]
    ws.close()
    again = open_here(ws.path)
    assert [a.name for _, a, _ in again.search_rubrics("numbered steps")] == ["steps"]


def test_a_place_where_no_index_can_be_made_costs_only_the_search(
    tmp_path: Path, open_here: Open, app_of: Callable[..., App]
) -> None:
    from gpa_agent.errors import StoreError

    ws = serving(tmp_path, open_here)
    app = app_of(ws)
    ws.search_rubrics("numbered steps")
    ws.close()
    replace_by_a_file(ws.path / "chroma")
    ws = open_here(ws.path)
    app = app_of(ws)
    with pytest.raises(StoreError, match="rubric index"):
        ws.search_rubrics("numbered steps")
    answer = app.ask("Why?")
    assert STEPS in answer.text
    assert answer.degraded is None


def test_nobody_waits_for_a_slow_index(
    tmp_path: Path,
    open_here: Open,
    app_of: Callable[..., App],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ws = serving(tmp_path, open_here)
    app = app_of(ws)
    app.ask("Warm up", thread="warm")
    release, inside = threading.Event(), threading.Event()
    search = RubricIndex.search

    def slow(self: RubricIndex, *args: Any, **kwargs: Any) -> Any:
        inside.set()
        release.wait(30)
        return search(self, *args, **kwargs)

    monkeypatch.setattr(RubricIndex, "search", slow)
    searching = threading.Thread(target=ws.search_rubrics, args=("numbered steps",))
    searching.start()
    assert inside.wait(20)
    started = time.monotonic()
    answer = app.ask("Why?")
    took = time.monotonic() - started
    assert STEPS in answer.text
    assert answer.degraded is None
    assert took < 5, "the answer waited for the index"
    assert searching.is_alive()
    release.set()
    searching.join(30)
