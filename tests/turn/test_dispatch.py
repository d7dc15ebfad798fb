"""Group models through all three ways in: what they are given, and when they are given up."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from typing_extensions import override

from gpa_agent.errors import UsageError
from gpa_agent.rubrics.guidance import wishes
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.testing.openai_server import OpenAIServer
from gpa_agent.turn.middleware import GPAMiddleware
from tests.turn.support import STEPS, Turns, thread

if TYPE_CHECKING:
    from gpa_agent.workspace import Workspace

HI: Any = {"messages": [HumanMessage("Hi")]}
NOVICE: Any = thread(user_id="u1", group="novice")
WAYS = ("agent", "wrap", "chat_model")


class Reply(dict[str, Any]):
    """A turn as its caller saw it: ``text``, ``gpa`` and, where it was streamed, ``pieces``."""


class Way:
    """One of the three ways in, around a host's model."""

    def __init__(
        self, way: str, middleware: Any, host: BaseChatModel, who: Any = NOVICE, **agent: Any
    ) -> None:
        self.way = way
        self.who = who
        if way == "agent":
            self.app: Any = create_agent(
                host, agent.pop("tools", []), middleware=[middleware], **agent
            )
        else:
            self.app = middleware.wrap(host) if way == "wrap" else middleware.chat_model(host)

    def invoke(self) -> Reply:
        return self._reply(self.app.invoke("Hi" if self.way == "chat_model" else HI, self.who))

    async def ainvoke(self) -> Reply:
        given = "Hi" if self.way == "chat_model" else HI
        return self._reply(await self.app.ainvoke(given, self.who))

    def stream(self) -> Iterator[str]:
        """The texts of the reply as they come."""
        if self.way == "chat_model":
            yield from (c.text for c in self.app.stream("Hi", self.who) if c.text)
            return
        for chunk, _ in self.app.stream(HI, self.who, stream_mode="messages"):
            if isinstance(chunk, AIMessage) and chunk.text:
                yield chunk.text

    async def astream(self, pieces: list[str]) -> None:
        if self.way == "chat_model":
            async for chunk in self.app.astream("Hi", self.who):
                pieces += [chunk.text] if chunk.text else []
            return
        async for chunk, _ in self.app.astream(HI, self.who, stream_mode="messages"):
            if isinstance(chunk, AIMessage) and chunk.text:
                pieces.append(chunk.text)

    def _reply(self, out: Any) -> Reply:
        if self.way == "chat_model":
            return Reply(text=out.text, gpa=out.response_metadata["gpa"])
        return Reply(text=out["messages"][-1].text, gpa=out["gpa"])


class Breaking(ScriptedChatModel):
    """Sends an empty chunk ahead, as servers do, and breaks after so many words."""

    after: int = 0

    @override
    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        super()._generate(*args, **kwargs)
        raise ConnectionError("down")

    @override
    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return self._generate(*args, **kwargs)

    @override
    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk(content=""))
        for number, chunk in enumerate(super()._stream(*args, **kwargs)):
            if number == self.after:
                raise ConnectionError("down")
            yield chunk

    @override
    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(*args, **kwargs):
            yield chunk


class NoTools(ScriptedChatModel):
    """A model that cannot be given tools."""

    @override
    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


class InOne(BaseChatModel):
    """A model that does not stream."""

    @property
    @override
    def _llm_type(self) -> str:
        return "in-one"

    @override
    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        call = {"name": "double", "args": {"x": 1}, "id": "1"}
        message = AIMessage("Step one.", tool_calls=[call] if kwargs.get("tools") else [])
        return ChatResult(generations=[ChatGeneration(message=message)])

    @override
    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=list(tools))


def double(x: int) -> int:
    """Double a number."""
    return 2 * x


# Served, in every way ------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_the_groups_model_answers_in_sync_async_and_streams(
    ws: Workspace, turns: Turns, way: str
) -> None:
    host, tuned = ScriptedChatModel(), ScriptedChatModel(script=["Step one."])
    app = Way(way, GPAMiddleware(ws, group_models={"novice": tuned}), host)
    pieces: list[str] = []
    await app.astream(pieces)
    assert list(app.stream()) == pieces == ["Step ", "one."]
    for reply in (app.invoke(), await app.ainvoke()):
        assert reply["text"] == "Step one."
        assert (reply["gpa"]["mode"], reply["gpa"]["degraded"]) == ("finetuned", None)
        assert "tools_removed" not in reply["gpa"]
    assert host.calls == 0
    assert not any(STEPS in m.text for prompt in tuned.prompts for m in prompt)
    assert {(t["trace"]["mode"], t["assistant"]) for t in turns} == {("finetuned", "Step one.")}


@pytest.mark.parametrize("way", WAYS)
async def test_an_endpoint_is_asked_for_the_groups_model_by_name(ws: Workspace, way: str) -> None:
    def said(request: Any) -> str:
        return f"I am {request['model']}."

    with OpenAIServer(reply=said) as server:
        close = {"Connection": "close"}  # lest a socket outlives the test
        given: Any = {"base_url": server.url, "api_key": "any", "default_headers": close}
        tuned = ChatOpenAI(model="novice", **given)
        app = Way(way, GPAMiddleware(ws, group_models={"novice": tuned}), ScriptedChatModel())
        assert [app.invoke()["text"], (await app.ainvoke())["text"]] == ["I am novice."] * 2
        assert "".join(app.stream()) == "I am novice."


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_does_not_stream_answers_in_one_piece(ws: Workspace, way: str) -> None:
    app = Way(way, GPAMiddleware(ws, group_models={"novice": InOne()}), ScriptedChatModel())
    assert list(app.stream()) == ["Step one."]
    if way == "chat_model":
        chunks = list(app.app.bind_tools(TOOLS).stream("Hi", NOVICE))
        assert [c["name"] for chunk in chunks for c in chunk.tool_calls] == ["double"]


# Given up -------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rubric", [True, False])
async def test_before_its_first_token_the_host_answers_with_the_rubric_or_plain(
    ws: Workspace, way: str, rubric: bool
) -> None:
    who = NOVICE if rubric else thread(group="novice", intent="without a rubric")
    host = ScriptedChatModel(script=["From host."])
    middleware: Any = GPAMiddleware(ws, group_models={"novice": Breaking()})
    app = Way(way, middleware, host, who)
    pieces: list[str] = []
    await app.astream(pieces)
    assert list(app.stream()) == pieces == ["From ", "host."]
    for reply in (app.invoke(), await app.ainvoke()):
        assert reply["text"] == "From host."
        assert reply["gpa"]["mode"] == ("context" if rubric else "plain")
        assert reply["gpa"]["degraded"] == "dispatch_group_model: ConnectionError"
    assert middleware.degraded_total == 4
    assert {STEPS in prompt[0].text for prompt in host.prompts} == {rubric}


@pytest.mark.parametrize("way", WAYS)
async def test_after_its_first_token_the_error_is_the_callers(
    ws: Workspace, turns: Turns, way: str
) -> None:
    host = ScriptedChatModel()
    tuned = Breaking(script=["One two"], after=1)
    middleware: Any = GPAMiddleware(ws, group_models={"novice": tuned})
    app = Way(way, middleware, host)
    heard: list[str] = []
    pieces: list[str] = []
    with pytest.raises(ConnectionError):
        heard.extend(app.stream())
    with pytest.raises(ConnectionError):
        await app.astream(pieces)
    assert heard == pieces == ["One "]
    assert host.calls == middleware.degraded_total == len(turns) == 0


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
@pytest.mark.parametrize("way", ["agent", "wrap"])
def test_the_same_in_the_stream_of_events(ws: Workspace, way: str) -> None:
    def said(tuned: Breaking) -> Iterator[str]:
        app = Way(way, GPAMiddleware(ws, group_models={"novice": tuned}), ScriptedChatModel())
        for message in app.app.stream_events(HI, NOVICE, version="v3").messages:
            yield from message.text

    heard: list[str] = []
    with pytest.raises(ConnectionError):
        heard.extend(said(Breaking(script=["One two"], after=1)))
    assert heard == ["One "]
    assert list(said(Breaking())) == ["Understood."]


@pytest.mark.parametrize("way", WAYS)
async def test_a_model_withdrawn_since_the_turn_was_planned(ws: Workspace, way: str) -> None:
    class Vanishing(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            return default

    host = ScriptedChatModel()
    middleware = GPAMiddleware(ws, group_models=Vanishing(novice=ScriptedChatModel()))
    app = Way(way, middleware, host)
    for reply in (app.invoke(), await app.ainvoke()):
        assert reply["gpa"]["mode"] == "context"
        assert reply["gpa"]["degraded"] == "dispatch_group_model: NotServed"
    assert "".join(app.stream()) == "Understood."


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_hangs_is_given_up_when_its_time_is_over(ws: Workspace, way: str) -> None:
    def hang(_: object) -> str:
        time.sleep(1.5)
        return "Too late."

    with OpenAIServer(reply=hang) as server:
        tuned = ChatOpenAI(
            model="novice",
            base_url=server.url,
            api_key="any",  # type: ignore[arg-type]
            timeout=0.2,
            max_retries=0,
        )
        app = Way(way, GPAMiddleware(ws, group_models={"novice": tuned}), ScriptedChatModel())
        reply = app.invoke()
        assert (reply["text"], reply["gpa"]["mode"]) == ("Understood.", "context")
        assert "TimeoutError" in reply["gpa"]["degraded"]
        assert "".join(app.stream()) == "Understood."


# Which turns ----------------------------------------------------------------------------------


def test_what_is_taken_out_of_the_mapping_is_not_served_at_the_next_turn(ws: Workspace) -> None:
    models: dict[str, BaseChatModel] = {"novice": ScriptedChatModel(script=["Tuned."])}
    app = Way("agent", GPAMiddleware(ws, group_models=models), ScriptedChatModel())
    assert app.invoke()["gpa"]["mode"] == "finetuned"
    other = models.pop("novice")
    assert app.invoke()["gpa"]["mode"] == "context"
    models["novice"] = other
    assert app.invoke()["text"] == "Tuned."


class Tuned(dict[str, Any]):
    """Group models that know what they were tuned by."""

    by: Mapping[str, frozenset[str]] | None = None

    def tuned_for(self, group: str) -> Mapping[str, frozenset[str]] | None:
        return self.by if group == "novice" else None


@pytest.mark.parametrize(
    ("mode", "tuned_for", "intent", "expected"),
    [
        ("auto", {"general"}, "general", "finetuned"),
        ("auto", {"cooking"}, "general", "context"),
        ("auto", {"cooking"}, "cooking", "plain"),  # no rubric is live for that intent (any more)
        ("auto", None, "cooking", "finetuned"),  # nobody knows what it was tuned for
        ("finetuned", {"cooking"}, "general", "finetuned"),
        ("context", {"general"}, "general", "context"),
    ],
)
def test_auto_takes_a_model_where_it_was_tuned_by_a_rubric_that_is_live(
    ws: Workspace, mode: Any, tuned_for: set[str] | None, intent: str, expected: str
) -> None:
    models = Tuned(novice=ScriptedChatModel())
    models.by = None if tuned_for is None else dict.fromkeys(tuned_for, frozenset())
    app = GPAMiddleware(ws, mode=mode, group_models=models).wrap(ScriptedChatModel())
    out = app.invoke(HI, thread(group="novice", intent=intent))
    assert out["gpa"]["mode"] == expected


def test_what_is_live_no_more_is_not_served_by_a_model_that_learned_it(ws: Workspace) -> None:
    models = Tuned(novice=ScriptedChatModel())
    app = GPAMiddleware(ws, group_models=models).wrap(ScriptedChatModel())

    def mode() -> str:
        said: str = app.invoke(HI, thread(group="novice"))["gpa"]["mode"]
        return said

    rubric = ws.rubric(intent="general", group="novice")
    assert rubric is not None
    models.by = {"general": wishes(rubric)}
    assert mode() == "finetuned"
    models.by = {"general": wishes(rubric) | {"brevity 0123456789ab"}}  # retired since
    assert mode() == "context"
    turned = rubric.aspects[0].model_copy(update={"guidance": {"novice": "No steps."}})
    models.by = {"general": wishes(rubric.model_copy(update={"aspects": (turned,)}))}
    assert mode() == "context"  # the same name asks for something else now


@pytest.mark.parametrize("way", WAYS)
def test_people_held_out_never_get_a_groups_model(ws: Workspace, way: str) -> None:
    tuned = ScriptedChatModel()
    app = Way(way, GPAMiddleware(ws, holdout=0.5, group_models={"novice": tuned}), tuned)
    arms = set()
    for number in range(30):
        config = thread(f"t{number}", user_id=f"u{number}", group="novice")
        out = app.app.invoke("Hi" if way == "chat_model" else HI, config)
        trace = out.response_metadata["gpa"] if way == "chat_model" else out["gpa"]
        arms.add((trace["arm"], trace["mode"]))
    assert arms == {("holdout", "plain"), ("tailored", "finetuned")}


def test_models_may_come_later_but_not_from_nowhere(ws: Workspace) -> None:
    class Live(dict[str, Any]):
        """A mapping that fills by and by."""

    later = Live()
    app = Way("wrap", GPAMiddleware(ws, mode="finetuned", group_models=later), ScriptedChatModel())
    assert app.invoke()["gpa"]["mode"] == "plain"
    later["novice"] = ScriptedChatModel()
    assert app.invoke()["gpa"]["mode"] == "finetuned"
    with pytest.raises(UsageError, match="group_models"):
        GPAMiddleware(ws, mode="finetuned", group_models={})


# Tools ----------------------------------------------------------------------------------------


def tool_call(messages: list[BaseMessage]) -> str | AIMessage:
    if messages[-1].type == "tool":
        return f"It is {messages[-1].text}."
    return AIMessage("", tool_calls=[{"name": "double", "args": {"x": 21}, "id": "1"}])


async def test_an_agents_tools_stay_where_the_model_can_be_given_them(ws: Workspace) -> None:
    tuned = ScriptedChatModel(script=tool_call)
    middleware = GPAMiddleware(ws, group_models={"novice": tuned})
    app = Way("agent", middleware, ScriptedChatModel(), tools=[double])
    for reply in (app.invoke(), await app.ainvoke()):
        assert reply["text"] == "It is 42."
        assert "tools_removed" not in reply["gpa"]
    assert tuned.options[0]["tools"][0]["function"]["name"] == "double"


async def test_an_agents_tools_are_left_out_where_it_cannot_and_the_trace_tells(
    ws: Workspace, turns: Turns
) -> None:
    tuned = NoTools(script=["By hand: 42."])
    middleware = GPAMiddleware(ws, group_models={"novice": tuned})
    app = Way("agent", middleware, ScriptedChatModel(), tools=[double])
    for reply in (app.invoke(), await app.ainvoke()):
        assert reply["text"] == "By hand: 42."
        assert (reply["gpa"]["mode"], reply["gpa"]["tools_removed"]) == ("finetuned", 1)
    assert all("tools" not in options for options in tuned.options)
    assert [t["trace"]["tools_removed"] for t in turns] == [1, 1]


class Verdict(BaseModel):
    """A verdict."""

    good: bool


class Insisting(AgentMiddleware[Any, Any]):
    """A host that forces a tool."""

    @override
    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        return handler(request.override(tool_choice="any"))


def test_where_the_host_insists_its_own_model_answers(ws: Workspace) -> None:
    call = {"name": "Verdict", "args": {"good": True}, "id": "1"}
    host = ScriptedChatModel(script=[AIMessage("", tool_calls=[call])])
    middleware: Any = GPAMiddleware(ws, group_models={"novice": NoTools()})
    app: Any = create_agent(host, middleware=[middleware], response_format=ToolStrategy(Verdict))
    out = app.invoke(HI, NOVICE)
    assert out["structured_response"] == Verdict(good=True)
    assert (out["gpa"]["mode"], out["gpa"]["degraded"]) == (
        "context",
        "dispatch_group_model: CannotBind",
    )
    host = ScriptedChatModel(script=tool_call)
    app = create_agent(host, [double], middleware=[Insisting(), middleware])
    out = app.invoke(HI, NOVICE)
    assert out["messages"][-1].text == "It is 42."
    assert out["gpa"]["mode"] == "context"


class Settings(AgentMiddleware[Any, Any]):
    """A host that says to its own model how to go about it."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    @override
    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        return handler(request.override(model_settings=self.settings))


def test_an_agents_settings_are_the_hosts_own_but_for_sampling(ws: Workspace) -> None:
    def trace(**settings: Any) -> Any:
        gpa: Any = GPAMiddleware(ws, group_models={"novice": tuned})
        app: Any = create_agent(host, [double], middleware=[Settings(**settings), gpa])
        return app.invoke(HI, NOVICE)["gpa"]

    host = ScriptedChatModel()
    tuned: ScriptedChatModel = NoTools()
    effort: Any = {"model": "gpt-5.5", "reasoning_effort": "low", "parallel_tool_calls": False}
    assert trace(**effort, temperature=0.0)["degraded"] is None
    assert tuned.options == [{"stop": None, "temperature": 0.0}]
    form = trace(**effort, response_format={"type": "json_object"})
    assert form["degraded"] == "dispatch_group_model: CannotBind"
    assert host.options[0]["reasoning_effort"] == "low"  # its own are all there
    tuned = ScriptedChatModel()  # of the host's class: it understands what the host says
    assert trace(**effort)["degraded"] is None
    assert tuned.options[0]["reasoning_effort"] == "low"
    assert "model" not in tuned.options[0]


TOOLS: Sequence[Any] = [double]


async def test_a_chat_models_tools_are_bound_anew_left_out_or_the_hosts(ws: Workspace) -> None:
    class Other(ScriptedChatModel):
        """A model of another class, which takes tools."""

    def around(tuned: BaseChatModel) -> Any:
        return GPAMiddleware(ws, group_models={"novice": tuned}).chat_model(host)

    host = ScriptedChatModel()
    same, other, none = ScriptedChatModel(), Other(), NoTools()
    for tuned in (same, other):
        message = around(tuned).bind_tools(TOOLS).invoke("Hi", NOVICE)
        assert message.response_metadata["gpa"]["mode"] == "finetuned"
        assert tuned.options[0]["tools"][0]["function"]["name"] == "double"
    bound = around(none).bind_tools(TOOLS)
    chunk = await anext(bound.astream("Hi", NOVICE))
    for message in (bound.invoke("Hi", NOVICE), await bound.ainvoke("Hi", NOVICE), chunk):
        assert message.response_metadata["gpa"]["tools_removed"] == 1
    assert all("tools" not in options for options in none.options)
    assert host.calls == 0
    forced = around(other).bind_tools(TOOLS, tool_choice="double").invoke("Hi", NOVICE)
    assert forced.response_metadata["gpa"]["degraded"] == "dispatch_group_model: CannotBind"
    assert "tools_removed" not in forced.response_metadata["gpa"]
    assert host.options[0]["tool_choice"] == "double"


def test_a_model_without_tools_that_fails_leaves_the_host_all_of_them(ws: Workspace) -> None:
    class Down(NoTools, Breaking):
        """Takes no tools, and breaks."""

    host = ScriptedChatModel()
    model = GPAMiddleware(ws, group_models={"novice": Down()}).chat_model(host).bind_tools(TOOLS)
    trace = model.invoke("Hi", NOVICE).response_metadata["gpa"]
    assert trace["degraded"] == "dispatch_group_model: ConnectionError"
    assert "tools_removed" not in trace
    assert len(host.options[0]["tools"]) == 1


def test_a_host_models_name_and_sampling(ws: Workspace) -> None:
    host, tuned = ScriptedChatModel(), NoTools()
    model = GPAMiddleware(ws, group_models={"novice": tuned}).chat_model(host)
    model.bind(temperature=0.0, model="gpt-5.5", reasoning_effort="low").invoke("Hi", NOVICE)
    assert tuned.options == [{"stop": None, "temperature": 0.0}]
    shaped = model.bind(response_format={"type": "json_object"}).invoke("Hi", NOVICE)
    assert shaped.response_metadata["gpa"]["degraded"] == "dispatch_group_model: CannotBind"
