"""How an existing chat app is called from the graph's ``respond`` node, one way per kind.

Each kind of app has a trap, and its responder steps around it:

* a chat model is invoked with the node's own config, so that its tokens stream as one run;
* a compiled graph with its own checkpointer must not see our run's internals (it would
  silently lose its memory): it gets only the caller's own ``configurable`` keys, only the new
  messages, and the rubric as one system message under a fixed id, so that the block neither
  piles up nor outlives a plain turn;
* a compiled graph without one runs as a true subgraph on the whole conversation;
* any other Runnable or function gets the list of messages (a function whose first parameter
  is annotated ``str`` gets text); if it returns the bare text of an answer that one of its
  models just gave, that model's message is returned, lest it be streamed twice;
* a generator becomes a chat model, whose chunks stream natively; models it calls are kept
  out of the stream, since it passes on what they say itself.
"""
# ruff: noqa: ANN401 -- the app is the host's, and so are its input and output

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    BaseMessageChunk,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    message_chunk_to_message,
)
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.prompts import BasePromptTemplate
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableLambda,
    RunnableSequence,
)
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import merge_configs
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.runtime import get_runtime
from langgraph.types import Command, StateSnapshot, interrupt
from typing_extensions import override

from gpa_agent.errors import UsageError
from gpa_agent.turn.callables import CallableChatModel, is_generator, wait_for
from gpa_agent.turn.prompt import RUBRIC_MESSAGE_ID, messages_with_rubric

ToInput = Callable[[list[BaseMessage]], Any]
"""Turns the conversation (rubric included) into the app's input."""

FromOutput = Callable[[Any], Any]
"""Turns the app's output into text, a message, a list of messages or ``{"messages": [...]}``."""

Answer = dict[str, Any]
"""State update: the new messages, and a structured response where the app gave one."""


class Responder(NamedTuple):
    """How to call an app.

    Attributes:
        app: The app itself; the graph's node hands it in, so that drawings find it there.
        respond: Call it from a synchronous run.
        arespond: Call it from an asynchronous run.
        is_model: Whether it is a chat model, which a group model can stand in for.
    """

    app: Any
    respond: Callable[[Any, Sequence[BaseMessage], str | None, RunnableConfig], Answer]
    arespond: Callable[[Any, Sequence[BaseMessage], str | None, RunnableConfig], Awaitable[Answer]]
    is_model: bool = False


def responder_for(
    app: object, *, to_input: ToInput | None = None, from_output: FromOutput | None = None
) -> Responder:
    """Find out how to call an app.

    Args:
        app: A chat model, compiled graph, other Runnable, or (async) function or generator.
        to_input: For apps that take something else than the list of messages.
        from_output: For apps that return something else than text or messages.

    Returns:
        Its responder.

    Raises:
        UsageError: If it cannot be called.
    """
    if isinstance(app, StateGraph):
        raise UsageError(f"{app!r} is not compiled; wrap what its .compile() returns")
    if isinstance(app, type) or not (isinstance(app, Runnable) or callable(app)):
        raise UsageError(
            f"cannot wrap {app!r}: expected a chat model, a compiled LangGraph graph, another "
            "Runnable, or an (async) function or generator function of the messages "
            "(a model's name becomes a chat model with langchain's init_chat_model)"
        )
    if isinstance(app, BaseChatModel) and to_input is None and from_output is None:
        return model_responder(app)
    graph = _graph_in(app)
    if graph is not None and isinstance(app, Runnable):
        _check_graph_input(graph, to_input)
        if isinstance(graph.checkpointer, BaseCheckpointSaver):
            return _stateful_responder(app, graph, to_input, from_output)
        return _stateless_responder(app, to_input, from_output)
    if not isinstance(app, Runnable) and is_generator(app):
        return model_responder(
            CallableChatModel(function=app, to_input=to_input or _function_input(app))
        )
    if not isinstance(app, Runnable):
        to_input = to_input or _function_input(app)
        app = RunnableLambda(app)
    return _runnable_responder(app, to_input or _runnable_input(app), from_output)


def model_responder(model: BaseChatModel) -> Responder:
    """Call a chat model: one run, streamed as it comes.

    Args:
        model: The chat model.

    Returns:
        Its responder.
    """

    def respond(
        app: Any, messages: Sequence[BaseMessage], block: str | None, config: RunnableConfig
    ) -> Answer:
        return {"messages": [app.invoke(messages_with_rubric(messages, block), config)]}

    async def arespond(
        app: Any, messages: Sequence[BaseMessage], block: str | None, config: RunnableConfig
    ) -> Answer:
        return {"messages": [await app.ainvoke(messages_with_rubric(messages, block), config)]}

    return Responder(model, respond, arespond, is_model=True)


# Compiled graphs ----------------------------------------------------------------------------


def _graph_in(app: object) -> Pregel[Any, Any, Any, Any] | None:
    """The compiled graph in an app that is one, or that binds one (``.with_retry()`` ...)."""
    while isinstance(app, RunnableBindingBase):
        app = app.bound
    return app if isinstance(app, Pregel) else None


def _check_graph_input(graph: Pregel[Any, Any, Any, Any], to_input: ToInput | None) -> None:
    builder = graph.builder if isinstance(graph, CompiledStateGraph) else None
    channels = builder.schemas.get(builder.input_schema, {}) if builder is not None else {}
    if to_input is None and channels and "messages" not in channels:
        raise UsageError(
            f"the graph {graph.get_name()!r} takes {sorted(channels)!r} and no 'messages'; pass "
            "to_input=, a function from the list of messages to its input (and from_output=)"
        )


def _stateless_responder(
    app: Runnable[Any, Any], to_input: ToInput | None, from_output: FromOutput | None
) -> Responder:
    """Run a graph as a true subgraph on the whole conversation."""

    def payload(messages: Sequence[BaseMessage], block: str | None) -> Any:
        sent = messages_with_rubric(messages, block)
        return to_input(sent) if to_input is not None else {"messages": sent}

    def respond(
        app: Any, messages: Sequence[BaseMessage], block: str | None, config: RunnableConfig
    ) -> Answer:
        output = app.invoke(payload(messages, block), config)
        return _answer(output, from_output, _last_id(messages))

    async def arespond(
        app: Any, messages: Sequence[BaseMessage], block: str | None, config: RunnableConfig
    ) -> Answer:
        output = await app.ainvoke(payload(messages, block), config)
        return _answer(output, from_output, _last_id(messages))

    return Responder(app, respond, arespond)


def _stateful_responder(
    app: Runnable[Any, Any],
    graph: Pregel[Any, Any, Any, Any],
    to_input: ToInput | None,
    from_output: FromOutput | None,
) -> Responder:
    """Run a graph that keeps its own history, on its own thread of the same id."""

    def payload(messages: Sequence[BaseMessage], block: str | None, kept: Sequence[Any]) -> Any:
        news = _since_last_answer(messages) if kept else messages
        if to_input is not None:
            return to_input(messages_with_rubric(news, block))
        if block is not None:
            return {"messages": [SystemMessage(content=block, id=RUBRIC_MESSAGE_ID), *news]}
        if any(getattr(m, "id", None) == RUBRIC_MESSAGE_ID for m in kept):
            return {"messages": [RemoveMessage(id=RUBRIC_MESSAGE_ID), *news]}
        return {"messages": list(news)}

    def respond(
        app: Any, messages: Sequence[BaseMessage], block: str | None, config: RunnableConfig
    ) -> Answer:
        own = _own_config(graph, config)
        state = graph.get_state(own)
        if _still_waits(state, messages):
            output: Any = {"__interrupt__": state.interrupts}
        else:
            kept = _messages_of(state.values)
            output = app.invoke(payload(messages, block, kept), own, **_own_context(graph))
        while waiting := _interrupts(output):
            answer: Any = Command(resume=interrupt(waiting[0].value))
            output = app.invoke(answer, own, **_own_context(graph))
        return _answer(output, from_output, _last_id(messages))

    async def arespond(
        app: Any, messages: Sequence[BaseMessage], block: str | None, config: RunnableConfig
    ) -> Answer:
        own = _own_config(graph, config)
        state = await graph.aget_state(own)
        if _still_waits(state, messages):
            output: Any = {"__interrupt__": state.interrupts}
        else:
            kept = _messages_of(state.values)
            output = await app.ainvoke(payload(messages, block, kept), own, **_own_context(graph))
        while waiting := _interrupts(output):
            answer: Any = Command(resume=interrupt(waiting[0].value))
            output = await app.ainvoke(answer, own, **_own_context(graph))
        return _answer(output, from_output, _last_id(messages))

    return Responder(app, respond, arespond)


def _own_config(graph: Pregel[Any, Any, Any, Any], config: RunnableConfig) -> RunnableConfig:
    """The caller's own ``configurable`` keys, without those of our run.

    Raises:
        UsageError: If the conversation is not named.
    """
    keys = {
        key: value
        for key, value in config.get("configurable", {}).items()
        if not key.startswith(("__", "checkpoint_"))
    }
    if not keys.get("thread_id"):
        raise UsageError(
            f"the wrapped graph {graph.get_name()!r} keeps its own history, so the conversation "
            'must be named: pass config={"configurable": {"thread_id": "..."}}'
        )
    return {"configurable": keys}


def _own_context(graph: Pregel[Any, Any, Any, Any]) -> dict[str, Any]:
    """The run's context, where the graph has a schema for one: it is no part of the config."""
    return {"context": get_runtime().context} if graph.context_schema is not None else {}


def _still_waits(state: StateSnapshot, messages: Sequence[BaseMessage]) -> bool:
    """Whether the graph was interrupted in this very turn, and is not to be asked anew.

    Somebody who says something else instead of answering an interrupt starts a new turn.
    """
    if not state.interrupts:
        return False
    kept = _messages_of(state.values)
    return not kept or _last_id(messages) in {getattr(m, "id", None) for m in kept}


def _interrupts(output: object) -> Sequence[Any]:
    return output.get("__interrupt__", ()) if isinstance(output, Mapping) else ()


def _messages_of(state: object) -> Sequence[Any]:
    found = (
        state.get("messages", ()) if isinstance(state, Mapping) else getattr(state, "messages", ())
    )
    return found if isinstance(found, Sequence) else ()


def _since_last_answer(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    for index in range(len(messages) - 1, -1, -1):
        if isinstance(messages[index], AIMessage):
            return messages[index + 1 :] or messages
    return messages


def _last_id(messages: Sequence[BaseMessage]) -> str | None:
    return next((m.id for m in reversed(messages) if isinstance(m, HumanMessage)), None)


# Other Runnables and functions --------------------------------------------------------------


class _Heard(BaseCallbackHandler):
    """Remembers what chat models answered inside an app."""

    run_inline = True

    def __init__(self) -> None:
        self.messages: list[AIMessage] = []

    @override
    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        for generation in (g for row in response.generations for g in row):
            if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
                self.messages.append(generation.message)

    def instead_of(self, output: object) -> object:
        """The message whose text the app returned, else what it returned."""
        if not isinstance(output, str):
            return output
        said = (m for m in reversed(self.messages) if m.text == output)
        return next(said, output)


def _runnable_responder(
    app: Runnable[Any, Any], to_input: ToInput, from_output: FromOutput | None
) -> Responder:
    async_only = isinstance(app, RunnableLambda) and not hasattr(app, "func")

    def respond(
        app: Any, messages: Sequence[BaseMessage], block: str | None, config: RunnableConfig
    ) -> Answer:
        heard = _Heard()
        sent = to_input(messages_with_rubric(messages, block))
        merged = merge_configs(config, {"callbacks": [heard]})
        # A synchronous run of an asynchronous function waits for it on a loop of our own.
        output = wait_for(app.ainvoke(sent, merged)) if async_only else app.invoke(sent, merged)
        return _answer(heard.instead_of(output), from_output, _last_id(messages))

    async def arespond(
        app: Any, messages: Sequence[BaseMessage], block: str | None, config: RunnableConfig
    ) -> Answer:
        heard = _Heard()
        sent = to_input(messages_with_rubric(messages, block))
        output = await app.ainvoke(sent, merge_configs(config, {"callbacks": [heard]}))
        return _answer(heard.instead_of(output), from_output, _last_id(messages))

    return Responder(app, respond, arespond)


def _runnable_input(app: Runnable[Any, Any]) -> ToInput:
    first = app.first if isinstance(app, RunnableSequence) else app
    if not isinstance(first, BasePromptTemplate):
        return list
    if "messages" in {*first.input_variables, *first.optional_variables}:
        return lambda messages: {"messages": messages}
    raise UsageError(
        f"the chain starts with a prompt of {first.input_variables!r} and no 'messages'; pass "
        "to_input=, a function from the list of messages to its input"
    )


def _function_input(app: Callable[..., Any]) -> ToInput:
    return _as_text if _takes_text(app) else list


def _as_text(messages: list[BaseMessage]) -> str:
    """The last thing said, with the rubric in front, for functions that take text."""
    said = messages[-1].text if messages else ""
    block = next((m.text for m in messages if m.id == RUBRIC_MESSAGE_ID), None)
    return said if block is None else f"{block}\n\n{said}"


def _takes_text(app: Callable[..., Any]) -> bool:
    try:
        parameters = list(inspect.signature(app).parameters.values())
    except (TypeError, ValueError):  # some built-in functions have no signature
        return False
    # As written: other annotations may name what is only imported for type checkers.
    return bool(parameters) and parameters[0].annotation in (str, "str")


# Answers ------------------------------------------------------------------------------------


def _answer(output: object, from_output: FromOutput | None, last_id: str | None) -> Answer:
    """The state update for what an app returned: only what is new since the user spoke."""
    update: Answer = {"messages": _new_messages(output, from_output, last_id)}
    if isinstance(output, Mapping) and "structured_response" in output:
        update["structured_response"] = output["structured_response"]
    return update


def _new_messages(
    output: object, from_output: FromOutput | None, last_id: str | None
) -> list[BaseMessage]:
    value = from_output(output) if from_output is not None else output
    if isinstance(value, Mapping):
        value = value.get("messages", value)
    if isinstance(value, str):
        return [AIMessage(content=value)]
    given: list[object] = list(value) if isinstance(value, (list, tuple)) else [value]
    items = [item for item in given if isinstance(item, BaseMessage)]
    if not items or len(items) != len(given):
        raise UsageError(
            f"the wrapped app returned {type(output).__name__!r}, which holds no answer; expected "
            "text, a message, a list of messages or {'messages': [...]}: pass from_output="
        )
    start = next((i + 1 for i, m in enumerate(items) if last_id and m.id == last_id), 0)
    return [_whole(m) for m in items[start:] if m.id != RUBRIC_MESSAGE_ID]


def _whole(message: BaseMessage) -> BaseMessage:
    if isinstance(message, BaseMessageChunk):
        return message_chunk_to_message(message)
    return message
