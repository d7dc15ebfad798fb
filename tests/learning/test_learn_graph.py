"""The learn graph does what the worker does, stage by stage, and shows no texts."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from gpa_agent.embedding import HashingEncoder
from gpa_agent.errors import ServiceError
from gpa_agent.learning.graph import build_learn_graph
from gpa_agent.testing.chat_world import ChatWorld
from gpa_agent.testing.world_logs import write_log
from gpa_agent.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STAGES = [
    "detect_satisfaction",
    "explain_preference",
    "contrast_groups",
    "weigh_evidence",
    "gate",
    "publish",
]
SAID = ("Why does my loop never end?", "That is wrong, it still never ends!", "Thanks, perfect.")


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace in which three turns of two conversations each wait."""
    with Workspace.open(
        tmp_path / "ws",
        groups=["novice", "expert"],
        encoder=HashingEncoder(),
        refine_after_turns=4,
        refine_seconds=0.0,
        permutations=1999,
        bootstrap=100,
        colluders=0.0,
    ) as opened:
        for conversation in ("c1", "c2"):
            for i, text in enumerate(SAID):
                opened.record_turn(
                    conversation=conversation,
                    key=str(i),
                    user=text,
                    assistant="Use a while loop.",
                    user_id="u1",
                    group=None,
                    intent=None,
                    trace={},
                )
        yield opened


def steps(graph: Any, given: dict[str, Any]) -> dict[str, Any]:
    """What each node wrote, by node, in order."""
    return {k: v for part in graph.stream(given, stream_mode="updates") for k, v in part.items()}


def test_the_drawing_is_the_design(ws: Workspace) -> None:
    drawn = build_learn_graph(ws).get_graph()
    assert list(drawn.nodes) == ["__start__", *STAGES, "__end__"]
    edges = {(e.source, e.target) for e in drawn.edges}
    line = ["__start__", *STAGES, "__end__"]
    assert edges == {*pairwise(line), ("explain_preference", "__end__")}


def test_one_conversation_is_handled_and_it_ends_where_nothing_is_due(ws: Workspace) -> None:
    graph = build_learn_graph(ws)
    seen = steps(graph, {"conversation": "c1"})
    assert list(seen) == STAGES[:2]
    assert seen["detect_satisfaction"]["satisfaction"] == {"events": 3, "judged": 2, "busy": None}
    assert ws.ledger.count_events() == {"waiting": 3, "done": 3, "shed": 0, "failed": 0}


def test_all_that_waits_is_handled_and_everything_weighed(ws: Workspace) -> None:
    seen = steps(build_learn_graph(ws), {})
    assert list(seen) == STAGES
    assert seen["explain_preference"]["preferences"] == {"explained": 4, "due": True}
    assert seen["contrast_groups"]["contrasts"]["busy"] is None
    assert ws.ledger.events_since_refined() == 0


def test_sync_and_async_find_the_same(ws: Workspace) -> None:
    graph = build_learn_graph(ws)
    first = asyncio.run(graph.ainvoke({"conversation": "c1"}))
    second = graph.invoke({"conversation": "c2"})
    assert first["satisfaction"] == second["satisfaction"]
    assert (first["contrasts"], second["published"]) == (None, [])
    assert asyncio.run(graph.ainvoke({})) == graph.invoke({})


@pytest.mark.slow
def test_a_version_is_shown_with_names_and_the_state_holds_no_texts(
    ws: Workspace, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    write_log(ChatWorld(people=40, conversations=4, seed=11), log)
    ws.ingest(log)
    seen = steps(build_learn_graph(ws), {})
    published = seen["publish"]["published"]
    assert {p["intent"]: p["version"] for p in published} == {
        r.intent: 1 for r in ws.ledger.live_rubrics()
    }
    live = [name for p in published for name in p["live"]]
    assert live
    assert seen["gate"]["decisions"]["live"] == len(live)
    assert seen["weigh_evidence"]["evidence"]["tested"] > 0
    texts = [a.interpretation for r in ws.rubrics() for a in r.aspects]
    assert not any(text in str(seen) for text in [*SAID, *texts])


def test_another_one_at_work_is_no_failure(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpa_agent.learning.graph.PATIENCE_SECONDS", 0.0)
    graph = build_learn_graph(ws)
    with ws.ledger.exclusive("work"):
        found = graph.invoke({"conversation": "c1"})
    assert "this very process" in found["satisfaction"]["busy"]
    assert ws.ledger.count_events()["waiting"] == 6
    with ws.ledger.exclusive("learning"):
        found = graph.invoke({})
    assert found["satisfaction"]["events"] == 6
    assert "this very process" in found["contrasts"]["busy"]
    assert found["published"] is None


def test_a_failure_says_where_to_look_and_quotes_nobody(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ValueError(SAID[0])

    monkeypatch.setattr(ws, "satisfaction_reader", fail)
    with pytest.raises(ServiceError, match="ValueError; `gpa worker --once`") as caught:
        build_learn_graph(ws).invoke({})
    assert SAID[0] not in str(caught.value)
    assert ws.ledger.count_events()["waiting"] == 6


def test_what_forgetting_left_is_undone(ws: Workspace) -> None:
    ws.ledger.forget(ws.person("u1"))
    assert not ws.ledger.forgetting_settled()
    build_learn_graph(ws).invoke({"conversation": "c1"})
    assert ws.ledger.forgetting_settled()
