from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from gpa_agent.calls.cache import CallCache, asking
from gpa_agent.calls.messages import Usage, finish_reason, usage_of
from gpa_agent.calls.prices import Price
from gpa_agent.errors import StoreError
from gpa_agent.ledger import Ledger
from gpa_agent.models import open_chat_model
from gpa_agent.prompts.asking import Ask
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.testing.openai_server import OpenAIServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from langchain_core.language_models import BaseChatModel

KEY = b"k" * 32
ASK = Ask("intent", "1", "Name the intent.", '{"text": "hello"}', "conversation:c1")

RUN = """
import asyncio, sys
from gpa_agent.calls.cache import CallCache, asking
from gpa_agent.ledger import Ledger
from gpa_agent.models import open_chat_model
from gpa_agent.models import close_chat_model, open_chat_model
from gpa_agent.prompts.asking import Ask

async def main(where, url):
    with Ledger.open(where, people_key=b"k" * 32) as ledger:
        model = open_chat_model("any", parameters={"base_url": url, "api_key": "any"})
        model = model.model_copy(update={"cache": CallCache(ledger, model="openai:any")})
        places = asyncio.Semaphore(8)
        async def one(number):
            ask = Ask("intent", "1", "s", str(number))
            async with places:
                with asking(ask):
                    await model.ainvoke(ask.messages())
        await asyncio.gather(*(one(n) for n in range(120)))
        await close_chat_model(model)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", people_key=KEY) as opened:
        yield opened


def cached(model: BaseChatModel, ledger: Ledger, *, name: str = "m") -> BaseChatModel:
    return model.model_copy(update={"cache": CallCache(ledger, model=name)})


async def say(model: BaseChatModel, ask: Ask = ASK) -> tuple[AIMessage, bool]:
    """The answer, and whether it came from the ledger."""
    with asking(ask) as now:
        return await model.ainvoke(ask.messages()), now.hit


async def test_a_question_is_paid_once(ledger: Ledger) -> None:
    model = ScriptedChatModel(script=["first", "second"])
    fresh, was_hit = await say(cached(model, ledger))
    again, is_hit = await say(cached(model, ledger))
    assert (fresh.text, was_hit, again.text, is_hit) == ("first", False, "first", True)
    assert model.calls == 1
    assert usage_of(again) == usage_of(fresh)


def test_a_question_asked_without_a_loop_is_paid_once(ledger: Ledger) -> None:
    model = ScriptedChatModel(script=["first", "second"])
    for hit in (False, True):
        with asking(ASK) as now:
            assert cached(model, ledger).invoke(ASK.messages()).text == "first"
        assert now.hit is hit


async def test_hits_and_misses_are_counted(ledger: Ledger) -> None:
    cache = CallCache(ledger, model="m")
    model = ScriptedChatModel(script=["x"]).model_copy(update={"cache": cache})
    for ask in (ASK, ASK, ASK._replace(data="{}"), ASK):
        await say(model, ask)
    assert (cache.hits, cache.misses) == (2, 2)


@pytest.mark.parametrize(
    "other",
    [
        ASK._replace(prompt="group"),
        ASK._replace(version="2"),
        ASK._replace(system="Name it."),
        ASK._replace(data='{"text": "hullo"}'),
    ],
)
async def test_another_question_is_another_call(ledger: Ledger, other: Ask) -> None:
    model = cached(ScriptedChatModel(script=["first", "second"]), ledger)
    await say(model)
    assert (await say(model, other))[0].text == "second"


async def test_whom_a_question_is_about_does_not_change_its_answer(ledger: Ledger) -> None:
    model = cached(ScriptedChatModel(script=["first", "second"]), ledger)
    await say(model)
    assert (await say(model, ASK._replace(subject="conversation:c2")))[0].text == "first"


async def test_another_model_is_another_call(ledger: Ledger) -> None:
    model = ScriptedChatModel(script=["first", "second"])
    await say(cached(model, ledger))
    assert (await say(cached(model, ledger, name="n")))[0].text == "second"


@pytest.mark.parametrize(
    "change", [{"temperature": 1.0}, {"seed": 7}, {"base_url": "http://127.0.0.1:9/v1"}]
)
def test_other_parameters_are_another_call_another_key_or_more_patience_is_not(
    ledger: Ledger, change: dict[str, Any]
) -> None:
    def ask(seconds: float = 60.0, **more: Any) -> bool:
        parameters = {"base_url": server.url, "api_key": "one", "temperature": 0.0} | more
        model = open_chat_model("any", parameters=parameters, request_seconds=seconds)
        with asking(ASK) as now:
            cached(model, ledger).invoke(ASK.messages())
        return now.hit

    with OpenAIServer() as server:
        assert [ask(), ask(), ask(api_key="two"), ask(seconds=90.0)] == [False, True, True, True]
        if "base_url" in change:
            with pytest.raises(Exception, match="Connection error"):
                ask(**change)
        else:
            assert not ask(**change)


async def test_an_answer_is_kept_with_what_it_was_for_and_what_it_cost(ledger: Ledger) -> None:
    cache = CallCache(ledger, model="m", price=Price(input=2.0, cached_input=0.5, output=8.0))
    message = AIMessage(
        "said",
        response_metadata={"finish_reason": "stop"},
        usage_metadata={
            "input_tokens": 1000,
            "output_tokens": 10,
            "total_tokens": 1010,
            "input_token_details": {"cache_read": 600},
        },
    )
    with asking(ASK):
        await cache.aupdate("prompt", "llm", [ChatGeneration(message=message)])
        found = await cache.alookup("prompt", "llm")
    assert found is not None
    rebuilt = found[0]
    assert isinstance(rebuilt, ChatGeneration)
    assert usage_of(rebuilt.message) == Usage(1000, 10, 600)  # type: ignore[arg-type]
    with ledger._read() as connection:
        row = connection.exec_driver_sql(
            "SELECT model, prompt, version, subject, answer, cost FROM model_calls"
        ).one()
    # (400 x 2 + 600 x 0.5 + 10 x 8) / 1e6
    assert tuple(row) == ("m", "intent", "1", "conversation:c1", "said", pytest.approx(0.00118))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (AIMessage("{", response_metadata={"finish_reason": "length"}), "length"),
        (AIMessage("", response_metadata={"finish_reason": "content_filter"}), "content_filter"),
        (AIMessage("", additional_kwargs={"refusal": "I cannot"}), "refusal"),
        (AIMessage("{", response_metadata={"stop_reason": "max_tokens"}), "length"),
        (AIMessage("{}", response_metadata={"stop_reason": "end_turn"}), "stop"),
        (AIMessage("{", response_metadata={"finish_reason": "MAX_TOKENS"}), "length"),
        (AIMessage("", response_metadata={"finish_reason": "SAFETY"}), "content_filter"),
        (AIMessage("{}", response_metadata={"done_reason": "stop"}), "stop"),
        (AIMessage("{}", response_metadata={"status": "completed"}), "stop"),
        (
            AIMessage(
                "{",
                response_metadata={
                    "status": "incomplete",
                    "incomplete_details": {"reason": "max_output_tokens"},
                },
            ),
            "length",
        ),
        (AIMessage("{}"), "stop"),
        (AIMessage("", response_metadata={"finish_reason": "Recitation"}), "recitation"),
    ],
)
async def test_a_stored_answer_ended_as_the_fresh_one_did(
    ledger: Ledger, message: AIMessage, reason: str
) -> None:
    model = cached(ScriptedChatModel(script=[message]), ledger)
    fresh, _ = await say(model)
    stored, hit = await say(model)
    assert hit
    assert [finish_reason(fresh), finish_reason(stored)] == [reason, reason]


async def test_what_a_database_cannot_hold_is_replaced(ledger: Ledger) -> None:
    model = cached(ScriptedChatModel(script=["a\ud800b\0c"]), ledger)
    await say(model)
    assert (await say(model))[0].text == "a?b\ufffdc"


async def test_a_failed_call_leaves_nothing(ledger: Ledger) -> None:
    model = cached(ScriptedChatModel(script=[ConnectionError("down"), "up"]), ledger)
    with pytest.raises(ConnectionError):
        await say(model)
    assert ledger.count_calls() == 0
    assert (await say(model))[0].text == "up"


async def test_an_answer_that_cannot_be_stored_is_not_used(ledger: Ledger) -> None:
    model = cached(ScriptedChatModel(script=["x"]), ledger)
    with ledger._write() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER broken BEFORE INSERT ON model_calls "
            "BEGIN INSERT INTO nowhere VALUES (1); END"
        )
    asks = [ASK._replace(data=str(n)) for n in range(5)]
    results = await asyncio.gather(*(say(model, a) for a in asks), return_exceptions=True)
    assert [type(r) for r in results] == [StoreError] * 5
    with ledger._write() as connection:
        connection.exec_driver_sql("DROP TRIGGER broken")
    assert (await say(model))[1] is False


async def test_answers_that_wait_share_transactions(ledger: Ledger) -> None:
    writes: list[int] = []

    class Watched(Ledger):
        def add_calls(self, rows: Any) -> None:
            writes.append(len(rows))
            super().add_calls(rows)

    watched = Watched(ledger._engine, "watched", people_key=KEY, clock=ledger._clock)
    model = cached(ScriptedChatModel(script=["x"]), watched)
    await asyncio.gather(*(say(model, ASK._replace(data=str(n))) for n in range(200)))
    assert sum(writes) == ledger.count_calls() == 200
    assert len(writes) < 50


async def test_an_answer_whose_asker_is_cancelled_is_stored_all_the_same(ledger: Ledger) -> None:
    cache = CallCache(ledger, model="m")

    async def update() -> None:
        with asking(ASK):
            await cache.aupdate("p", "l", [ChatGeneration(message=AIMessage("x"))])

    task = asyncio.create_task(update())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await cache.finish()
    assert ledger.count_calls() == 1


def test_the_cache_is_never_cleared(ledger: Ledger) -> None:
    with pytest.raises(NotImplementedError, match="forgetting"):
        CallCache(ledger, model="m").clear()


@pytest.mark.slow
def test_a_killed_run_repeats_at_most_what_was_in_flight(tmp_path: Path) -> None:
    where = tmp_path / "ledger.db"

    def reply(_: object) -> str:
        time.sleep(0.01)
        return "{}"

    with OpenAIServer(reply=reply) as server:
        command = [sys.executable, "-c", RUN, str(where), server.url]
        with subprocess.Popen(command) as run:
            until = time.monotonic() + 60
            while len(server.requests) < 50 and time.monotonic() < until:
                time.sleep(0.002)
            run.kill()
        with Ledger.open(where, people_key=KEY) as ledger:
            assert 0 < ledger.count_calls() < 120
        subprocess.run(command, check=True, timeout=60)
        assert 120 <= len(server.requests) <= 120 + 8
        with Ledger.open(where, people_key=KEY) as ledger:
            assert ledger.count_calls() == 120
