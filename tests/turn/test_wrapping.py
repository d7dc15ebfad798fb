"""Every kind of app in, one compiled graph out."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command
from pydantic import BaseModel

from gpa_agent.errors import UsageError
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.turn.context import GPAContext
from gpa_agent.turn.middleware import GPAMiddleware
from gpa_agent.turn.prompt import RUBRIC_MESSAGE_ID
from tests.turn.support import STEPS, Turns, thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from gpa_agent.workspace import Workspace

NOVICE = {"group": "novice", "user_id": "u1"}


def hi(text: str = "Hi") -> Any:
    return {"messages": [HumanMessage(text)]}


def double(x: int) -> int:
    """Double a number."""
    return 2 * x


def call_then_answer(messages: list[BaseMessage]) -> str | AIMessage:
    if isinstance(messages[-1], ToolMessage):
        return f"It is {messages[-1].text}."
    call = {"name": "double", "args": {"x": 21}, "id": f"call-{len(messages)}"}
    return AIMessage("", tool_calls=[call])


def text_app(messages: Sequence[BaseMessage]) -> str:
    return f"{len(messages)} messages, {'rubric' if STEPS in messages[0].text else 'plain'}"


async def async_text_app(messages: Sequence[BaseMessage]) -> str:
    return text_app(messages)


def message_app(messages: Sequence[BaseMessage]) -> BaseMessage:
    return AIMessage(text_app(messages))


def state_app(messages: Sequence[BaseMessage]) -> dict[str, Any]:
    return {"messages": [*messages, AIMessage(text_app(messages))]}


def generator_app(messages: Sequence[BaseMessage]) -> Iterator[str]:
    yield from text_app(messages).split(" ", 1)[0]
    yield " " + text_app(messages).split(" ", 1)[1]


def chunk_app(messages: Sequence[BaseMessage]) -> Iterator[AIMessageChunk]:
    for part in generator_app(messages):
        yield AIMessageChunk(content=part)


async def async_generator_app(messages: Sequence[BaseMessage]) -> AsyncIterator[str]:
    for part in generator_app(messages):
        yield part


class CallableApp:
    def __call__(self, messages: Sequence[BaseMessage]) -> str:
        return text_app(messages)


class AsyncGeneratorObject:
    async def __call__(self, messages: Sequence[BaseMessage]) -> AsyncIterator[str]:
        for part in generator_app(messages):
            yield part


APPS = {
    "chat model": ScriptedChatModel(script=text_app),
    "bound model": ScriptedChatModel(script=text_app).bind(stop=["x"]),
    "fallbacks": ScriptedChatModel(script=[OSError()]).with_fallbacks(
        [ScriptedChatModel(script=text_app)]
    ),
    "retry": ScriptedChatModel(script=text_app).with_retry(),
    "lambda": RunnableLambda(text_app),
    "function": text_app,
    "async function": async_text_app,
    "returns a message": message_app,
    "returns a state": state_app,
    "partial": functools.partial(text_app),
    "object": CallableApp(),
    "generator": generator_app,
    "chunks": chunk_app,
    "async generator": async_generator_app,
    "async generator object": AsyncGeneratorObject(),
    "agent": create_agent(ScriptedChatModel(script=text_app)),
    "agent with config": create_agent(ScriptedChatModel(script=text_app)).with_config(tags=["x"]),
    "agent with retry": create_agent(ScriptedChatModel(script=text_app)).with_retry(),
}


@pytest.mark.parametrize("kind", list(APPS))
async def test_every_kind_of_app_in_sync_and_async(ws: Workspace, turns: Turns, kind: str) -> None:
    graph = GPAMiddleware(ws).wrap(APPS[kind])
    assert isinstance(graph, CompiledStateGraph)
    given = hi()
    before = given["messages"][0].model_copy(deep=True)
    for out in (
        graph.invoke(given, thread(**NOVICE)),
        await graph.ainvoke(given, thread(**NOVICE)),
    ):
        assert [m.text for m in out["messages"]] == ["Hi", "2 messages, rubric"]
        assert isinstance(out["messages"][-1], AIMessage)
        assert out["gpa"]["mode"] == "context"
    plain = await graph.ainvoke(given)
    assert [m.text for m in plain["messages"]] == ["Hi", "1 messages, plain"]
    assert given == {"messages": [before]}
    assert [t["assistant"] for t in turns] == ["2 messages, rubric"] * 2 + ["1 messages, plain"]


def test_a_function_of_text_gets_text(ws: Workspace) -> None:
    def shout(question: str) -> str:
        return question.upper()

    graph = GPAMiddleware(ws).wrap(shout)
    assert graph.invoke(hi())["messages"][-1].text == "HI"
    tailored = graph.invoke(hi(), thread(**NOVICE))["messages"][-1].text
    assert tailored.startswith("<READER_PREFERENCES>")
    assert tailored.endswith("\n\nHI")


def test_a_prompt_chain_gets_messages_and_streams_nothing_twice(ws: Workspace) -> None:
    prompt = ChatPromptTemplate([("system", "Be kind."), ("placeholder", "{messages}")])
    model = ScriptedChatModel(script=["One two"])
    graph = GPAMiddleware(ws).wrap(prompt | model | StrOutputParser())
    parts = graph.stream(hi(), thread(**NOVICE), stream_mode="messages")
    assert [part[0].text for part in parts if part[0].text] == ["One ", "two"]
    assert model.prompts[0][0].text == "Be kind."


def test_a_chain_of_something_else_needs_to_input(ws: Workspace) -> None:
    chain = ChatPromptTemplate([("user", "{question}")]) | ScriptedChatModel(
        script=lambda messages: messages[-1].text
    )
    with pytest.raises(UsageError, match="to_input"):
        GPAMiddleware(ws).wrap(chain)
    graph = GPAMiddleware(ws).wrap(chain, to_input=lambda ms: {"question": ms[-1].text})
    assert graph.invoke(hi("Why?"))["messages"][-1].text == "Why?"


class Question(TypedDict):
    question: str
    reply: str


def reply(state: Question) -> dict[str, str]:
    return {"reply": state["question"].upper()}


def test_a_graph_of_something_else_needs_to_input_and_from_output(ws: Workspace) -> None:
    builder = StateGraph(Question)
    builder.add_node("reply", reply)
    builder.add_edge(START, "reply")
    with pytest.raises(UsageError, match="compile"):
        GPAMiddleware(ws).wrap(builder)
    app = builder.compile()
    with pytest.raises(UsageError, match="'question'"):
        GPAMiddleware(ws).wrap(app)
    graph = GPAMiddleware(ws).wrap(
        app,
        to_input=lambda messages: {"question": messages[-1].text},
        from_output=lambda state: state["reply"],
    )
    assert graph.invoke(hi("Why?"))["messages"][-1].text == "WHY?"


@pytest.mark.parametrize("app", ["openai:gpt-5.5", None, 7, ScriptedChatModel])
def test_what_cannot_be_called_cannot_be_wrapped(ws: Workspace, app: object) -> None:
    with pytest.raises(UsageError, match="cannot wrap"):
        GPAMiddleware(ws).wrap(app)


def test_an_answer_without_text_is_told(ws: Workspace) -> None:
    with pytest.raises(UsageError, match=r"'int'.*from_output"):
        GPAMiddleware(ws).wrap(lambda messages: 7).invoke(hi())
    with pytest.raises(UsageError, match="yielded 'int'"):
        GPAMiddleware(ws).wrap(broken_generator).invoke(hi())


def broken_generator(messages: Sequence[BaseMessage]) -> Iterator[int]:
    yield 7


async def test_the_apps_own_error_is_the_apps(ws: Workspace) -> None:
    error = LookupError("host")

    def fail(messages: Sequence[BaseMessage]) -> str:
        raise error

    async def afail(messages: Sequence[BaseMessage]) -> AsyncIterator[str]:
        yield "One"
        raise error

    middleware = GPAMiddleware(ws)
    for app in (fail, afail, ScriptedChatModel(script=[error])):
        with pytest.raises(LookupError) as caught:
            middleware.wrap(app).invoke(hi())
        assert caught.value is error
        with pytest.raises(LookupError):
            await middleware.wrap(app).ainvoke(hi())
    assert middleware.degraded_total == 0


# Graphs with and without a memory of their own ----------------------------------------------


@pytest.mark.parametrize("inner", [None, "own"])
@pytest.mark.parametrize("outer", [None, "ours"])
async def test_agents_keep_their_memory_and_their_tool_messages(
    ws: Workspace, inner: str | None, outer: str | None
) -> None:
    model = ScriptedChatModel(script=call_then_answer)
    app: Any = create_agent(
        model, [double], system_prompt="Be kind.", checkpointer=InMemorySaver() if inner else None
    )
    graph = GPAMiddleware(ws).wrap(app, checkpointer=InMemorySaver() if outer else None)
    out: Any = {}
    for number in range(3):
        out = await graph.ainvoke(hi(f"Question {number}"), thread(**NOVICE))
        kinds = [type(m).__name__ for m in out["messages"]][-4:]
        assert kinds == ["HumanMessage", "AIMessage", "ToolMessage", "AIMessage"]
    humans = [sum(isinstance(m, HumanMessage) for m in p) for p in model.prompts]
    remembers = bool(inner or outer)
    assert humans == ([1, 1, 2, 2, 3, 3] if remembers else [1] * 6)
    assert len(out["messages"]) == (12 if outer else 4)
    assert all(p[0].text == "Be kind." and STEPS in p[1].text for p in model.prompts)


@pytest.mark.parametrize("inner", [None, "own"])
def test_fifty_turns_add_no_system_block(ws: Workspace, inner: str | None) -> None:
    model = ScriptedChatModel()
    app: Any = create_agent(model, checkpointer=InMemorySaver() if inner else None)
    outer = None if inner else InMemorySaver()
    graph = GPAMiddleware(ws).wrap(app, checkpointer=outer)
    for number in range(50):
        graph.invoke(hi(f"Question {number}"), thread(**NOVICE))
    last = model.prompts[-1]
    assert sum("<reader_preferences>" in m.text for m in last) == 1
    assert len(last) == 1 + 99  # one block, and the conversation so far
    if inner:
        assert len(app.get_state(thread()).values["messages"]) == 1 + 100
    else:
        assert len(graph.get_state(thread()).values["messages"]) == 100


def test_a_plain_turn_takes_the_block_out_of_a_graphs_own_history(ws: Workspace) -> None:
    model = ScriptedChatModel()
    app: Any = create_agent(model, checkpointer=InMemorySaver())
    graph = GPAMiddleware(ws).wrap(app)
    graph.invoke(hi(), thread(**NOVICE))
    graph.invoke(hi(), thread(group="expert"))
    assert [STEPS in p[0].text for p in model.prompts] == [True, False]
    out = graph.invoke(hi(), thread())
    assert out["gpa"]["mode"] == "plain"
    assert not any(isinstance(m, SystemMessage) for m in model.prompts[-1])
    kept = app.get_state(thread()).values["messages"]
    assert RUBRIC_MESSAGE_ID not in [m.id for m in kept]
    assert len(kept) == 6


def test_hosts_existing_threads_go_on(ws: Workspace) -> None:
    model = ScriptedChatModel()
    app: Any = create_agent(model, checkpointer=InMemorySaver())
    app.invoke(hi("Before"), thread())
    GPAMiddleware(ws).wrap(app).invoke(hi("After"), thread())
    assert [m.text for m in model.prompts[-1]] == ["Before", "Understood.", "After"]


def test_a_graph_with_memory_needs_a_named_conversation(ws: Workspace) -> None:
    app: Any = create_agent(ScriptedChatModel(), checkpointer=InMemorySaver())
    for graph in (
        GPAMiddleware(ws).wrap(app),
        GPAMiddleware(ws).wrap(ScriptedChatModel(), checkpointer=InMemorySaver()),
    ):
        with pytest.raises(UsageError, match="thread_id"):
            graph.invoke(hi())


def test_two_histories_cannot_share_one_checkpointer(ws: Workspace) -> None:
    saver = InMemorySaver()
    app: Any = create_agent(ScriptedChatModel(), checkpointer=saver)
    with pytest.raises(UsageError, match="share"):
        GPAMiddleware(ws).wrap(app, checkpointer=saver)


@pytest.mark.parametrize("inner", [None, "own"])
async def test_interrupted_app_resumes(ws: Workspace, turns: Turns, inner: str | None) -> None:
    model = ScriptedChatModel(script=call_then_answer)
    approval: Any = HumanInTheLoopMiddleware(interrupt_on={"double": True})
    app: Any = create_agent(
        model, [double], middleware=[approval], checkpointer=InMemorySaver() if inner else None
    )
    graph = GPAMiddleware(ws).wrap(app, checkpointer=InMemorySaver())
    approve: Any = Command(resume={"decisions": [{"type": "approve"}]})
    paused = graph.invoke(hi(), thread("sync", **NOVICE))
    assert paused["__interrupt__"][0].value["action_requests"][0]["name"] == "double"
    out = graph.invoke(approve, thread("sync"))
    assert [m.text for m in out["messages"]] == ["Hi", "", "42", "It is 42."]
    assert (await graph.ainvoke(hi(), thread("async", **NOVICE)))["__interrupt__"]
    out = await graph.ainvoke(approve, thread("async"))
    assert [m.text for m in out["messages"]] == ["Hi", "", "42", "It is 42."]
    assert [t["user_id"] for t in turns] == ["u1", "u1"]
    assert model.calls == 4
    assert all(STEPS in p[0].text for p in model.prompts)


@pytest.mark.parametrize("outer", [None, "ours"])
def test_saying_something_else_instead_of_resuming_is_a_new_turn(
    ws: Workspace, outer: str | None
) -> None:
    def script(messages: list[BaseMessage]) -> str | AIMessage:
        return "Never mind." if messages[-1].text == "Forget it" else call_then_answer(messages)

    approval: Any = HumanInTheLoopMiddleware(interrupt_on={"double": True})
    model = ScriptedChatModel(script=script)
    app: Any = create_agent(model, [double], middleware=[approval], checkpointer=InMemorySaver())
    graph = GPAMiddleware(ws).wrap(app, checkpointer=InMemorySaver() if outer else None)
    assert graph.invoke(hi(), thread())["__interrupt__"]
    out = graph.invoke(hi("Forget it"), thread())
    assert out["messages"][-1].text == "Never mind."


def test_resuming_without_a_checkpointer_is_told(ws: Workspace) -> None:
    with pytest.raises(UsageError, match="checkpointer=InMemorySaver"):
        GPAMiddleware(ws).wrap(ScriptedChatModel()).invoke(Command(resume=True), thread())


class Verdict(BaseModel):
    """A verdict."""

    good: bool


def test_structured_response_of_an_agent_comes_through(ws: Workspace) -> None:
    call = {"name": "Verdict", "args": {"good": True}, "id": "1"}
    model = ScriptedChatModel(script=[AIMessage("", tool_calls=[call])])
    app: Any = create_agent(model, response_format=ToolStrategy(Verdict))
    out = GPAMiddleware(ws).wrap(app).invoke(hi(), thread(**NOVICE))
    assert out["structured_response"] == Verdict(good=True)


class HostContext(BaseModel):
    user_id: str
    group: str
    colour: str = "green"


def test_hosts_own_context_schema_is_read_and_passed_on(ws: Workspace) -> None:
    seen: list[Any] = []

    def look(state: Any, runtime: Any) -> Any:
        seen.append(runtime.context)
        return {"messages": [AIMessage("ok")]}

    class State(TypedDict):
        messages: Annotated[list[BaseMessage], add_messages]

    for saver in (None, InMemorySaver()):
        builder: Any = StateGraph(State, context_schema=HostContext)
        builder.add_node("look", look)
        builder.add_edge(START, "look")
        builder.add_edge("look", END)
        graph = GPAMiddleware(ws).wrap(builder.compile(checkpointer=saver))
        out = graph.invoke(hi(), thread(), context=HostContext(user_id="u", group="novice"))
        assert out["gpa"]["mode"] == "context"
    assert [c.colour for c in seen] == ["green", "green"]


# Group models, nesting, copies --------------------------------------------------------------


async def test_group_model_stands_in_for_a_chat_model(ws: Workspace) -> None:
    host, tuned = ScriptedChatModel(), ScriptedChatModel(script=["Step 1."])
    graph = GPAMiddleware(ws, group_models={"novice": tuned}).wrap(host)
    for out in (graph.invoke(hi(), thread(**NOVICE)), await graph.ainvoke(hi(), thread(**NOVICE))):
        assert out["messages"][-1].text == "Step 1."
        assert out["gpa"]["mode"] == "finetuned"
    assert [[m.text for m in p] for p in tuned.prompts] == [["Hi"], ["Hi"]]
    assert graph.invoke(hi(), thread(group="expert"))["gpa"]["mode"] == "context"


async def test_group_model_that_fails_falls_back_to_the_rubric(ws: Workspace) -> None:
    host, tuned = ScriptedChatModel(), ScriptedChatModel(script=[ConnectionError("down")])
    middleware = GPAMiddleware(ws, group_models={"novice": tuned})
    graph = middleware.wrap(host)
    for out in (graph.invoke(hi(), thread(**NOVICE)), await graph.ainvoke(hi(), thread(**NOVICE))):
        assert out["messages"][-1].text == "Understood."
        assert (out["gpa"]["mode"], out["gpa"]["aspects"]) == ("context", ["steps"])
        assert out["gpa"]["degraded"] == "dispatch_group_model: ConnectionError"
    assert middleware.degraded_total == 2
    assert all(STEPS in p[0].text for p in host.prompts)


def test_an_app_whose_model_cannot_be_swapped_gets_the_rubric(ws: Workspace) -> None:
    tuned = ScriptedChatModel()
    graph = GPAMiddleware(ws, group_models={"novice": tuned}).wrap(text_app)
    assert graph.invoke(hi(), thread(**NOVICE))["gpa"]["mode"] == "context"
    assert tuned.calls == 0


async def test_wrapped_graph_can_be_a_node_of_another(ws: Workspace) -> None:
    class State(TypedDict):
        messages: Annotated[list[BaseMessage], add_messages]

    builder: Any = StateGraph(State, context_schema=GPAContext)
    builder.add_node("chat", GPAMiddleware(ws).wrap(ScriptedChatModel(script=["One two"])))
    builder.add_edge(START, "chat")
    outer = builder.compile(checkpointer=InMemorySaver())
    out = outer.invoke(hi(), thread(**NOVICE))
    assert [m.text for m in out["messages"]] == ["Hi", "One two"]
    parts = outer.astream(hi(), thread(**NOVICE), stream_mode="messages", subgraphs=True)
    assert [p[1][0].text async for p in parts if p[1][0].text] == ["One ", "two"]


def test_copies_of_the_graph_are_whole(ws: Workspace) -> None:
    app: Any = create_agent(ScriptedChatModel(), checkpointer=InMemorySaver())
    graph = GPAMiddleware(ws).wrap(app, name="chat").with_config(tags=["x"])
    assert type(graph).__name__ == "TailoredGraph"
    assert graph.name == "chat"
    with pytest.raises(UsageError, match="thread_id"):
        graph.invoke(hi())
    assert graph.invoke(hi(), thread(**NOVICE))["gpa"]["mode"] == "context"
