"""A chat model over the local engine, asked in every way LangChain knows."""

from __future__ import annotations

import asyncio
import time

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from gpa_agent.alignment.serving.asking import DeadlinePassed
from gpa_agent.alignment.serving.local import LocalEngine
from gpa_agent.alignment.serving.local_chat import ChatLocal
from gpa_agent.errors import UsageError
from tests.alignment.tiny_models import ask, at_every_step, engine, groups

__all__ = ["engine", "groups"]


@pytest.fixture
def model(engine: LocalEngine) -> ChatLocal:
    return ChatLocal(engine=engine, adapter="group 1", temperature=0.0, max_tokens=24)


def test_it_says_what_the_engine_says(model: ChatLocal, engine: LocalEngine) -> None:
    own = engine.submit(ask("why?", "group 1")).result()
    said = model.invoke("why?")
    assert said.text == own.text
    assert said.usage_metadata is not None
    assert said.usage_metadata["input_tokens"] == own.prompt_tokens
    assert said.usage_metadata["output_tokens"] == own.completion_tokens == 24
    assert said.response_metadata["finish_reason"] == "length"
    assert said.response_metadata["model_name"] == "group 1"


def test_another_group_can_be_bound(model: ChatLocal, engine: LocalEngine) -> None:
    for group, name in (("group 2", "group 2"), (None, "base")):
        said = model.bind(adapter=group).invoke("why?")
        assert said.text == engine.submit(ask("why?", group)).result().text
        assert said.response_metadata["model_name"] == name


def test_a_stream_is_the_answer_in_pieces(model: ChatLocal) -> None:
    whole = model.invoke("why?")
    chunks = list(model.stream("why?"))
    assert len(chunks) > 5
    joined = chunks[0]
    for chunk in chunks[1:]:
        joined += chunk
    assert joined.text == whole.text
    assert joined.usage_metadata == whole.usage_metadata
    assert joined.response_metadata["finish_reason"] == "length"


async def test_async_ways_say_the_same(model: ChatLocal) -> None:
    whole = (await asyncio.to_thread(model.invoke, "why?")).text
    assert (await model.ainvoke("why?")).text == whole
    assert "".join([chunk.text async for chunk in model.astream("why?")]) == whole
    many = await asyncio.gather(*(model.ainvoke("why?") for _ in range(16)))
    assert {message.text for message in many} == {whole}


def test_a_batch_is_answered_in_order(model: ChatLocal) -> None:
    asked = [f"why {n}?" for n in range(12)]
    assert [m.text for m in model.batch(list(asked))] == [model.invoke(a).text for a in asked]


async def test_answering_does_not_block_the_loop(model: ChatLocal) -> None:
    with at_every_step(lambda: time.sleep(0.01)):
        task = asyncio.create_task(model.ainvoke("why?"))
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.005)
            ticks += 1
    assert ticks > 10


def test_limits_stop_strings_and_seeds_can_be_given_per_call(model: ChatLocal) -> None:
    whole = model.invoke("why?").text
    assert model.invoke("why?", stop=[whole[6:9]]).text == whole[: whole.index(whole[6:9])]
    limited = model.bind(max_tokens=5).invoke("why?").usage_metadata
    assert limited is not None
    assert limited["output_tokens"] == 5
    hot = model.bind(temperature=1.0)
    assert hot.invoke("why?", seed=3).text == hot.invoke("why?", seed=3).text
    assert hot.invoke("why?", seed=3).text != hot.invoke("why?", seed=4).text
    with at_every_step(lambda: time.sleep(0.02)), pytest.raises(DeadlinePassed):
        model.invoke("why?", timeout=0.05)


def test_a_stop_string_of_the_model_holds_unless_the_call_has_one(engine: LocalEngine) -> None:
    model = ChatLocal(engine=engine, temperature=0.0, max_tokens=24)
    whole = model.invoke("why?").text
    stopped = ChatLocal(engine=engine, temperature=0.0, max_tokens=24, stop=[whole[6:9]])
    assert stopped.invoke("why?").response_metadata["finish_reason"] == "stop"
    assert stopped.invoke("why?", stop=["never said"]).text == whole


def test_closing_a_stream_cancels_it(model: ChatLocal, engine: LocalEngine) -> None:
    steps: list[None] = []

    def slow() -> None:
        steps.append(None)
        time.sleep(0.005)

    with at_every_step(slow):
        stream = model.bind(max_tokens=150).stream("why?")
        next(stream)
        stream.close()  # type: ignore[attr-defined]  # it is a generator
        engine.submit(ask("how?", max_tokens=1)).result()
    assert len(steps) < 100


async def test_closing_an_async_stream_cancels_it(model: ChatLocal, engine: LocalEngine) -> None:
    steps: list[None] = []

    def slow() -> None:
        steps.append(None)
        time.sleep(0.005)

    with at_every_step(slow):
        stream = model.bind(max_tokens=150).astream("why?")
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
        await engine.asubmit(ask("how?", max_tokens=1)).result()
    assert len(steps) < 100


async def test_cancelling_a_task_cancels_its_answer(model: ChatLocal, engine: LocalEngine) -> None:
    steps: list[None] = []

    def slow() -> None:
        steps.append(None)
        time.sleep(0.005)

    with at_every_step(slow):
        task = asyncio.create_task(model.ainvoke("why?", max_tokens=150))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await engine.asubmit(ask("how?", max_tokens=1)).result()
    assert len(steps) < 100


def test_the_whole_conversation_is_read(model: ChatLocal, engine: LocalEngine) -> None:
    asked: list[BaseMessage] = [
        SystemMessage("Be brief."),
        HumanMessage([{"type": "text", "text": "why?"}]),
        AIMessage("", tool_calls=[{"name": "look", "args": {"at": "it"}, "id": "1"}]),
        ToolMessage("because", tool_call_id="1", name="look"),
    ]
    rendered = "".join(
        f"<|im_start|>{role}\n{text}<|im_end|>\n"
        for role, text in (
            ("system", "Be brief."),
            ("user", "why?"),
            ("assistant", ""),
            ("tool", "because"),
        )
    )
    used = model.invoke(asked).usage_metadata
    assert used is not None
    assert used["input_tokens"] == len(engine.tokenize(rendered + "<|im_start|>assistant\n"))


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (HumanMessage([{"type": "image_url", "image_url": {"url": "data:,"}}]), "text only"),
        (FunctionMessage(content="x", name="f"), "'function'"),
    ],
)
def test_what_it_cannot_read_is_refused(model: ChatLocal, message: BaseMessage, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        model.invoke([message])


def test_what_it_does_not_take_is_refused(model: ChatLocal) -> None:
    with pytest.raises(UsageError, match="does not take tools"):
        model.invoke("why?", tools=[])


def test_what_hosts_say_to_every_model_does_not_stop_it(model: ChatLocal) -> None:
    said = model.invoke(
        "why?", max_completion_tokens=3, frequency_penalty=1.0, presence_penalty=1.0, top_k=5
    )
    assert said.usage_metadata is not None
    assert said.usage_metadata["output_tokens"] == 3


def test_it_cannot_bind_tools_and_says_so(model: ChatLocal) -> None:
    with pytest.raises(NotImplementedError):
        model.bind_tools([])
    assert type(model).bind_tools is BaseChatModel.bind_tools


def test_traces_name_the_model_of_the_call(model: ChatLocal) -> None:
    own = model._get_ls_params()
    assert own.get("ls_model_name") == "group 1"
    assert own.get("ls_max_tokens") == 24
    assert model._get_ls_params(adapter="group 2").get("ls_model_name") == "group 2"
    assert model._get_ls_params(adapter=None).get("ls_model_name") == "base"
    named = model._get_ls_params(model="other", temperature=0.5, stop=["x"])
    assert named.get("ls_model_name") == "other"
    assert named.get("ls_provider") == "gpa-local"
    assert named.get("ls_temperature") == 0.5
    assert named.get("ls_stop") == ["x"]


def test_a_cache_tells_models_apart(model: ChatLocal, engine: LocalEngine) -> None:
    other = ChatLocal(engine=engine, adapter="group 2", temperature=0.0, max_tokens=24)
    assert model._get_llm_string() != other._get_llm_string()
    assert model._get_llm_string() != model._get_llm_string(adapter="group 2")
    with LocalEngine(engine.base) as plain:
        alone = ChatLocal(engine=plain, temperature=0.0, max_tokens=24)
        served = ChatLocal(engine=engine, temperature=0.0, max_tokens=24)
        assert alone._get_llm_string() != served._get_llm_string()


def test_tokens_are_counted_by_the_bases_tokenizer(model: ChatLocal, engine: LocalEngine) -> None:
    assert model.get_num_tokens("why do my") == len(engine.tokenize("why do my"))
