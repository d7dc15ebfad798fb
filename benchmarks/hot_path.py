"""How much time does a tailored turn take beside the same turn without us?

Run: python benchmarks/hot_path.py [--rounds 200] [--json]

Every round runs each way once, in turn, on a scripted model that answers at once, so that what
is left is overhead; what is *added* is the difference to the row's own baseline in the same
round. "Classified" encodes the question and everything the user said with the sentence encoder
that is found and asks the intent and the group classifier; "known" gets both from the context.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from gpa_agent import GPAContext, GPAMiddleware, Rubric, Workspace
from gpa_agent.rubrics.records import Aspect, ContrastModel
from gpa_agent.settings import Intent
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.understanding.intents import build_intent_classifier

PROMISE = "added: classified p50 <= 15 ms, p95 <= 30 ms; known group and intent p95 <= 5 ms"
QUESTION = "Why does my loop over the list skip every second element when I remove items in it?"
ITEMS = count()
KNOWN = GPAContext(user_id="u1", group="novice", intent="debugging")
UNKNOWN = GPAContext(user_id="u2")
INTENTS = {
    "debugging": ["Why does my script crash?", "My loop never ends.", "I get a KeyError, why?"],
    "cooking": ["How long do I boil an egg?", "My sauce is too thin.", "What goes with lamb?"],
}
GROUPS = {
    "novice": ["I am new to this, what is a loop?", "How do I start?", "What does this mean?"],
    "expert": ["Does the iterator invalidate?", "Is that amortised O(1)?", "Which ABI is it?"],
}

Run = Callable[[], object]


class Row(NamedTuple):
    """One way of running a turn."""

    name: str
    run: Run
    baseline: str | None


class State(TypedDict):
    """A conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


class NoOp(AgentMiddleware[Any, Any]):
    """Hooks that do nothing: what any middleware costs."""

    def before_agent(self, state: Any, runtime: Any) -> None:  # noqa: ANN401 -- a hook's signature
        """Do nothing."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:  # noqa: ANN401 -- a hook's signature
        """Pass the call on."""
        return handler(request)


def bare_graph(model: ScriptedChatModel) -> Any:  # noqa: ANN401 -- LangGraph's generics say nothing here
    """Six nodes in a row, one calls the model: the least a graph of our shape costs."""

    def nothing(state: State) -> dict[str, Any]:  # noqa: ARG001 -- a node's signature
        return {"messages": []}

    def respond(state: State) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    graph: Any = StateGraph(State)
    names = ["one", "two", "three", "four", "respond", "six"]
    for name in names:
        graph.add_node(name, respond if name == "respond" else nothing)
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph.compile()


def workspace(folder: Path) -> Workspace:
    """A workspace with one rubric and few-shot classifiers of intent and group."""
    ws = Workspace.open(
        folder / "bench.gpa",
        groups=list(GROUPS),
        intents={name: {"examples": examples} for name, examples in INTENTS.items()},
        holdout=0.0,
        min_confidence=0.0,  # every turn takes the whole way
        budget_seconds=10.0,  # what takes too long is measured, not given up
    )
    aspect = Aspect(
        name="steps",
        rating=4,
        interpretation="-",
        guidance={"novice": "Give numbered steps.", "expert": "Be brief."},
        status="live",
    )
    contrast = ContrastModel(group="novice", other="expert")
    ws.import_rubrics([Rubric(intent="debugging", contrast=contrast, version=1, aspects=(aspect,))])
    # Of the same kind as one trained on a log, which would take a log with separable groups.
    groups = build_intent_classifier(
        {name: Intent(examples=tuple(examples)) for name, examples in GROUPS.items()},
        ws.encoder(),
        min_confidence=0.0,
    )
    setattr(ws, "group_classifier", lambda: groups)  # noqa: B010 -- stands in for a method
    return ws


def rows(ws: Workspace) -> list[Row]:
    """Every way, with what it is compared to."""
    model = ScriptedChatModel(script=["Copy the list first."])

    def turn(app: Any, context: GPAContext | None) -> Run:  # noqa: ANN401 -- any compiled graph
        numbers = count()

        def run() -> object:
            config = {"configurable": {"thread_id": f"{id(numbers)}-{next(numbers)}"}}
            # Never the same question twice: the encoder remembers the last ones it was asked.
            given = {"messages": [HumanMessage(f"{QUESTION} It has {next(ITEMS)} items.")]}
            return app.invoke(given, config, context=context)

        return run

    def agent(*middleware: Any) -> Any:  # noqa: ANN401 -- LangChain's generics say nothing here
        return create_agent(model, middleware=middleware, context_schema=GPAContext)

    silent: Any = GPAMiddleware(ws, record=False)
    recording: Any = GPAMiddleware(ws)
    return [
        Row("model, direct", lambda: model.invoke([HumanMessage(QUESTION)]), None),
        Row("bare 6-node graph", turn(bare_graph(model), None), "model, direct"),
        Row("create_agent", turn(agent(), KNOWN), "model, direct"),
        Row("create_agent, no-op middleware", turn(agent(NoOp()), KNOWN), "create_agent"),
        Row("ours, known", turn(agent(silent), KNOWN), "create_agent"),
        Row("ours, classified", turn(agent(silent), UNKNOWN), "create_agent"),
        Row("ours, known, recorded", turn(agent(recording), KNOWN), "ours, known"),
        Row("ours, classified, recorded", turn(agent(recording), UNKNOWN), "ours, classified"),
        Row("wrapped model, known", turn(silent.wrap(model), KNOWN), "model, direct"),
        Row("wrapped model, classified", turn(silent.wrap(model), UNKNOWN), "model, direct"),
    ]


def measure(ways: list[Row], rounds: int) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Milliseconds of each way in each round; every second round runs backwards."""
    taken = {row.name: np.zeros(rounds) for row in ways}
    for row in ways:
        row.run()  # warm
    for number in range(rounds):
        for row in ways if number % 2 == 0 else reversed(ways):
            start = time.perf_counter()
            row.run()
            taken[row.name][number] = (time.perf_counter() - start) * 1000
    return taken


def figures(ways: list[Row], rounds: int) -> list[dict[str, Any]]:
    """Median, ratio to the direct model, and what is added to the baseline."""
    taken = measure(ways, rounds)
    direct = float(np.median(taken["model, direct"]))
    found: list[dict[str, Any]] = []
    for row in ways:
        median = float(np.median(taken[row.name]))
        figure: dict[str, Any] = {"way": row.name, "p50_ms": median, "ratio": median / direct}
        if row.baseline is not None:
            added = taken[row.name] - taken[row.baseline]
            p50, p95 = np.percentile(added, [50, 95])
            figure |= {
                "beside": row.baseline,
                "added_p50_ms": float(p50),
                "added_p95_ms": float(p95),
            }
        found.append(figure)
    return found


def show(found: list[dict[str, Any]], encoder: str) -> None:
    table = Table(title=f"Hot path, encoder {encoder}. {PROMISE}")
    for column in ("way", "p50 ms", "x direct", "beside", "added p50 ms", "added p95 ms"):
        table.add_column(column, justify="left" if column in {"way", "beside"} else "right")
    for figure in found:
        added = [
            f"{figure[k]:.2f}" if k in figure else "" for k in ("added_p50_ms", "added_p95_ms")
        ]
        table.add_row(
            figure["way"],
            f"{figure['p50_ms']:.2f}",
            f"{figure['ratio']:.1f}",
            figure.get("beside", ""),
            *added,
        )
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, workspace(Path(folder)) as ws:
        found = figures(rows(ws), options.rounds)
        encoder = ws.encoder().name
    if options.json:
        print(json.dumps({"encoder": encoder, "rounds": options.rounds, "rows": found}))
    else:
        show(found, encoder)


if __name__ == "__main__":
    main()
