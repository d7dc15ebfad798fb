"""Tokens arrive as they are said, in every streaming mode, and nothing of ours is among them.

The order is asserted by events, never by the clock: before its second chunk the model waits
until the first has reached the caller, so a stream that holds tokens back fails loudly.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer

from gpa_agent.conversations.records import Label
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.turn.middleware import GPAMiddleware
from gpa_agent.workspace import Workspace
from tests.turn.support import thread

HI: Any = {"messages": [HumanMessage("Hi")]}
CONFIG = thread(group="novice")
REPLY = ["One ", "two ", "three"]


class Pace:
    """Lets the second chunk go only once the caller has had the first."""

    def __init__(self) -> None:
        self.seen = threading.Event()

    def __call__(self, number: int) -> None:
        if number == 1 and not self.seen.wait(timeout=20):
            raise AssertionError("the first token was held back until the reply was over")


def paced(pace: Pace) -> ScriptedChatModel:
    return ScriptedChatModel(script=["".join(REPLY)], before_chunk=pace)


def writing(messages: Sequence[BaseMessage]) -> Iterator[str]:
    yield from REPLY


Build = Callable[[Workspace, Pace], Any]


def _agent(ws: Workspace, pace: Pace) -> Any:
    return create_agent(paced(pace), middleware=[GPAMiddleware(ws)])


def _model(ws: Workspace, pace: Pace) -> Any:
    return GPAMiddleware(ws).wrap(paced(pace))


def _stateless(ws: Workspace, pace: Pace) -> Any:
    app: Any = create_agent(paced(pace))
    return GPAMiddleware(ws).wrap(app)


def _stateful(ws: Workspace, pace: Pace) -> Any:
    app: Any = create_agent(paced(pace), checkpointer=InMemorySaver())
    return GPAMiddleware(ws).wrap(app, checkpointer=InMemorySaver())


def _function(ws: Workspace, pace: Pace) -> Any:
    model = paced(pace)

    def app(messages: list[BaseMessage]) -> str:
        return model.invoke(messages).text

    return GPAMiddleware(ws).wrap(app)


def _generator(ws: Workspace, pace: Pace) -> Any:
    model = paced(pace)

    def app(messages: list[BaseMessage]) -> Iterator[str]:
        for chunk in model.stream(messages):
            yield chunk.text

    return GPAMiddleware(ws).wrap(app)


def _async_generator(ws: Workspace, pace: Pace) -> Any:
    model = paced(pace)

    async def app(messages: list[BaseMessage]) -> AsyncIterator[str]:
        async for chunk in model.astream(messages):
            yield chunk.text

    return GPAMiddleware(ws).wrap(app)


def _chat_model_in_agent(ws: Workspace, pace: Pace) -> Any:
    return create_agent(GPAMiddleware(ws).chat_model(paced(pace)))


BUILDS: list[Build] = [
    _agent,
    _model,
    _stateless,
    _stateful,
    _function,
    _generator,
    _async_generator,
    _chat_model_in_agent,
]
builds = pytest.mark.parametrize("build", BUILDS)


class Heard(list[str]):
    """Tokens as the caller gets them."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace

    def add(self, message: Any) -> None:
        text = message.text if isinstance(message, BaseMessage) else message
        if text and not isinstance(message, HumanMessage):
            self.append(str(text))
            self.pace.seen.set()


@builds
def test_messages_mode_in_sync(ws: Workspace, build: Build) -> None:
    heard = Heard(pace := Pace())
    for message, _ in build(ws, pace).stream(HI, CONFIG, stream_mode="messages"):
        heard.add(message)
    assert heard == REPLY


@builds
async def test_messages_mode_in_async(ws: Workspace, build: Build) -> None:
    heard = Heard(pace := Pace())
    async for message, _ in build(ws, pace).astream(HI, CONFIG, stream_mode="messages"):
        heard.add(message)
    assert heard == REPLY


@builds
async def test_several_modes_at_once(ws: Workspace, build: Build) -> None:
    heard, steps, values = Heard(pace := Pace()), list[str](), list[Any]()
    modes = ["messages", "updates", "values"]
    async for mode, part in build(ws, pace).astream(HI, CONFIG, stream_mode=modes):
        if mode == "messages":
            heard.add(part[0])
        elif mode == "updates":
            steps.extend(part)
        else:
            values.append(part)
    assert heard == REPLY
    assert [m.text for m in values[-1]["messages"]] == ["Hi", "One two three"]
    assert len(steps) == len(set(steps))  # each of the outer graph's steps, once


@builds
async def test_typed_parts(ws: Workspace, build: Build) -> None:
    heard = Heard(pace := Pace())
    parts = build(ws, pace).astream(HI, CONFIG, stream_mode=["messages", "values"], version="v2")
    async for part in parts:
        assert part["ns"] == ()
        if part["type"] == "messages":
            heard.add(part["data"][0])
    assert heard == REPLY


@builds
async def test_events_v2(ws: Workspace, build: Build) -> None:
    heard = Heard(pace := Pace())
    async for event in build(ws, pace).astream_events(HI, CONFIG, version="v2"):
        if event["event"] == "on_chat_model_stream":
            heard.add(event["data"]["chunk"])
    assert heard == REPLY


@builds
async def test_events_v3(ws: Workspace, build: Build) -> None:
    heard = Heard(pace := Pace())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LangGraph calls the protocol experimental
        run = await build(ws, pace).astream_events(HI, CONFIG, version="v3")
        async for message in run.messages:
            async for token in message.text:
                heard.add(token)
        output = await run.output()
    assert heard == REPLY
    assert output["messages"][-1].text == "One two three"


@builds
def test_events_v3_in_sync(ws: Workspace, build: Build) -> None:
    heard = Heard(pace := Pace())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = build(ws, pace).stream_events(HI, CONFIG, version="v3")
        for message in run.messages:
            for token in message.text:
                heard.add(token)
    assert heard == REPLY


def test_subgraphs_are_shown_to_who_asks(ws: Workspace) -> None:
    (pace := Pace()).seen.set()
    graph = _stateless(ws, pace)
    parts = list(graph.stream(HI, CONFIG, stream_mode=["messages", "updates"], subgraphs=True))
    assert {len(part) for part in parts} == {3}
    assert any(part[0] and part[0][0].startswith("respond:") for part in parts)


def test_custom_events_pass_from_inside(ws: Workspace) -> None:
    def tell(query: str) -> str:
        """Tell."""
        get_stream_writer()({"progress": query})
        return "told"

    def script(messages: list[BaseMessage]) -> str | AIMessage:
        if isinstance(messages[-1], ToolMessage):
            return "Done"
        return AIMessage("", tool_calls=[{"name": "tell", "args": {"query": "x"}, "id": "1"}])

    app: Any = create_agent(ScriptedChatModel(script=script), [tell])
    graph = GPAMiddleware(ws).wrap(app)
    assert list(graph.stream(HI, CONFIG, stream_mode="custom")) == [{"progress": "x"}]
    messages = [part[0] for part in graph.stream(HI, CONFIG, stream_mode="messages")]
    assert sum(isinstance(m, ToolMessage) for m in messages) == 1


class Thinking:
    """A classifier that asks a chat model: the stream must not show it."""

    version = "thinking"

    def __init__(self) -> None:
        self.model = ScriptedChatModel(script=["INTERNAL"])

    def classify(self, texts: Sequence[str]) -> list[Label]:
        said = "".join(chunk.text for chunk in self.model.stream(list(texts)))
        assert said == "INTERNAL"
        assert self.model.invoke(list(texts)).text == "INTERNAL"
        return [Label("novice", 0.9, "classifier") for _ in texts]


@builds
async def test_internal_calls_are_in_no_stream(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, build: Build
) -> None:
    thinking = Thinking()
    monkeypatch.setattr(ws, "group_classifier", lambda: thinking)
    record = ws.record_turn

    def judge_and_record(**turn: Any) -> None:
        thinking.model.invoke("How was it?")
        record(**turn)

    monkeypatch.setattr(ws, "record_turn", judge_and_record)
    (pace := Pace()).seen.set()
    graph = build(ws, pace)
    config = thread()
    heard: list[Any] = [
        part[0].text async for part in graph.astream(HI, config, stream_mode="messages")
    ]
    heard += [part[0].text for part in graph.stream(HI, config, stream_mode="messages")]
    async for event in graph.astream_events(HI, config, version="v2"):
        if event["event"] in {"on_chat_model_stream", "on_chat_model_end"}:
            heard.append(str(event["data"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = await graph.astream_events(HI, config, version="v3")
        async for message in run.messages:
            heard.extend([token async for token in message.text])
    assert thinking.model.calls >= 12  # two to classify and one to record, in each of four turns
    assert "One " in heard
    assert not any("INTERNAL" in text for text in heard)
