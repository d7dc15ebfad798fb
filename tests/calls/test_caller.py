from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from gpa_agent.calls.budget import BudgetSpent
from gpa_agent.calls.caller import Caller
from gpa_agent.calls.limits import Limits
from gpa_agent.calls.prices import Price
from gpa_agent.errors import ModelError, StoreError, UsageError
from gpa_agent.ledger import Ledger
from gpa_agent.models import close_chat_model
from gpa_agent.prompts import IntentAnswer
from gpa_agent.testing.chat_models import ScriptedChatModel
from tests.calls.clocks import FakeTime
from tests.calls.loopback import ANSWER, Loopback, Reply, ask_about

DOLLAR_A_TOKEN = Price(input=1e6, output=1e6)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", people_key=b"k" * 32) as opened:
        yield opened


def scripted(*answers: str | AIMessage | Exception) -> ScriptedChatModel:
    return ScriptedChatModel(script=answers)


def status(code: int, **headers: str) -> Exception:
    error = Exception("no")
    response = type("Response", (), {"headers": headers})()
    error.__dict__.update(status_code=code, response=response)
    return error


def instant(model: BaseChatModel, ledger: Ledger, now: FakeTime, **options: Any) -> Caller:
    limits = Limits(**options)
    return Caller(model, ledger, limits, clock=now.clock, random=Random(1))


async def one_by_one(caller: Caller, count: int) -> list[str | None]:
    return [(await caller.ask(ask_about(number))).why for number in range(count)]


@asynccontextmanager
async def calling(
    server: Loopback, ledger: Ledger, limits: Limits | None = None, **options: Any
) -> AsyncGenerator[Caller]:
    model = server.recipe().open()
    try:
        yield Caller(model, ledger, limits or Limits(), **options)
    finally:
        await close_chat_model(model)


async def test_an_answer_is_read_kept_and_counted(ledger: Ledger) -> None:
    with Loopback() as server:
        async with calling(server, ledger, price=Price(input=1, output=10)) as caller:
            answered = await caller.ask(ask_about(1))
    assert answered.value == IntentAnswer(intent="debugging", confidence=90)
    assert answered.why is None
    assert ledger.count_calls() == 1
    total = caller.counts.total
    assert (total.calls, total.input_tokens, total.output_tokens) == (1, 100, 10)
    assert total.cached_tokens == 30
    # 100 at a dollar a million and 10 at ten.
    assert total.cost == pytest.approx(200e-6)


async def test_an_answer_from_the_ledger_takes_no_place_and_no_budget(ledger: Ledger) -> None:
    model = scripted(ANSWER)
    await Caller(model, ledger, Limits()).ask(ask_about(1))
    again = Caller(model, ledger, Limits(max_calls=1, concurrency=1, requests_per_minute=1))
    for _ in range(5):
        assert (await again.ask(ask_about(1))).value is not None
    assert model.calls == 1
    assert again.counts.total.cached == 5
    assert again.counts.total.calls == 0


async def test_the_same_texts_at_once_are_one_call(ledger: Ledger) -> None:
    with Loopback(lambda number, prompt: Reply(seconds=0.02)) as server:
        async with calling(server, ledger) as caller:
            asks = [ask_about(1)._replace(subject=f"conversation:{n}") for n in range(20)]
            answered = await asyncio.gather(*(caller.ask(ask) for ask in asks))
    assert [one.ask for one in answered] == asks
    assert (len(server.seen), caller.counts.total.cached) == (1, 19)


async def test_a_malformed_answer_gets_one_repair_call(ledger: Ledger) -> None:
    model = scripted("Well, debugging I guess.", ANSWER)
    caller = Caller(model, ledger, Limits())
    assert (await caller.ask(ask_about(1))).value is not None
    assert model.calls == 2
    assert "Well, debugging" in model.prompts[1][-2].text
    assert caller.counts.total.repaired == 1


async def test_malformed_twice_is_no_answer(ledger: Ledger) -> None:
    model = scripted("no", "still no", ANSWER)
    caller = Caller(model, ledger, Limits())
    answered = await caller.ask(ask_about(1))
    assert (answered.value, answered.why) == (None, "malformed")
    assert model.calls == 2
    assert caller.counts.by_prompt["intent"].malformed == 1


async def test_an_answer_cut_short_is_not_believed_even_if_it_can_be_read(ledger: Ledger) -> None:
    cut = AIMessage(ANSWER, response_metadata={"finish_reason": "length"})
    model = scripted(cut, cut)
    answered = await Caller(model, ledger, Limits()).ask(ask_about(1))
    assert (answered.why, model.calls) == ("malformed", 2)


@pytest.mark.parametrize("reason", ["content_filter", "refusal"])
async def test_a_refusal_is_not_repaired(ledger: Ledger, reason: str) -> None:
    model = scripted(AIMessage(ANSWER, response_metadata={"finish_reason": reason}))
    answered = await Caller(model, ledger, Limits()).ask(ask_about(1))
    assert (answered.why, model.calls) == ("refused", 1)


async def test_what_passes_is_tried_again_after_a_growing_wait(ledger: Ledger) -> None:
    now = FakeTime()
    model = scripted(status(500), TimeoutError(), ConnectionError(), ANSWER)
    caller = instant(model, ledger, now)
    assert (await caller.ask(ask_about(1))).value is not None
    # Half a second, one, two; each by up to a quarter less.
    for slept, wait in zip(now.slept, (0.5, 1.0, 2.0), strict=True):
        assert 0.75 * wait <= slept <= wait
    assert caller.counts.total.retried == 3
    assert caller.counts.total.calls == 4


async def test_a_question_is_given_up_after_its_tries_and_nothing_is_kept(ledger: Ledger) -> None:
    model = scripted(status(500))
    caller = instant(model, ledger, FakeTime(), tries=4)
    answered = await caller.ask(ask_about(1))
    assert (answered.why, model.calls, ledger.count_calls()) == ("failed", 4, 0)
    assert caller.counts.total.failed == 1


async def test_a_question_is_given_up_when_its_time_is_over(ledger: Ledger) -> None:
    now = FakeTime()
    answered = await instant(
        scripted(status(500)), ledger, now, tries=1000, question_seconds=20
    ).ask(ask_about(1))
    assert answered.why == "failed"
    assert sum(now.slept) <= 20


async def test_a_provider_that_is_down_shows_within_half_a_minute(ledger: Ledger) -> None:
    now = FakeTime()
    caller = instant(scripted(status(503)), ledger, now, concurrency=1)
    with pytest.raises(ModelError, match=r"does not answer.*HTTP 503.*0 answers.*are kept"):
        await one_by_one(caller, 100)
    assert now.at - 1000 <= 30


async def test_a_provider_that_goes_down_ends_the_run_and_says_what_is_kept(ledger: Ledger) -> None:
    now = FakeTime()
    caller = instant(scripted(ANSWER, ANSWER, status(503)), ledger, now)
    with pytest.raises(ModelError, match="2 answers of this run are kept"):
        await one_by_one(caller, 100)
    assert ledger.count_calls() == 2


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(401, "OPENAI_API_KEY"), (403, "may not use"), (404, "OPENAI_BASE_URL"), (402, "credit")],
)
async def test_a_closed_door_ends_the_run_at_once(ledger: Ledger, code: int, remedy: str) -> None:
    with Loopback(lambda number, prompt: Reply(code, "Incorrect key sk-secret-123456")) as server:
        async with calling(server, ledger) as caller:
            with pytest.raises(ModelError, match=remedy) as ended:
                await caller.ask(ask_about(1))
    assert len(server.seen) == 1
    assert "secret" not in str(ended.value)


async def test_a_used_up_quota_is_not_waited_for(ledger: Ledger) -> None:
    reply = Reply(429, "You exceeded your quota", code="insufficient_quota")
    with Loopback(lambda number, prompt: reply) as server:
        async with calling(server, ledger) as caller:
            with pytest.raises(ModelError, match="quota"):
                await caller.ask(ask_about(1))
    assert len(server.seen) == 1


async def test_one_refused_question_is_counted_and_the_run_goes_on(ledger: Ledger) -> None:
    bad = Reply(400, "this text is too long")
    with Loopback(lambda number, prompt: bad if "question 3" in prompt else Reply()) as server:
        async with calling(server, ledger) as caller:
            whys = await one_by_one(caller, 5)
    assert whys == [None, None, None, "refused", None]


async def test_ten_refused_first_questions_are_a_wrong_request(ledger: Ledger) -> None:
    bad = Reply(400, "Unsupported parameter: 'temperature'" + "!" * 1000)
    with Loopback(lambda number, prompt: bad) as server:
        async with calling(server, ledger) as caller:
            with pytest.raises(ModelError, match="Unsupported parameter: 'temperature'") as ended:
                await one_by_one(caller, 11)
    assert len(server.seen) == 10
    assert len(str(ended.value)) < 500


def in_seconds(seconds: float) -> str:
    return str(seconds)


def as_date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds + 1), usegmt=True)


@pytest.mark.parametrize("header", [in_seconds, as_date])
async def test_retry_after_stops_everybody_once(
    ledger: Ledger, header: Callable[[float], str]
) -> None:
    def script(number: int, prompt: str) -> Reply:
        if number < 8:
            return Reply(429, "slow down", {"retry-after": header(0.6)}, seconds=0.02)
        return Reply()

    with Loopback(script) as server:
        async with calling(server, ledger, Limits(concurrency=8)) as caller:
            answered = await asyncio.gather(*(caller.ask(ask_about(n)) for n in range(24)))
    assert all(one.value is not None for one in answered)
    assert (len(server.seen), caller.counts.total.rate_limited) == (32, 8)
    told, after = server.seen[7].at, server.seen[8].at
    assert after - told >= 0.5
    # Once the pause is over nothing holds anybody up again.
    assert server.seen[-1].at - after < 0.5


async def test_being_told_to_come_back_is_not_a_try(ledger: Ledger) -> None:
    now = FakeTime()
    answers = [status(429, **{"retry-after": "7"})] * 20
    caller = instant(scripted(*answers, ANSWER), ledger, now, tries=2)
    assert (await caller.ask(ask_about(1))).value is not None
    assert now.at == pytest.approx(1000 + 20 * 7)


async def test_a_rate_limit_without_a_time_is_backed_off_from(ledger: Ledger) -> None:
    now = FakeTime()
    caller = instant(scripted(status(429), status(429), ANSWER), ledger, now)
    assert (await caller.ask(ask_about(1))).value is not None
    assert len(now.slept) == 2
    assert caller.counts.total.rate_limited == 2


async def test_to_come_back_tomorrow_is_not_waited_for(ledger: Ledger) -> None:
    now = FakeTime()
    caller = instant(scripted(status(429, **{"retry-after": "86400"})), ledger, now)
    with pytest.raises(ModelError, match="86400 s"):
        await caller.ask(ask_about(1))
    assert now.slept == []


async def test_the_time_of_the_run_cuts_waits_short(ledger: Ledger) -> None:
    now = FakeTime()
    model = scripted(status(429, **{"retry-after": "100"}))
    caller = instant(model, ledger, now, total_seconds=10)
    with pytest.raises(BudgetSpent, match="total_seconds"):
        await caller.ask(ask_about(1))
    assert now.at == 1010


async def test_an_unknown_failure_is_tried_three_times_and_named(ledger: Ledger) -> None:
    model = scripted(LookupError("the prompt was: question 1, the key sk-secret-123456"))
    caller = instant(model, ledger, FakeTime())
    with pytest.raises(ModelError, match="LookupError") as ended:
        await caller.ask(ask_about(1))
    assert model.calls == 3
    assert "question 1" not in str(ended.value)
    assert "secret" not in str(ended.value)


async def test_a_ledger_that_cannot_be_written_is_no_failure_of_the_model(
    ledger: Ledger, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("ALTER TABLE model_calls RENAME TO lost")
    model = scripted(ANSWER)
    with pytest.raises(StoreError):
        await Caller(model, ledger, Limits()).ask(ask_about(1))


async def test_a_call_that_hangs_is_given_up_and_made_again(ledger: Ledger) -> None:
    def script(number: int, prompt: str) -> Reply:
        return Reply(seconds=5.0 if number == 0 else 0.0)

    with Loopback(script) as server:
        async with calling(server, ledger, Limits(call_seconds=0.3)) as caller:
            assert (await caller.ask(ask_about(1))).value is not None
    assert len(server.seen) == 2


async def test_waiting_for_a_place_is_no_time_of_the_call(ledger: Ledger) -> None:
    with Loopback(lambda number, prompt: Reply(seconds=0.2)) as server:
        async with calling(server, ledger, Limits(concurrency=1, call_seconds=0.5)) as caller:
            answered = await asyncio.gather(*(caller.ask(ask_about(n)) for n in range(5)))
    assert all(one.value is not None for one in answered)
    assert (len(server.seen), caller.counts.total.retried) == (5, 0)


async def test_nobody_listens(ledger: Ledger) -> None:
    with Loopback() as server:
        model = server.recipe().open()
    caller = Caller(model, ledger, Limits(concurrency=16))
    began = time.monotonic()
    came = await asyncio.gather(
        *(caller.ask(ask_about(n)) for n in range(16)), return_exceptions=True
    )
    assert time.monotonic() - began < 30
    await close_chat_model(model)
    assert all(isinstance(one, ModelError) for one in came)
    said = "does not answer.*ConnectionRefusedError.*OPENAI_BASE_URL"
    assert re.search(said, str(came[0]))


async def test_a_place_is_given_back_when_the_answer_is_stored(ledger: Ledger) -> None:
    unstored: list[int] = []

    def script(number: int, prompt: str) -> Reply:
        unstored.append(number + 1 - ledger.count_calls())
        return Reply(seconds=0.01)

    with Loopback(script) as server:
        async with calling(server, ledger, Limits(concurrency=5)) as caller:
            await asyncio.gather(*(caller.ask(ask_about(n)) for n in range(60)))
    assert max(unstored) == 5


async def test_a_limit_on_calls_is_never_passed(ledger: Ledger) -> None:
    with Loopback(lambda number, prompt: Reply(seconds=0.01)) as server:
        async with calling(server, ledger, Limits(concurrency=8, max_calls=20)) as caller:
            came = await asyncio.gather(
                *(caller.ask(ask_about(n)) for n in range(50)), return_exceptions=True
            )
    assert len(server.seen) == 20 == ledger.count_calls()
    assert sum(isinstance(one, BudgetSpent) for one in came) == 30


async def test_a_limit_on_cost_holds_whatever_is_in_flight(ledger: Ledger) -> None:
    limits = Limits(concurrency=8, max_cost=2000)
    with Loopback(lambda number, prompt: Reply(seconds=0.01)) as server:
        async with calling(server, ledger, limits, price=DOLLAR_A_TOKEN) as caller:
            came = await asyncio.gather(
                *(caller.ask(ask_about(n)) for n in range(50)), return_exceptions=True
            )
    cost = caller.counts.total.cost
    assert cost is not None
    assert 0 < cost <= 2000
    assert any(isinstance(one, BudgetSpent) for one in came)


def test_a_limit_on_cost_needs_a_price(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="--price"):
        Caller(scripted(ANSWER), ledger, Limits(max_cost=1.0))


async def test_a_fifth_of_bad_luck_leaves_nothing_undone(ledger: Ledger) -> None:
    luck = Random(8)

    def script(messages: list[BaseMessage]) -> str | Exception:
        drawn = luck.random()
        if drawn < 0.2:
            bad = (status(429), status(429, **{"retry-after": "1"}), status(500), "not JSON")
            return luck.choice(bad)
        return ANSWER

    caller = instant(ScriptedChatModel(script=script), ledger, FakeTime(), concurrency=64)
    await caller.ask(ask_about(0))
    answered = [
        one
        for start in range(0, 1000, 100)
        for one in await asyncio.gather(*(caller.ask(ask_about(start + n)) for n in range(100)))
    ]
    total = caller.counts.total
    assert total.failed == 0
    assert total.malformed == sum(one.value is None for one in answered) < 10
    assert total.rate_limited > 50
    assert total.calls == 1000 + total.retried + total.repaired + total.malformed
    assert total.cached == 1
