"""The middleware in real agents: prompts, tools, structured output, interrupts, failures."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    ModelRequest,
    ModelResponse,
)
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command
from pydantic import BaseModel

from gpa_agent.errors import UsageError
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.turn.context import GPAContext
from gpa_agent.turn.middleware import GPAMiddleware
from gpa_agent.turn.prompt import rubric_block
from tests.turn.support import STEPS, TERSE, Scripted, Turns, seed, thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gpa_agent.workspace import Workspace

NOVICE = GPAContext(user_id="u1", group="novice")
HI: Any = {"messages": [HumanMessage("Hi")]}


def double(x: int) -> int:
    """Double a number."""
    return 2 * x


def call_then_answer(messages: list[BaseMessage]) -> str | AIMessage:
    """Call the tool, then tell its result."""
    if isinstance(messages[-1], ToolMessage):
        return f"It is {messages[-1].text}."
    call = {"name": "double", "args": {"x": 21}, "id": f"call-{len(messages)}"}
    return AIMessage("", tool_calls=[call])


def agent(model: Any, *middleware: Any, **options: Any) -> Any:
    options.setdefault("tools", [])
    options.setdefault("system_prompt", "Be kind.")
    return create_agent(model, middleware=middleware, context_schema=GPAContext, **options)


def test_prompt_is_kept_and_the_block_appended(ws: Workspace) -> None:
    model = ScriptedChatModel()
    out = agent(model, GPAMiddleware(ws)).invoke(HI, context=NOVICE)
    system = model.prompts[0][0]
    assert isinstance(system, SystemMessage)
    assert system.content == f"Be kind.\n\n{rubric_block(seed(), 'novice')}"
    assert [m.text for m in out["messages"]] == ["Hi", "Understood."]
    assert out["gpa"]["mode"] == "context"
    assert "gpa_turn" not in out


def test_a_turn_for_an_unknown_group_sends_exactly_what_the_host_sends(ws: Workspace) -> None:
    with_us, without = ScriptedChatModel(), ScriptedChatModel()
    agent(with_us, GPAMiddleware(ws)).invoke(HI)
    agent(without).invoke(HI)
    assert [m.model_dump(exclude={"id"}) for m in with_us.prompts[0]] == [
        m.model_dump(exclude={"id"}) for m in without.prompts[0]
    ]


def test_caller_is_never_mutated(ws: Workspace) -> None:
    message = HumanMessage("Hi", additional_kwargs={"k": 1})
    system = SystemMessage([{"type": "text", "text": "Be kind."}])
    given: dict[str, Any] = {"messages": [message]}
    copies = message.model_copy(deep=True), system.model_copy(deep=True)
    config = thread(user_id="u", group="novice")
    agent(ScriptedChatModel(), GPAMiddleware(ws), system_prompt=system).invoke(given, config)
    message.id = copies[0].id  # LangGraph itself gives messages an id
    assert (message, system) == copies
    assert given == {"messages": [message]}
    assert config == thread(user_id="u", group="novice")


def test_tool_loop_gets_the_same_bytes_at_every_step_and_is_classified_once(
    ws: Workspace, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = Scripted("novice")
    monkeypatch.setattr(ws, "group_classifier", lambda: classifier)
    model = ScriptedChatModel(script=call_then_answer)
    out = agent(model, GPAMiddleware(ws), tools=[double]).invoke(HI)
    assert out["messages"][-1].text == "It is 42."
    assert model.calls == 2
    assert model.prompts[0][0] == model.prompts[1][0]
    assert STEPS in model.prompts[0][0].text
    assert classifier.seen == ["Hi"]
    assert [(t["user"], t["assistant"]) for t in turns] == [("Hi", "It is 42.")]


class Verdict(BaseModel):
    """A verdict."""

    good: bool


def structured_answer(messages: list[BaseMessage]) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "Verdict", "args": {"good": True}, "id": "1"}])


@pytest.mark.parametrize(
    ("strategy", "script"),
    [(ToolStrategy(Verdict), structured_answer), (ProviderStrategy(Verdict), ['{"good": true}'])],
)
def test_structured_output(ws: Workspace, turns: Turns, strategy: Any, script: Any) -> None:
    model = ScriptedChatModel(script=script)
    out = agent(model, GPAMiddleware(ws), response_format=strategy).invoke(HI, context=NOVICE)
    assert out["structured_response"] == Verdict(good=True)
    assert STEPS in model.prompts[0][0].text
    assert "true" in turns[0]["assistant"].lower()


@pytest.fixture(params=["memory", "sqlite"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "memory":
        yield InMemorySaver()
        return
    file = tmp_path / "checkpoints.sqlite"
    with contextlib.closing(sqlite3.connect(file, check_same_thread=False)) as connection:
        yield SqliteSaver(connection)


def test_interrupted_turn_resumes_with_the_same_bytes_and_its_person(
    ws: Workspace, turns: Turns, saver: Any
) -> None:
    model = ScriptedChatModel(script=call_then_answer)
    approval: Any = HumanInTheLoopMiddleware(interrupt_on={"double": True})
    app = agent(model, GPAMiddleware(ws), approval, tools=[double], checkpointer=saver)
    paused = app.invoke(HI, thread(), context=NOVICE)
    assert "__interrupt__" in paused
    changed = seed().aspects[0].model_copy(update={"guidance": {"novice": "Other.", "expert": "-"}})
    ws.import_rubrics([seed().model_copy(update={"aspects": (changed,)})])
    approve: Any = Command(resume={"decisions": [{"type": "approve"}]})
    out = app.invoke(approve, thread())  # nobody says who asks when resuming
    assert out["messages"][-1].text == "It is 42."
    assert model.prompts[0][0] == model.prompts[1][0]
    assert out["gpa"]["group"] == "novice"
    assert [(t["user_id"], t["assistant"]) for t in turns] == [("u1", "It is 42.")]


class Shouting(AgentMiddleware[Any, Any]):
    """Somebody else's middleware: it adds to the prompt, too."""

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        text = f"{request.system_prompt}\n\nSHOUT."
        return handler(request.override(system_message=SystemMessage(text)))


@pytest.mark.parametrize("ours", [0, 1, 2])
def test_beside_two_other_middlewares_in_any_order(ws: Workspace, ours: int) -> None:
    chain: list[Any] = [ModelCallLimitMiddleware(run_limit=2), Shouting()]
    chain.insert(ours, GPAMiddleware(ws))
    model = ScriptedChatModel(script=call_then_answer)
    out = agent(model, *chain, tools=[double]).invoke(HI, context=NOVICE)
    assert out["messages"][-1].text == "It is 42."
    for prompt in model.prompts:
        text = prompt[0].text
        assert text.startswith("Be kind.\n\n")
        assert text.count("<reader_preferences>") == text.count("SHOUT.") == 1


def test_fifty_turns_add_nothing_to_history(ws: Workspace, saver: Any) -> None:
    model = ScriptedChatModel()
    app = agent(model, GPAMiddleware(ws), checkpointer=saver)
    for number in range(50):
        app.invoke({"messages": [HumanMessage(f"Question {number}")]}, thread(), context=NOVICE)
    state = app.get_state(thread()).values
    assert len(state["messages"]) == 100
    assert not any(isinstance(m, SystemMessage) for m in state["messages"])
    assert len({prompt[0].text for prompt in model.prompts}) == 1
    assert len(model.prompts[-1]) == 1 + 99  # the system message and the conversation so far


def test_group_can_change_from_turn_to_turn(ws: Workspace) -> None:
    model = ScriptedChatModel()
    app = agent(model, GPAMiddleware(ws), checkpointer=InMemorySaver())
    app.invoke(HI, thread(), context=NOVICE)
    app.invoke(HI, thread(), context=GPAContext(group="expert"))
    last = app.invoke(HI, thread())
    texts = [prompt[0].text for prompt in model.prompts]
    assert STEPS in texts[0]
    assert TERSE in texts[1]
    assert STEPS not in texts[1]
    assert texts[2] == "Be kind."
    assert last["gpa"]["mode"] == "plain"


@pytest.mark.parametrize(
    "who",
    [
        {"context": GPAContext(group="novice")},
        {"context": {"group": "novice"}},
        {"config": {"configurable": {"group": "novice"}}},
    ],
)
def test_who_asks_comes_from_context_or_configurable(ws: Workspace, who: Any) -> None:
    out = agent(ScriptedChatModel(), GPAMiddleware(ws)).invoke(HI, **who)
    assert out["gpa"]["mode"] == "context"


def test_agent_without_a_context_schema(ws: Workspace) -> None:
    app: Any = create_agent(ScriptedChatModel(), middleware=[GPAMiddleware(ws)])
    assert app.invoke(HI)["gpa"]["mode"] == "plain"
    assert app.invoke(HI, thread(group="novice"))["gpa"]["mode"] == "context"


async def test_sync_and_async_do_the_same(ws: Workspace, turns: Turns) -> None:
    one, other = (
        ScriptedChatModel(script=call_then_answer),
        ScriptedChatModel(script=call_then_answer),
    )
    middleware = GPAMiddleware(ws)
    first = agent(one, middleware, tools=[double]).invoke(HI, thread("a"), context=NOVICE)
    second = await agent(other, middleware, tools=[double]).ainvoke(HI, thread("b"), context=NOVICE)
    for out in (first, second):
        out["gpa"].pop("timings_ms")
    assert first["gpa"] == second["gpa"]
    assert [m.text for m in first["messages"]] == [m.text for m in second["messages"]]
    assert [[m.text for m in p] for p in one.prompts] == [
        [m.text for m in p] for p in other.prompts
    ]
    assert [t["assistant"] for t in turns] == ["It is 42.", "It is 42."]


class AsyncOnly(AgentMiddleware[Any, Any]):
    """Somebody's tool guard that only runs in async."""

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return await handler(request)


async def test_async_only_neighbours_and_sync_only_neighbours(ws: Workspace) -> None:
    model = ScriptedChatModel(script=call_then_answer)
    app = agent(model, GPAMiddleware(ws), AsyncOnly(), tools=[double])
    assert (await app.ainvoke(HI, context=NOVICE))["messages"][-1].text == "It is 42."
    app = agent(model, GPAMiddleware(ws), Shouting(), tools=[double])
    assert app.invoke(HI, context=NOVICE)["messages"][-1].text == "It is 42."


def test_recorded_turn_says_who_what_and_how(ws: Workspace, turns: Turns) -> None:
    app = agent(ScriptedChatModel(), GPAMiddleware(ws))
    app.invoke(HI, thread("c1", user_id="u1"), context=GPAContext(group="novice"))
    turn = turns[0]
    assert turn["conversation"] == "c1"
    assert (turn["user"], turn["assistant"], turn["user_id"]) == ("Hi", "Understood.", "u1")
    assert turn["group"] == ("novice", 1.0, "context")
    assert turn["trace"]["mode"] == "context"
    assert ws.stats()["turns"] == 1


def test_plain_and_holdout_turns_are_recorded_as_well(ws: Workspace, turns: Turns) -> None:
    agent(ScriptedChatModel(), GPAMiddleware(ws)).invoke(HI)
    agent(ScriptedChatModel(), GPAMiddleware(ws, holdout=0.5)).invoke(
        HI, context=GPAContext(group="novice")
    )
    agent(ScriptedChatModel(), GPAMiddleware(ws, mode="plain")).invoke(HI, context=NOVICE)
    assert len(turns) == 3
    assert turns[0]["group"] is None


def test_holdout_is_sticky_for_a_person_and_plain(ws: Workspace) -> None:
    app = agent(ScriptedChatModel(), GPAMiddleware(ws, holdout=0.5))
    arms: dict[str, set[str]] = {}
    for number in range(40):
        out = app.invoke(HI, context=GPAContext(user_id=f"u{number % 20}", group="novice"))
        arms.setdefault(f"u{number % 20}", set()).add(out["gpa"]["arm"])
        assert out["gpa"]["mode"] == ("plain" if out["gpa"]["arm"] == "holdout" else "context")
    assert all(len(seen) == 1 for seen in arms.values())
    assert {"holdout", "tailored"} == set().union(*arms.values())


def test_record_can_be_switched_off(ws: Workspace, turns: Turns) -> None:
    agent(ScriptedChatModel(), GPAMiddleware(ws, record=False)).invoke(HI, context=NOVICE)
    assert turns == []


@pytest.mark.parametrize("broken", ["rubric", "known_group", "person"])
async def test_failing_part_of_ours_leaves_the_plain_answer(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk")

    middleware = GPAMiddleware(ws, record=False)
    monkeypatch.setattr(ws, broken, fail)
    who = GPAContext(user_id="u", group=None if broken == "known_group" else "novice")
    model = ScriptedChatModel()
    app = agent(model, middleware)
    for out in (app.invoke(HI, context=who), await app.ainvoke(HI, context=who)):
        assert out["messages"][-1].text == "Understood."
        assert out["gpa"]["mode"] == "plain"
        assert "OSError" in out["gpa"]["degraded"]
    assert middleware.degraded_total == 2
    assert {p[0].text for p in model.prompts} == {"Be kind."}


async def test_slow_part_of_ours_leaves_the_plain_answer_within_the_budget(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws, "group_classifier", lambda: Scripted("novice", seconds=5))
    app = agent(ScriptedChatModel(), GPAMiddleware(ws, budget_seconds=0.05))
    start = time.monotonic()
    for out in (app.invoke(HI), await app.ainvoke(HI)):
        assert out["messages"][-1].text == "Understood."
        assert "over budget" in out["gpa"]["degraded"]
    assert time.monotonic() - start < 4  # both together, against 5 s for one classification


async def test_reply_is_kept_when_it_cannot_be_recorded(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: object) -> None:
        raise OSError("Hi")

    monkeypatch.setattr(ws, "record_turn", fail)
    middleware = GPAMiddleware(ws)
    app = agent(ScriptedChatModel(), middleware)
    with caplog.at_level(logging.WARNING, logger="gpa_agent.turn"):
        outs = [app.invoke(HI, context=NOVICE), await app.ainvoke(HI, context=NOVICE)]
    for out in outs:
        assert out["messages"][-1].text == "Understood."
        assert out["gpa"]["mode"] == "context"
        assert out["gpa"]["degraded"] == "record_turn: OSError"
    assert middleware.degraded_total == 2
    assert "Hi" not in caplog.text


class HostError(Exception):
    """What the host's model raises."""


async def test_hosts_own_error_is_the_hosts(ws: Workspace, turns: Turns) -> None:
    error = HostError("host")
    middleware = GPAMiddleware(ws)
    app = agent(ScriptedChatModel(script=[error]), middleware)
    with pytest.raises(HostError) as caught:
        app.invoke(HI, context=NOVICE)
    assert caught.value is error
    with pytest.raises(HostError):
        await app.ainvoke(HI, context=NOVICE)
    assert middleware.degraded_total == 0
    assert turns == []


async def test_group_model_answers_for_its_group(ws: Workspace) -> None:
    host, tuned = ScriptedChatModel(), ScriptedChatModel(script=["Step 1."])
    app = agent(host, GPAMiddleware(ws, group_models={"novice": tuned}))
    for out in (app.invoke(HI, context=NOVICE), await app.ainvoke(HI, context=NOVICE)):
        assert out["messages"][-1].text == "Step 1."
        assert (out["gpa"]["mode"], out["gpa"]["aspects"]) == ("finetuned", [])
    assert host.calls == 0
    assert {p[0].text for p in tuned.prompts} == {"Be kind."}


async def test_group_model_that_fails_falls_back_to_the_rubric_for_the_rest_of_the_turn(
    ws: Workspace, turns: Turns
) -> None:
    host = ScriptedChatModel(script=call_then_answer)
    tuned = ScriptedChatModel(script=[ConnectionError("down")])
    middleware = GPAMiddleware(ws, group_models={"novice": tuned})
    app = agent(host, middleware, tools=[double])
    for out in (app.invoke(HI, context=NOVICE), await app.ainvoke(HI, context=NOVICE)):
        assert out["messages"][-1].text == "It is 42."
        assert (out["gpa"]["mode"], out["gpa"]["aspects"]) == ("context", ["steps"])
        assert out["gpa"]["degraded"] == "dispatch_group_model: ConnectionError"
    assert tuned.calls == 2  # once a turn, not at the second model step
    assert all(STEPS in p[0].text for p in host.prompts)
    assert {t["trace"]["mode"] for t in turns} == {"context"}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"mode": "best"}, "'best'"),
        ({"mode": "finetuned"}, "group_models"),
        ({"holdout": 0.6}, "0.6"),
        ({"budget_seconds": 0}, "budget_seconds"),
        ({"group_models": {"novice": "openai:x"}}, "'novice'"),
    ],
)
def test_misuse_is_told_at_once(ws: Workspace, options: Any, names: str) -> None:
    with pytest.raises(UsageError, match=names):
        GPAMiddleware(ws, **options)


def test_a_path_opens_the_workspace(ws: Workspace) -> None:
    ws.close()
    middleware: GPAMiddleware[Any] = GPAMiddleware(ws.path)
    out = agent(ScriptedChatModel(), middleware).invoke(HI, context=GPAContext(group="novice"))
    middleware.workspace.close()
    assert out["gpa"]["aspects"] == ["steps"]


def test_a_mistyped_path_makes_nothing_and_names_what_is_like_it(ws: Workspace) -> None:
    mistyped = ws.path.with_name("mu.gpa")
    with pytest.raises(UsageError, match=r"no workspace at .*did you mean 'my\.gpa'"):
        GPAMiddleware(mistyped)
    assert not mistyped.exists()


def test_a_path_with_nothing_like_it_becomes_an_empty_workspace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    middleware: GPAMiddleware[Any] = GPAMiddleware(tmp_path / "new.gpa", learn="off")
    middleware.workspace.close()
    assert (tmp_path / "new.gpa" / "settings.json").exists()
    assert "an empty one is made" in caplog.text
