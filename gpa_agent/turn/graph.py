"""The state machine of one turn, as LangGraph Studio shows it.

``classify_intent`` and ``classify_group`` side by side, then ``retrieve_rubric``, then one of
``rewrite_prompt`` (GPA-CT), ``dispatch_group_model`` (GPA-FT) or ``plain``, then ``respond``
(the host's app) and ``record_turn``. Every node runs in sync and async alike. The graph takes
``messages`` and nothing else, which is what a chat input gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NotRequired

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.errors import GraphBubbleUp
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.pregel import Pregel
from langgraph.runtime import get_runtime
from typing_extensions import TypedDict

from gpa_agent.errors import UsageError
from gpa_agent.turn.context import Asker, GPAContext, read_asker
from gpa_agent.turn.dispatch import Spoken
from gpa_agent.turn.enqueue import enqueue_learn
from gpa_agent.turn.plan import Finding, answer_in, read_turn
from gpa_agent.turn.streaming import TailoredGraph
from gpa_agent.turn.tailor import Tailor, fallen_back, served_trace
from gpa_agent.turn.wrapping import Answer, Responder, model_responder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class TurnInput(TypedDict):
    """What a turn takes."""

    messages: Annotated[list[AnyMessage], add_messages]


class TurnOutput(TypedDict):
    """What a turn gives back."""

    messages: Annotated[list[AnyMessage], add_messages]
    gpa: dict[str, Any]
    structured_response: NotRequired[Any]


class TurnState(TurnOutput):
    """What a turn knows; everything but ``messages`` is written anew every turn."""

    gpa_intent: dict[str, Any]
    gpa_group: dict[str, Any]
    gpa_turn: dict[str, Any]


Update = dict[str, Any]


def build_graph(
    tailor: Tailor,
    responder: Responder,
    *,
    checkpointer: Any = None,  # noqa: ANN401 -- LangGraph's own Checkpointer
    name: str | None = None,
) -> TailoredGraph:
    """Compile the turn's graph around an app.

    Args:
        tailor: The engine.
        responder: How to call the app.
        checkpointer: Keeps the conversation; leave it out under a LangGraph server, which
            brings its own.
        name: The graph's name.

    Returns:
        The graph.

    Raises:
        UsageError: If the app keeps its history in the very same checkpointer.
    """
    own = getattr(responder.app, "checkpointer", None)
    if own not in (None, False, True) and own is checkpointer:
        raise UsageError(
            "the wrapped graph and its wrapper cannot share one checkpointer: both would write "
            "the same thread; give wrap() another one, or none (the app keeps its own history)"
        )
    graph = StateGraph(
        TurnState,
        context_schema=_context_schema(responder),
        input_schema=TurnInput,
        output_schema=TurnOutput,
    )
    graph.add_node("classify_intent", _classify(tailor, "classify_intent"))
    graph.add_node("classify_group", _classify(tailor, "classify_group"))
    graph.add_node("retrieve_rubric", _retrieve(tailor, can_dispatch=responder.is_model))
    for node, keep in (
        ("rewrite_prompt", {"model": None}),
        ("dispatch_group_model", {}),
        ("plain", {"block": None, "model": None}),
    ):
        graph.add_node(node, _settle(node, keep))
        graph.add_edge(node, "respond")
    graph.add_node("respond", _respond(tailor, responder))
    graph.add_node("record_turn", _record(tailor))
    graph.add_edge(START, "classify_intent")
    graph.add_edge(START, "classify_group")
    graph.add_edge(["classify_intent", "classify_group"], "retrieve_rubric")
    graph.add_conditional_edges(
        "retrieve_rubric", _route, ["rewrite_prompt", "dispatch_group_model", "plain"]
    )
    graph.add_edge("respond", "record_turn")
    graph.add_edge("record_turn", END)
    compiled = graph.compile(checkpointer=checkpointer, name=name or "gpa_turn")
    return TailoredGraph.of(compiled, keeps_own_history=own not in (None, False, True))


def _context_schema(responder: Responder) -> type[Any]:
    """The host's own context schema where its graph has one; ours is read from either."""
    app = responder.app
    schema = getattr(app, "context_schema", None) if isinstance(app, Pregel) else None
    return schema if isinstance(schema, type) else GPAContext


def _asker(config: RunnableConfig) -> Asker:
    return read_asker(get_runtime().context, config.get("configurable"))


def _classify(tailor: Tailor, name: str) -> RunnableLambda[Any, Any]:
    key, find = (
        ("gpa_intent", tailor.find_intent)
        if name == "classify_intent"
        else ("gpa_group", tailor.find_group)
    )

    def classify(state: TurnState, config: RunnableConfig) -> Update:
        return {key: tailor.run(find(read_turn(_asker(config), state["messages"]))).to_state()}

    async def aclassify(state: TurnState, config: RunnableConfig) -> Update:
        asked = read_turn(_asker(config), state["messages"])
        return {key: (await tailor.arun(find(asked))).to_state()}

    return RunnableLambda(classify, aclassify, name=name)


def _both(
    function: Callable[[TurnState, RunnableConfig], Update], name: str
) -> RunnableLambda[Any, Any]:
    """A node that waits for nothing: the same function in sync and async."""

    async def afunction(state: TurnState, config: RunnableConfig) -> Update:
        return function(state, config)

    return RunnableLambda(function, afunction, name=name)


def _retrieve(tailor: Tailor, *, can_dispatch: bool) -> RunnableLambda[Any, Any]:
    def retrieve(state: TurnState, config: RunnableConfig) -> Update:
        plan = tailor.decide(
            read_turn(_asker(config), state["messages"]),
            Finding.from_state(state["gpa_intent"]),
            Finding.from_state(state["gpa_group"]),
            can_dispatch=can_dispatch,
        )
        return {"gpa": plan.trace(), "gpa_turn": plan.to_state()}

    return _both(retrieve, "retrieve_rubric")


def _route(state: TurnState) -> str:
    return {"context": "rewrite_prompt", "finetuned": "dispatch_group_model", "plain": "plain"}[
        state["gpa"]["mode"]
    ]


def _settle(name: str, changes: Mapping[str, Any]) -> RunnableLambda[Any, Any]:
    def settle(state: TurnState, config: RunnableConfig) -> Update:  # noqa: ARG001 -- a node's signature
        return {"gpa_turn": {**state["gpa_turn"], **changes}}

    return _both(settle, name)


def _respond(tailor: Tailor, responder: Responder) -> RunnableLambda[Any, Any]:
    app = responder.app  # in the node's own closure: the drawing looks for subgraphs there

    def group_model(group: str) -> Responder:
        return model_responder(tailor.group_model(group))

    def fall_back(state: TurnState, error: Exception) -> Update:
        reason = tailor.degrade("dispatch_group_model", error)
        turn, trace = fallen_back(state["gpa_turn"], state["gpa"], reason)
        return {"gpa_turn": turn, "gpa": trace}

    def respond(state: TurnState, config: RunnableConfig) -> Answer:
        update: Update = {}
        if (group := state["gpa_turn"]["model"]) is not None:
            spoken = Spoken()
            try:
                own = group_model(group)
                return own.respond(own.app, state["messages"], None, spoken.of(config))
            except GraphBubbleUp:
                raise
            except Exception as error:
                if spoken.yet:
                    raise
                update = fall_back(state, error)
        turn = update.get("gpa_turn", state["gpa_turn"])
        return {**responder.respond(app, state["messages"], turn["block"], config), **update}

    async def arespond(state: TurnState, config: RunnableConfig) -> Answer:
        update: Update = {}
        if (group := state["gpa_turn"]["model"]) is not None:
            spoken = Spoken()
            try:
                own = group_model(group)
                return await own.arespond(own.app, state["messages"], None, spoken.of(config))
            except GraphBubbleUp:
                raise
            except Exception as error:
                if spoken.yet:
                    raise
                update = fall_back(state, error)
        turn = update.get("gpa_turn", state["gpa_turn"])
        return {**await responder.arespond(app, state["messages"], turn["block"], config), **update}

    return RunnableLambda(respond, arespond, name="respond")


def _record(tailor: Tailor) -> RunnableLambda[Any, Any]:
    def record(state: TurnState, config: RunnableConfig) -> Update:  # noqa: ARG001 -- a node's signature
        failure = tailor.record(state["gpa_turn"], state["gpa"], answer_in(state["messages"]))
        return {"gpa": served_trace(state["gpa"], [failure])}

    async def arecord(state: TurnState, config: RunnableConfig) -> Update:  # noqa: ARG001 -- a node's signature
        exchange = answer_in(state["messages"])
        failure = await tailor.arecord(state["gpa_turn"], state["gpa"], exchange)
        trace = served_trace(state["gpa"], [failure])
        return {"gpa": await enqueue_learn(tailor, state["gpa_turn"], trace)}

    return RunnableLambda(record, arecord, name="record_turn")
