"""A turn that a stage fails on is left out and counted; everything else is learned from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gpa_agent import Judgment, Workspace
from gpa_agent.conversations.records import Label
from gpa_agent.embedding import HashingEncoder
from gpa_agent.errors import ModelError
from gpa_agent.evaluation.audit import audit
from gpa_agent.learning import stages
from gpa_agent.learning.stages import Labeller
from gpa_agent.learning.worker import Worker
from gpa_agent.preferences.embedded import explain
from gpa_agent.rubrics.traits import measuring
from gpa_agent.understanding.satisfaction import EmbeddedSatisfaction

POISON = "poisonous"
PLEASED = "Perfect, that fixed it, thank you!"


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace in which three conversations wait, one of them poisonous."""
    with Workspace.open(
        tmp_path / "w.gpa",
        groups=["novice", "expert"],
        encoder=HashingEncoder(),
        refine_after_turns=2,
        refine_seconds=0,
    ) as opened:
        for conversation in ("a", "b", "c"):
            talk(opened, conversation, POISON if conversation == "b" else "Use sorted().")
        yield opened


def talk(ws: Workspace, conversation: str, answer: str) -> None:
    for n, said in enumerate(("How do I sort?", PLEASED)):
        ws.record_turn(
            conversation=conversation,
            key=str(n),
            user=said,
            assistant=answer,
            user_id=conversation,
            group=Label("novice", 1.0, "context"),
            intent=None,
            trace={"mode": "plain"},
        )


def failing(work: Callable[..., Any]) -> Callable[..., Any]:
    def fail(*given: Any, **named: Any) -> Any:
        if POISON in repr((given, named)):
            raise ValueError(f"cannot read {given}")
        return work(*given, **named)

    return fail


STAGES = {
    "judge": (EmbeddedSatisfaction, "judge"),
    "explain": (stages, "explain"),
    "measure": (measuring, "measure"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_one_turn_that_a_stage_fails_on_does_not_stop_the_others(
    ws: Workspace,
    stage: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    where, name = STAGES[stage]
    monkeypatch.setattr(where, name, failing(getattr(where, name)))
    report = Worker(ws).run_once()
    assert (report.events, report.failed, report.refined) == (6, 2, True)
    assert ws.ledger.count_events() == {"waiting": 0, "done": 4, "shed": 0, "failed": 2}
    assert audit(ws).queue.failed == 2
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert f"learning leaves out what {stage!r} fails on (1): ValueError" in told
    assert POISON not in caplog.text
    # The worker of a program that was mended does it.
    monkeypatch.undo()
    assert Worker(ws).drain().failed == 0
    assert ws.ledger.count_events()["failed"] == 0
    assert ws.stats()["judgments"] == 3


def test_a_label_that_cannot_be_told_is_left_out(ws: Workspace) -> None:
    def classify(subjects: list[Any]) -> list[Label]:
        if any(s.subject_id == "b" for s in subjects):
            raise ValueError(POISON)
        return [Label("sorting", 0.9, "any") for _ in subjects]

    lost = set[str]()
    report = stages.label(ws.ledger, "intent", Labeller(classify, "1"), lambda *_: None, lost=lost)
    assert (report.done, lost) == (2, {"b"})


def test_what_a_person_can_mend_is_no_turn_s_fault(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> Any:
        raise ModelError("the provider is down")

    monkeypatch.setattr(EmbeddedSatisfaction, "judge", down)
    with pytest.raises(ModelError, match="down"):
        Worker(ws).run_once()
    assert ws.ledger.count_events()["waiting"] == 6


def test_feedback_on_a_turn_that_failed_waits(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "explain", failing(explain))
    worker = Worker(ws)
    worker.drain()
    ws.feedback(conversation="b", turn=0, judgment=Judgment.NEITHER)
    assert worker.drain().events == 1
