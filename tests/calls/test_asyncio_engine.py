from __future__ import annotations

import asyncio
import gc
import itertools
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from langchain_core.messages import BaseMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from gpa_agent.calls.asyncio_engine import AsyncioEngine
from gpa_agent.calls.budget import BudgetSpent
from gpa_agent.calls.counts import CallCounts
from gpa_agent.calls.engine import Answered, Flow
from gpa_agent.calls.limits import Limits
from gpa_agent.errors import ModelError, UsageError
from gpa_agent.ledger import Ledger
from gpa_agent.models import ChatModelRecipe
from gpa_agent.prompts import IntentAnswer
from gpa_agent.prompts.asking import Ask
from gpa_agent.testing.chat_models import ScriptedChatModel
from tests.calls.loopback import ANSWER, Loopback, Reply, ask_about

LIMITS = Limits(concurrency=8)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", people_key=b"k" * 32) as opened:
        yield opened


def confidence(answered: Answered) -> int:
    assert isinstance(answered.value, IntentAnswer)
    return answered.value.confidence


def echoing(messages: list[BaseMessage]) -> str:
    """Answers a question about N with the confidence N % 100."""
    number = int(json.loads(messages[-1].text)["text"].split()[-1])
    return json.dumps({"intent": "debugging", "confidence": number % 100})


def asking(first: int, *more: int) -> Flow[list[int]]:
    """Asks about a number, then about two more for each one of `more`."""
    answers = yield [ask_about(first)]
    said = [confidence(one) for one in answers]
    for number in more:
        answers = yield [ask_about(number), ask_about(number + 1)]
        said += [confidence(one) for one in answers]
    return said


def test_every_question_is_answered_once(ledger: Ledger) -> None:
    with Loopback() as server, AsyncioEngine(server.recipe(), ledger, LIMITS) as engine:
        answered = list(engine.map(ask_about(n) for n in range(100)))
    assert sorted(one.ask.subject or "" for one in answered) == sorted(
        f"conversation:{n}" for n in range(100)
    )
    assert all(one.value is not None for one in answered)
    assert engine.counts.total.calls == len(server.seen) == 100


def test_questions_are_drawn_as_places_free_up(ledger: Ledger) -> None:
    drawn = 0

    def asks() -> Iterator[Ask]:
        nonlocal drawn
        for number in itertools.count():
            drawn += 1
            yield ask_about(number)

    with AsyncioEngine(ScriptedChatModel(script=[ANSWER]), ledger, LIMITS) as engine:
        for done, _ in enumerate(engine.map(asks()), start=1):
            assert drawn - done < 2 * LIMITS.concurrency
            if done == 200:
                break


def test_leaving_early_asks_nothing_more(ledger: Ledger) -> None:
    with Loopback(lambda number, prompt: Reply(seconds=0.05)) as server:
        with AsyncioEngine(server.recipe(), ledger, LIMITS) as engine:
            answers = engine.map(ask_about(n) for n in itertools.count())
            next(answers)
            answers.close()  # type: ignore[attr-defined]
            time.sleep(0.1)
            asked = len(server.seen)
            time.sleep(0.2)
            assert len(server.seen) == asked <= 3 * LIMITS.concurrency
        gc.collect()


def test_leaving_the_engine_with_questions_under_way_is_clean(ledger: Ledger) -> None:
    with Loopback(lambda number, prompt: Reply(seconds=0.05)) as server:
        with AsyncioEngine(server.recipe(), ledger, LIMITS) as engine:
            answers = engine.map(ask_about(n) for n in itertools.count())
            next(answers)
        with pytest.raises(UsageError, match="closed"):
            list(answers)
        del answers
        gc.collect()
    assert not [t for t in threading.enumerate() if t.name == "gpa-calls"]


def test_what_drawing_raises_is_raised(ledger: Ledger) -> None:
    def asks() -> Iterator[Ask]:
        yield ask_about(1)
        raise LookupError("no such page")

    with (
        AsyncioEngine(ScriptedChatModel(script=[ANSWER]), ledger, LIMITS) as engine,
        pytest.raises(LookupError, match="no such page"),
    ):
        list(engine.map(asks()))


def test_flows_run_side_by_side_in_their_own_order(ledger: Ledger) -> None:
    with AsyncioEngine(ScriptedChatModel(script=echoing), ledger, LIMITS) as engine:
        results = engine.drive([asking(1, 10, 20), asking(2), asking(3, 30)])
    assert results == [[1, 10, 11, 20, 21], [2], [3, 30, 31]]


def test_a_flow_may_ask_nothing(ledger: Ledger) -> None:
    def quiet() -> Flow[str]:
        assert (yield []) == []
        return "done"

    def silent() -> Generator[list[Ask], list[Answered], str]:
        return "done"
        yield []

    with AsyncioEngine(ScriptedChatModel(script=[ANSWER]), ledger, LIMITS) as engine:
        assert engine.drive([quiet(), silent()]) == ["done", "done"]
        assert engine.drive([]) == []


def test_what_a_flow_raises_is_raised_and_the_others_are_closed(ledger: Ledger) -> None:
    closed = []

    def failing() -> Flow[None]:
        yield [ask_about(1)]
        raise LookupError("lost")

    def endless() -> Flow[None]:
        try:
            for number in itertools.count():
                yield [ask_about(number)]
        finally:
            closed.append(True)

    with (
        AsyncioEngine(ScriptedChatModel(script=[ANSWER]), ledger, LIMITS) as engine,
        pytest.raises(LookupError, match="lost"),
    ):
        engine.drive([endless(), failing()])
    assert closed == [True]


async def test_it_works_inside_a_running_loop(ledger: Ledger) -> None:
    with AsyncioEngine(ScriptedChatModel(script=[ANSWER]), ledger, LIMITS) as engine:
        assert len(list(engine.map([ask_about(1)]))) == 1
    assert asyncio.get_running_loop().is_running()


def test_a_spent_budget_ends_after_what_was_in_flight_and_goes_on_next_time(ledger: Ledger) -> None:
    asks = [ask_about(n) for n in range(60)]
    with Loopback(lambda number, prompt: Reply(seconds=0.01)) as server:
        limits = Limits(concurrency=8, max_calls=25)
        came: list[Answered] = []
        for made in (25, 50):
            with AsyncioEngine(server.recipe(), ledger, limits) as engine:
                came.clear()
                with pytest.raises(BudgetSpent):
                    came.extend(engine.map(asks))
                assert ledger.count_calls() == len(server.seen) == made
        with AsyncioEngine(server.recipe(), ledger, limits) as engine:
            assert len(list(engine.map(asks))) == 60
    assert (engine.counts.total.cached, engine.counts.total.calls) == (50, 10)


def test_answers_that_were_in_flight_come_before_the_budget_is_spent(ledger: Ledger) -> None:
    limits = Limits(concurrency=8, max_calls=25)
    with (
        Loopback(lambda number, prompt: Reply(seconds=0.02)) as server,
        AsyncioEngine(server.recipe(), ledger, limits) as engine,
    ):
        answers = engine.map(ask_about(n) for n in range(60))
        assert all(next(answers).value is not None for _ in range(25))
        with pytest.raises(BudgetSpent):
            next(answers)


def test_a_closed_door_is_raised_where_it_was_asked(ledger: Ledger) -> None:
    with (
        Loopback(lambda number, prompt: Reply(401)) as server,
        AsyncioEngine(server.recipe(), ledger, LIMITS) as engine,
        pytest.raises(ModelError, match="OPENAI_API_KEY"),
    ):
        list(engine.map(ask_about(n) for n in range(100)))


def test_progress_is_told_in_the_thread_that_asks(ledger: Ledger) -> None:
    told: list[tuple[int, threading.Thread]] = []

    def progress(counts: CallCounts) -> None:
        told.append((counts.total.calls, threading.current_thread()))

    model = ScriptedChatModel(script=[ANSWER])
    with AsyncioEngine(model, ledger, LIMITS, progress=progress) as engine:
        list(engine.map(ask_about(n) for n in range(20)))
    assert len(told) == 20
    assert told[-1] == (20, threading.current_thread())


def test_an_engine_is_entered_first(ledger: Ledger) -> None:
    engine = AsyncioEngine(ScriptedChatModel(), ledger, LIMITS)
    with pytest.raises(UsageError, match="with"):
        next(engine.map([ask_about(1)]))


def test_what_opening_the_model_raises_is_raised(ledger: Ledger) -> None:
    engine = AsyncioEngine(ChatModelRecipe(model="openai:sim"), ledger, LIMITS)
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        engine.__enter__()


def test_a_limit_on_cost_needs_a_price_before_anything_is_opened(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="max_cost"):
        AsyncioEngine(ChatModelRecipe(model="openai:sim"), ledger, Limits(max_cost=1))


def test_one_model_serves_one_engine_after_the_other(ledger: Ledger) -> None:
    model = ScriptedChatModel(script=[ANSWER])
    for number in range(3):
        with AsyncioEngine(model, ledger, LIMITS) as engine:
            assert next(engine.map([ask_about(number)])).value is not None


def test_a_users_own_chat_model_is_used_and_stays_usable(ledger: Ledger) -> None:
    with Loopback() as server:
        model = ChatOpenAI(model="sim", base_url=server.url, api_key=SecretStr("any"))
        for start in (0, 20):
            with AsyncioEngine(model, ledger, LIMITS) as engine:
                answered = list(engine.map(ask_about(start + n) for n in range(20)))
            assert all(one.value is not None for one in answered)
            gc.collect()
        assert engine.counts.total.retried == 0
        assert asyncio.run(model.ainvoke("hello")).text == ANSWER


RUN = """
import sys
from pathlib import Path
from gpa_agent.calls.asyncio_engine import AsyncioEngine
from gpa_agent.calls.limits import Limits
from gpa_agent.ledger import Ledger
from gpa_agent.models import ChatModelRecipe
from tests.calls.loopback import ask_about

where, url = sys.argv[1:]
recipe = ChatModelRecipe(model="openai:sim", parameters={"base_url": url, "api_key": "any"})
with Ledger.open(Path(where), people_key=b"k" * 32) as ledger:
    with AsyncioEngine(recipe, ledger, Limits(concurrency=32)) as engine:
        answered = engine.map(ask_about(n) for n in range(400))
        print(*sorted(f"{one.ask.subject} {one.value}" for one in answered), sep="\\n")
"""


def start(where: Path, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(where), url],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def echo(number: int, prompt: str) -> Reply:
    said = int(json.loads(prompt)["text"].split()[-1]) % 100
    return Reply(text=json.dumps({"intent": "debugging", "confidence": said}), seconds=0.05)


@pytest.mark.slow
def test_a_killed_run_repeats_no_more_than_was_in_flight(ledger: Ledger, tmp_path: Path) -> None:
    with Loopback(echo) as server, AsyncioEngine(server.recipe(), ledger, LIMITS) as engine:
        answered = engine.map(ask_about(n) for n in range(400))
        whole = sorted(f"{one.ask.subject} {one.value}" for one in answered)
    with Loopback(echo) as server:
        killed = start(tmp_path / "killed.db", server.url)
        while len(server.seen) < 200:
            time.sleep(0.005)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        resumed, _ = start(tmp_path / "killed.db", server.url).communicate()
        times = Counter(seen.prompt for seen in server.seen)
    assert sum(n - 1 for n in times.values()) <= Limits(concurrency=32).unstored
    assert len(times) == 400
    assert resumed.splitlines() == whole
