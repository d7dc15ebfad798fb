from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.errors import GraphInterrupt

from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.turn.context import Asker
from gpa_agent.turn.plan import Asked, Plan, read_turn
from gpa_agent.turn.tailor import Mode, Tailor
from gpa_agent.workspace import Workspace
from tests.turn.support import Scripted, seed

if TYPE_CHECKING:
    from pathlib import Path


def tailor(ws: Workspace, **changes: Any) -> Tailor:
    options: dict[str, Any] = {
        "mode": "auto",
        "holdout": 0.0,
        "budget_seconds": 30.0,
        "group_models": {},
        "record": True,
    }
    engine = Tailor(ws, **{**options, **changes})
    engine.warm()
    return engine


def asked(text: str = "Why?", **who: str) -> Asked:
    return read_turn(Asker(**who), [HumanMessage(text)])


def plan(engine: Tailor, turn: Asked, *, can_dispatch: bool = True) -> Plan:
    return engine.run(engine.find_plan(turn, can_dispatch=can_dispatch))


def test_known_group_and_no_taxonomy_gets_the_rubric(ws: Workspace) -> None:
    got = plan(tailor(ws), asked(group="novice"))
    assert (got.mode, got.arm, got.rubric_version, got.aspects) == (
        "context",
        "tailored",
        ws.export_rubrics()[0].version,
        ("steps",),
    )
    assert got.intent.value == "general"
    assert got.block is not None
    assert got.degraded is None


def test_trace_has_what_the_contract_names(ws: Workspace) -> None:
    trace = plan(tailor(ws), asked(group="novice")).trace()
    named = {"intent", "group", "confidence", "arm", "mode", "rubric_version", "aspects"}
    assert named | {"degraded", "timings_ms"} <= trace.keys()
    assert trace["confidence"] == {"intent": 1.0, "group": 1.0}


def test_order_of_belief_context_then_known_then_classifier(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws, "known_group", {"u": "expert"}.get)
    monkeypatch.setattr(ws, "group_classifier", lambda: Scripted("novice"))
    engine = tailor(ws)
    sources = [
        plan(engine, asked(user_id="u", group="novice")).group,
        plan(engine, asked(user_id="u")).group,
        plan(engine, asked(user_id="stranger")).group,
    ]
    assert [(s.value, s.source) for s in sources] == [
        ("novice", "context"),
        ("expert", "known"),
        ("novice", "classifier"),
    ]


def test_intent_of_the_context_is_taken_as_it_is(ws: Workspace) -> None:
    ws.import_rubrics([seed("cooking")])
    assert plan(tailor(ws), asked(group="novice", intent="cooking")).mode == "context"
    unheard = plan(tailor(ws), asked(group="novice", intent="unheard of"))
    assert (unheard.intent.value, unheard.mode) == ("unheard of", "plain")


def test_group_the_workspace_does_not_know_is_plain(ws: Workspace) -> None:
    got = plan(tailor(ws), asked(group="martian"))
    assert (got.group.value, got.mode, got.block) == ("martian", "plain", None)


def test_a_group_nobody_has_heard_of_is_told_in_the_trace(ws: Workspace) -> None:
    engine = tailor(ws)
    trace = plan(engine, asked(group="novise")).trace()
    assert trace["unserved"] == "the workspace knows no group 'novise', only expert, novice"
    assert trace["degraded"] is None  # nothing of ours failed
    assert engine.degraded_total == 0
    # Known and unserved is no mistake: nothing is live for them in this intent.
    for known in (asked(group="expert", intent="cooking"), asked(group="novice")):
        assert "unserved" not in plan(engine, known).trace()


def test_where_no_group_is_known_yet_none_is_wrong(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "new.gpa") as new:
        assert "unserved" not in plan(tailor(new), asked(group="novise")).trace()


@pytest.mark.parametrize(("confidence", "mode"), [(0.49, "plain"), (0.5, "context")])
def test_low_confidence_is_unknown_and_unknown_is_plain(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, confidence: float, mode: str
) -> None:
    monkeypatch.setattr(ws, "intent_classifier", lambda: Scripted("general", confidence))
    got = plan(tailor(ws), asked(group="novice"))
    assert got.mode == mode
    assert got.intent.confidence == confidence
    assert got.intent.value == ("unknown" if mode == "plain" else "general")


def test_nothing_is_classified_that_is_known_or_never_said(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    intents, groups = Scripted("general"), Scripted("novice")
    monkeypatch.setattr(ws, "intent_classifier", lambda: intents)
    monkeypatch.setattr(ws, "group_classifier", lambda: groups)
    engine = tailor(ws)
    plan(engine, asked(group="novice", intent="general"))
    plan(engine, read_turn(Asker(), []))
    assert intents.seen == groups.seen == []
    plan(engine, asked("Why?"))
    assert (intents.seen, groups.seen) == (["Why?"], ["Why?"])


def test_holdout_is_plain_and_remembers_what_it_would_have_got(ws: Workspace) -> None:
    got = plan(tailor(ws, holdout=1.0), asked(group="novice", user_id="u"))
    assert (got.arm, got.mode, got.block, got.aspects) == ("holdout", "plain", None, ())
    assert got.rubric_version is not None


STEPS_AS = ("steps",)


@pytest.mark.parametrize(
    ("mode", "can_dispatch", "expected"),
    [
        ("auto", True, ("finetuned", "novice", STEPS_AS)),
        ("auto", False, ("context", None, STEPS_AS)),
        ("context", True, ("context", None, STEPS_AS)),
        ("finetuned", True, ("finetuned", "novice", STEPS_AS)),
        ("finetuned", False, ("plain", None, ())),
        ("plain", True, ("plain", None, ())),
    ],
)
def test_modes(ws: Workspace, mode: Mode, can_dispatch: bool, expected: tuple[Any, ...]) -> None:
    engine = tailor(ws, mode=mode, group_models={"novice": ScriptedChatModel()})
    got = plan(engine, asked(group="novice"), can_dispatch=can_dispatch)
    assert (got.mode, got.model, got.guided) == expected


def test_group_without_a_model_gets_the_rubric_in_auto_and_nothing_in_finetuned(
    ws: Workspace,
) -> None:
    models = {"expert": ScriptedChatModel()}
    auto = plan(tailor(ws, group_models=models), asked(group="novice"))
    only = plan(tailor(ws, mode="finetuned", group_models=models), asked(group="novice"))
    assert (auto.mode, only.mode) == ("context", "plain")


@pytest.mark.parametrize(
    "broken", ["intent_classifier", "group_classifier", "known_group", "rubric", "person"]
)
def test_any_failure_of_ours_is_plain_counted_and_logged_without_the_users_words(
    ws: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: str,
) -> None:
    engine = tailor(ws)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret: Why?")

    if broken in {"rubric", "person"}:  # reached only where a group is known
        monkeypatch.setattr(ws, "known_group", lambda user: "novice")
    monkeypatch.setattr(ws, broken, fail)
    with caplog.at_level(logging.WARNING, logger="gpa_agent.turn"):
        got = plan(engine, asked(user_id="u"))
    assert got.mode == "plain"
    assert got.degraded is not None
    assert "RuntimeError" in got.degraded
    assert engine.degraded_total == 1
    assert len(caplog.records) == 1
    assert "Why?" not in caplog.text + str(got.trace())


@pytest.mark.parametrize("slow", ["intent_classifier", "group_classifier"])
async def test_overrun_is_plain_within_the_budget(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    monkeypatch.setattr(ws, slow, lambda: Scripted("novice", seconds=2.0))
    engine = tailor(ws, budget_seconds=0.03)
    turn = asked(user_id="u")
    for got in (plan(engine, turn), await engine.arun(engine.find_plan(turn, can_dispatch=True))):
        assert got.mode == "plain"
        assert got.degraded is not None
        assert "over budget (0.03 s)" in got.degraded
        assert got.timings_ms["total"] < 1_000  # given up long before the classifier's 2 s


def test_a_lookup_that_took_too_long_is_told(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(0, 1_000, 10))
    engine = tailor(ws, budget_seconds=0.25, clock=lambda: float(next(ticks)))
    got = plan(engine, asked(group="novice"))
    assert got.mode == "plain"
    assert got.degraded == "retrieve_rubric: over budget (0.25 s)"


def test_an_interrupt_passes_through(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tailor(ws)

    def stop(**_: object) -> None:
        raise GraphInterrupt

    monkeypatch.setattr(ws, "rubric", stop)
    with pytest.raises(GraphInterrupt):
        plan(engine, asked(group="novice"))
    assert engine.degraded_total == 0


def test_a_workspace_that_cannot_warm_up_is_tried_again_at_the_turn(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ws, "warm", lambda: 1 / 0)
        engine = tailor(ws)
    assert engine.degraded_total == 1
    assert plan(engine, asked(group="novice")).mode == "context"


async def test_sync_and_async_find_the_same(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws, "intent_classifier", lambda: Scripted("general", 0.8))
    monkeypatch.setattr(ws, "group_classifier", lambda: Scripted("expert", 0.7))
    engine = tailor(ws)
    turn = asked(user_id="u")
    one = plan(engine, turn).trace()
    other = (await engine.arun(engine.find_plan(turn, can_dispatch=True))).trace()
    one.pop("timings_ms")
    other.pop("timings_ms")
    assert one == other
    assert one["mode"] == "context"
