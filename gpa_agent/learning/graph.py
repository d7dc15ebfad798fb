"""Learning after the turn as a state machine, as LangGraph Studio shows it.

``detect_satisfaction -> explain_preference -> contrast_groups -> weigh_evidence -> gate ->
publish``; where it is too early to weigh everything again, it ends after the second. It is the
worker's own work, under the worker's own locks: in ``detect_satisfaction`` what forgetting left
to undo is undone, and what waits in a conversation is handled; in ``contrast_groups`` everything
is weighed and published. Each is done in one piece, since a run may be cancelled between two
nodes (the next turn does so) and must leave neither a lock nor half a result behind. The nodes
after each show what it found at their stage.

The input names a conversation and no turns: what is to be done follows from what the ledger
lacks, so a run that was replaced before it began has taken nothing with it. The state holds
counts and names, never what people said.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import Any, NotRequired

from langchain_core.runnables import RunnableLambda
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

from gpa_agent.errors import GPAError, ServiceError
from gpa_agent.learning.report import LearnReport
from gpa_agent.learning.worker import PATIENCE_SECONDS, Handled, Worker, Workplace
from gpa_agent.ledger import Busy, Ledger
from gpa_agent.rubrics.records import Rubric


class LearnInput(TypedDict):
    """What a run takes."""

    conversation: NotRequired[str | None]
    """Id of the conversation to look at; None or left out: whatever waits."""


class LearnOutput(TypedDict):
    """What each node found, in counts and names; None where this run did not come so far."""

    satisfaction: dict[str, Any]
    """``events`` handled, turns ``judged``; ``busy`` where another process is at it."""
    preferences: dict[str, Any] | None
    """Judged turns ``explained``; whether it is ``due`` to weigh everything again."""
    contrasts: dict[str, Any] | None
    """What was ``compared``, how many could not be; ``busy`` where another process learns."""
    evidence: dict[str, Any] | None
    """Hypotheses ``tested``, those that showed ``nothing``."""
    decisions: dict[str, Any] | None
    """Aspects by status."""
    published: list[dict[str, Any]] | None
    """New versions, with the names of what is live in them."""


class LearnState(LearnInput, LearnOutput):
    """What a run knows; all but the input is written anew every run."""

    found: dict[str, Any]
    """What the nodes to come will show."""


Update = dict[str, Any]
Step = Callable[[LearnState], Update]


def build_learn_graph(
    workspace: Workplace, *, name: str = "learn"
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Compile the graph of what is learned after a turn.

    Args:
        workspace: The workspace whose turns are learned from.
        name: The graph's name.

    Returns:
        The graph; without a checkpointer, since a LangGraph server brings its own.

    Example:
        ```python
        learn = build_learn_graph(Workspace.open("my.gpa"))
        learn.invoke({"conversation": "thread-17"})
        ```
    """
    worker = Worker(workspace)
    # One thread of its own: runs of many conversations wait for their turn without holding the
    # threads in which turns are recorded.
    threads = ThreadPoolExecutor(1, thread_name_prefix="gpa-learn")
    graph = StateGraph(LearnState, input_schema=LearnInput, output_schema=LearnOutput)
    graph.add_node("detect_satisfaction", _working(_handle(worker), threads))
    graph.add_node("explain_preference", _shown("preferences"))
    graph.add_node("contrast_groups", _working(_refine(worker, workspace.ledger), threads))
    graph.add_node("weigh_evidence", _shown("evidence"))
    graph.add_node("gate", _shown("decisions"))
    graph.add_node("publish", _shown("published"))
    graph.add_edge(START, "detect_satisfaction")
    graph.add_edge("detect_satisfaction", "explain_preference")
    graph.add_conditional_edges("explain_preference", _if_due, ["contrast_groups", END])
    graph.add_edge("contrast_groups", "weigh_evidence")
    graph.add_edge("weigh_evidence", "gate")
    graph.add_edge("gate", "publish")
    graph.add_edge("publish", END)
    return graph.compile(name=name)


def _handle(worker: Worker) -> Step:
    def handle(state: LearnState) -> Update:
        handled, busy = Handled(), None
        worker.settle()
        try:
            while (more := _handled(worker, state.get("conversation"))).events:
                handled += more
        except Busy as error:
            busy = str(error)
        return {
            **dict.fromkeys(LearnOutput.__annotations__),
            "satisfaction": {"events": handled.events, "judged": handled.judged, "busy": busy},
            "found": {"preferences": {"explained": handled.explained, "due": worker.due()}},
        }

    return handle


def _handled(worker: Worker, conversation: str | None) -> Handled:
    return worker.handle(conversation=conversation, wait_seconds=PATIENCE_SECONDS)


def _refine(worker: Worker, ledger: Ledger) -> Step:
    def refine(_: LearnState) -> Update:
        before = _versions(ledger)
        try:
            report = worker.refine()
        except Busy as error:
            return {"contrasts": {"busy": str(error)}, "found": {}}
        return {"contrasts": _contrasts(report), "found": _found(report, before)}

    return refine


def _versions(ledger: Ledger) -> dict[tuple[str, str, str], int]:
    return {(r.intent, r.group, r.other): r.version for r in ledger.live_rubrics()}


def _contrasts(report: LearnReport) -> dict[str, Any]:
    return {
        "compared": [_place(rubric) for rubric in report.rubrics],
        "untested": len(report.untested),
        "busy": None,
    }


def _found(report: LearnReport, before: dict[tuple[str, str, str], int]) -> dict[str, Any]:
    statuses = Counter(a.status for rubric in report.rubrics for a in rubric.aspects)
    new = [r for r in report.rubrics if r.version > before.get(_key(r), 0)]
    return {
        "evidence": {"tested": report.tested, "nothing": report.rejected},
        "decisions": dict(statuses),
        "published": [
            {
                **_place(rubric),
                "version": rubric.version,
                "live": [a.name for a in rubric.aspects if a.status == "live"],
            }
            for rubric in new
        ],
    }


def _key(rubric: Rubric) -> tuple[str, str, str]:
    return rubric.intent, rubric.contrast.group, rubric.contrast.other


def _place(rubric: Rubric) -> dict[str, str]:
    return dict(zip(("intent", "group", "other"), _key(rubric), strict=True))


def _if_due(state: LearnState) -> str:
    return "contrast_groups" if state["preferences"] and state["preferences"]["due"] else END


def _working(step: Step, threads: ThreadPoolExecutor) -> RunnableLambda[Any, Any]:
    """A node that works on the ledger, in sync here and in async in the graph's thread."""

    def work(state: LearnState) -> Update:
        try:
            # An empty context keeps model calls that learning makes out of the run's stream.
            return Context().run(step, state)
        except GPAError:
            raise
        except Exception as error:  # noqa: BLE001 -- its text may quote users, and a server logs it
            raise ServiceError(
                f"learning stopped: {type(error).__name__}; `gpa worker --once` shows where"
            ) from None

    async def awork(state: LearnState) -> Update:
        return await asyncio.get_running_loop().run_in_executor(threads, work, state)

    return RunnableLambda(work, awork)


def _shown(what: str) -> RunnableLambda[Any, Any]:
    def show(state: LearnState) -> Update:
        return {what: state["found"].get(what)}

    async def ashow(state: LearnState) -> Update:
        return show(state)

    return RunnableLambda(show, ashow)
