"""A chat model in, a tailored chat model out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.rate_limiters import InMemoryRateLimiter
from pydantic import BaseModel

from gpa_agent.errors import UsageError
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.turn.context import GPAContext
from gpa_agent.turn.middleware import GPAMiddleware
from tests.turn.support import STEPS, TERSE, Turns, thread

if TYPE_CHECKING:
    from gpa_agent.workspace import Workspace

NOVICE = thread("c1", user_id="u1", group="novice")


class Verdict(BaseModel):
    """A verdict."""

    good: bool


async def test_every_way_of_calling_is_tailored_and_recorded(ws: Workspace, turns: Turns) -> None:
    inner = ScriptedChatModel(script=["One two"])
    model = GPAMiddleware(ws).chat_model(inner)
    assert isinstance(model, BaseChatModel)
    assert model.invoke("Hi", NOVICE).text == "One two"
    assert (await model.ainvoke("Hi", NOVICE)).text == "One two"
    assert [c.text for c in model.stream("Hi", NOVICE) if c.text] == ["One ", "two"]
    assert [c.text async for c in model.astream("Hi", NOVICE) if c.text] == ["One ", "two"]
    assert [m.text for m in model.batch(["Hi"], NOVICE)] == ["One two"]
    assert inner.calls == 5
    assert all(STEPS in prompt[0].text for prompt in inner.prompts)
    assert {(t["user"], t["assistant"], t["conversation"]) for t in turns} == {
        ("Hi", "One two", "c1")
    }
    assert len(turns) == 5
    assert len({t["key"] for t in turns}) == 1  # the same turn, however often it is asked


async def test_trace_is_on_the_message(ws: Workspace) -> None:
    model = GPAMiddleware(ws).chat_model(ScriptedChatModel(script=["One two"]))
    whole = model.invoke("Hi", NOVICE).response_metadata["gpa"]
    assert (whole["mode"], whole["aspects"]) == ("context", ["steps"])
    chunks = [c async for c in model.astream("Hi", NOVICE)]
    assert [("gpa" in c.response_metadata) for c in chunks].count(True) == 1


def test_prompt_is_kept_and_caller_not_mutated(ws: Workspace) -> None:
    inner = ScriptedChatModel()
    given: list[BaseMessage] = [SystemMessage("Be kind."), HumanMessage("Hi")]
    before = [m.model_copy(deep=True) for m in given]
    GPAMiddleware(ws).chat_model(inner).invoke(given, NOVICE)
    assert given == before
    assert inner.prompts[0][0].text.startswith("Be kind.\n\n<reader_preferences>")
    assert len(inner.prompts[0]) == 2


def test_nobody_named_is_plain(ws: Workspace, turns: Turns) -> None:
    inner = ScriptedChatModel()
    model = GPAMiddleware(ws).chat_model(inner)
    assert model.invoke("Hi").response_metadata["gpa"]["mode"] == "plain"
    assert [m.text for m in inner.prompts[0]] == ["Hi"]
    model.invoke("Hi")
    assert turns[0]["conversation"] != turns[1]["conversation"]


def test_who_asks_is_not_left_behind_for_the_next_call(ws: Workspace) -> None:
    inner = ScriptedChatModel()
    model = GPAMiddleware(ws).chat_model(inner)
    for _ in model.stream("Hi", NOVICE):
        model.invoke("Between two chunks")
    assert not any(STEPS in p[0].text for p in inner.prompts[1:])
    model.invoke("Afterwards")
    assert STEPS not in inner.prompts[-1][0].text


def test_a_stateless_client_stays_in_one_conversation(ws: Workspace, turns: Turns) -> None:
    model = GPAMiddleware(ws).chat_model(ScriptedChatModel())
    who: Any = {"configurable": {"user_id": "u1"}}
    history: list[BaseMessage] = [HumanMessage("Hi")]
    history.append(model.invoke(history, who))
    history.append(HumanMessage("More"))
    model.invoke(history, who)
    assert turns[0]["conversation"] == turns[1]["conversation"]
    assert turns[0]["key"] != turns[1]["key"]


def test_a_turn_with_tools_is_recorded_once_at_its_end(ws: Workspace, turns: Turns) -> None:
    def double(x: int) -> int:
        """Double a number."""
        return 2 * x

    def script(messages: list[BaseMessage]) -> str | AIMessage:
        if isinstance(messages[-1], ToolMessage):
            return f"It is {messages[-1].text}."
        return AIMessage("", tool_calls=[{"name": "double", "args": {"x": 21}, "id": "1"}])

    inner = ScriptedChatModel(script=script)
    app: Any = create_agent(
        GPAMiddleware(ws).chat_model(inner), [double], context_schema=GPAContext
    )
    out = app.invoke(
        {"messages": [HumanMessage("Hi")]}, thread(), context=GPAContext(group="novice")
    )
    assert out["messages"][-1].text == "It is 42."
    assert [(t["user"], t["assistant"]) for t in turns] == [("Hi", "It is 42.")]
    assert all(STEPS in p[0].text for p in inner.prompts)
    assert inner.options[0]["tools"][0]["function"]["name"] == "double"


@pytest.mark.parametrize("include_raw", [False, True])
def test_structured_output_is_tailored(ws: Workspace, include_raw: bool) -> None:
    call = {"name": "Verdict", "args": {"good": True}, "id": "1"}
    inner = ScriptedChatModel(script=[AIMessage("", tool_calls=[call])])
    model = GPAMiddleware(ws).chat_model(inner)
    got: Any = model.with_structured_output(Verdict, include_raw=include_raw).invoke("Hi", NOVICE)
    assert (got["parsed"] if include_raw else got) == Verdict(good=True)
    assert STEPS in inner.prompts[0][0].text


async def test_group_model_and_its_fallback(ws: Workspace) -> None:
    host, tuned = ScriptedChatModel(), ScriptedChatModel(script=["Step 1."])
    model = GPAMiddleware(ws, group_models={"novice": tuned}).chat_model(host)
    assert model.invoke("Hi", NOVICE).text == "Step 1."
    assert "".join([c.text async for c in model.astream("Hi", NOVICE)]) == "Step 1."
    assert host.calls == 0
    down = ScriptedChatModel(script=[ConnectionError("down")])
    middleware = GPAMiddleware(ws, group_models={"novice": down})
    model = middleware.chat_model(host)
    answers = [
        model.invoke("Hi", NOVICE),
        await model.ainvoke("Hi", NOVICE),
        next(model.stream("Hi", NOVICE)),
        await anext(model.astream("Hi", NOVICE)),
    ]
    for answer in answers:
        trace = answer.response_metadata["gpa"]
        assert trace["degraded"] == "dispatch_group_model: ConnectionError"
        assert (trace["mode"], trace["aspects"]) == ("context", ["steps"])
    assert middleware.degraded_total == 4
    assert all(STEPS in p[0].text for p in host.prompts)


def test_one_groups_answer_is_never_served_to_another_from_a_cache(ws: Workspace) -> None:
    inner = ScriptedChatModel(script=lambda ms: "steps" if STEPS in ms[0].text else "terse")
    model = GPAMiddleware(ws).chat_model(inner)
    set_llm_cache(InMemoryCache())
    try:
        assert model.invoke("Hi", thread(group="novice")).text == "steps"
        assert model.invoke("Hi", thread(group="expert")).text == "terse"
    finally:
        set_llm_cache(None)
    assert TERSE in inner.prompts[-1][0].text


async def test_failures_of_ours_leave_the_plain_answer_and_the_hosts_are_the_hosts(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise OSError

    middleware = GPAMiddleware(ws)
    model = middleware.chat_model(ScriptedChatModel())
    monkeypatch.setattr(ws, "rubric", fail)
    monkeypatch.setattr(ws, "record_turn", fail)
    for answer in (model.invoke("Hi", NOVICE), await model.ainvoke("Hi", NOVICE)):
        assert answer.text == "Understood."
        assert answer.response_metadata["gpa"]["degraded"] == "retrieve_rubric: OSError"
    assert middleware.degraded_total == 4  # the rubric and the record, twice
    error = LookupError("host")
    with pytest.raises(LookupError) as caught:
        middleware.chat_model(ScriptedChatModel(script=[error])).invoke("Hi")
    assert caught.value is error


def test_it_is_the_model_inside_in_all_other_respects(ws: Workspace) -> None:
    limiter = InMemoryRateLimiter(requests_per_second=1000)
    inner = ScriptedChatModel(rate_limiter=limiter, tags=["x"], profile={"tool_calling": True})
    model = GPAMiddleware(ws).chat_model(inner)
    assert model.rate_limiter is limiter
    assert (model.tags, model.profile) == (["x"], {"tool_calling": True})
    assert model._get_ls_params() == inner._get_ls_params()
    assert model._identifying_params == inner._identifying_params


def test_only_chat_models(ws: Workspace) -> None:
    other: Any = lambda messages: "Hi"  # noqa: E731 -- any callable that is no chat model
    with pytest.raises(UsageError, match="not a chat model"):
        GPAMiddleware(ws).chat_model(other)
