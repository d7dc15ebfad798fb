"""A process that serves follows the others: what they publish, train and take away."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.understanding.cues import CUE_NAMES
from gpa_agent.understanding.distilled_satisfaction import DistilledSatisfaction, SatisfactionModel
from gpa_agent.understanding.storage import remove_classifier, save_satisfaction
from tests.turn.support import seed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def elsewhere(ws: Workspace) -> Workspace:
    """The same workspace, opened as another process would."""
    return Workspace.open(ws.path, encoder=HashingEncoder())


def becomes(true: Callable[[], object], seconds: float = 10.0) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not (came := bool(true())) and time.monotonic() < end:
        time.sleep(0.02)
    return came


def silent(stage: str, done: int, total: int | None) -> None:
    """Report progress to nobody."""


def train(ws: Workspace, chat_log: Path) -> None:
    """Train classifiers of intents and groups on a log, in another process as it were."""
    with elsewhere(ws) as other:
        other.ingest(chat_log)
        other.labelling().run(other.ledger, silent)


FORKING = """
import os, sys, time
from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from tests.turn.support import seed
ws = Workspace.open(sys.argv[1], encoder=HashingEncoder())
ws.warm()
child = os.fork()
if child:
    ws.import_rubrics([seed("poetry")])
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    ws.close()
    sys.exit(status)
end = time.monotonic() + 10
while ws.rubric(intent="poetry", group="novice") is None and time.monotonic() < end:
    time.sleep(0.02)
os._exit(ws.rubric(intent="poetry", group="novice") is None)
"""


HOLDING = """
import os, threading
from gpa_agent.learning.own_lock import OwnLock
lock, held, over = OwnLock(), threading.Event(), threading.Event()
def hold():
    with lock:
        held.set()
        over.wait()
threading.Thread(target=hold).start()
held.wait()
if not (child := os.fork()):
    with lock:
        os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
over.set()
raise SystemExit(status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.parametrize("script", [FORKING, HOLDING], ids=["follows", "has its own locks"])
def test_a_forked_child(workspace: Workspace, script: str) -> None:
    command = [sys.executable, "-c", script, str(workspace.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_any_failure_of_a_look_is_told_once_and_the_next_look_follows(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    workspace.snapshot()
    failed: list[str] = []

    def fail() -> int:
        failed.append(threading.current_thread().name)
        raise PoolTimeout("QueuePool limit: user said 'secret'")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(workspace.ledger, "revision", fail)
        assert becomes(lambda: len(failed) >= 2)
    with elsewhere(workspace) as other:
        other.import_rubrics([seed()])
    assert becomes(lambda: workspace.rubric(intent="general", group="novice"))
    assert caplog.text.count("TimeoutError") == 1
    assert "secret" not in caplog.text


def test_what_is_trained_elsewhere_serves_and_what_is_taken_away_does_not(
    workspace: Workspace, chat_log: Path
) -> None:
    workspace.warm()
    assert workspace.intent_classifier() is None
    train(workspace, chat_log)
    assert becomes(workspace.intent_classifier)
    assert becomes(workspace.group_classifier)
    for kind in ("intent", "group"):
        remove_classifier(workspace.path / "models" / kind)
    assert becomes(lambda: workspace.intent_classifier() is None)
    assert becomes(lambda: workspace.group_classifier() is None)


def test_a_run_labels_with_what_was_trained_elsewhere(workspace: Workspace, chat_log: Path) -> None:
    # Nobody serves here, so nothing looks twice a second: `gpa worker` beside `gpa learn`.
    assert workspace.labelling().one_intent
    train(workspace, chat_log)
    workspace.labelling().label_new(workspace.ledger, set(), silent)
    assert not workspace.labelling().one_intent


def test_a_reader_that_was_taught_elsewhere_judges_until_it_is_taken_away(
    workspace: Workspace,
) -> None:
    shipped = workspace.satisfaction_reader().version
    model = SatisfactionModel(
        coefficients=np.ones((1 + len(CUE_NAMES), 3)),
        encoder="",
        dim=0,
        temperature=1.0,
        shares=(0.25, 0.5, 0.25),
        cues=CUE_NAMES,
        report={},
    )
    taught = DistilledSatisfaction(model, None)
    save_satisfaction(taught, workspace.path / "models" / "satisfaction")
    assert workspace.satisfaction_reader().version == taught.version
    remove_classifier(workspace.path / "models" / "satisfaction")
    assert workspace.satisfaction_reader().version == shipped
