from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from gpa_agent.calls.asyncio_engine import AsyncioEngine
from gpa_agent.calls.budget import BudgetSpent
from gpa_agent.calls.daft_engine import CALLS_A_BLOCK, DaftEngine
from gpa_agent.calls.daft_workers import needed
from gpa_agent.calls.engine import Answered, Engine, Flow
from gpa_agent.calls.limits import Limits
from gpa_agent.errors import GPAError, MissingDependency, ModelError, StoreError, UsageError
from gpa_agent.ledger import Ledger
from gpa_agent.prompts import IntentAnswer
from gpa_agent.prompts.asking import Ask
from gpa_agent.testing.chat_models import ScriptedChatModel
from tests.calls.loopback import ANSWER, Loopback, Reply, ask_about

pytestmark = pytest.mark.skipif(find_spec("daft") is None, reason="needs the extra 'scale'")

Making = Callable[[Loopback, Ledger, Limits], Engine]

RUN = """
import json, sys
from gpa_agent.calls.daft_engine import DaftEngine
from gpa_agent.calls.limits import Limits
from gpa_agent.errors import GPAError
from gpa_agent.ledger import Ledger
from gpa_agent.models import ChatModelRecipe
from gpa_agent.prompts import intent_ask

where, url, runner, count, limits = sys.argv[1:]
recipe = ChatModelRecipe(model="openai:sim", parameters={"base_url": url, "api_key": "any"})
choices = {"debugging": "", "explanation": ""}
asks = [
    intent_ask(f"question {n}", choices, subject=f"conversation:{n}") for n in range(int(count))
]
told, error = [], None
with (
    Ledger.open(where, people_key=b"k" * 32) as ledger,
    DaftEngine(recipe, ledger, Limits(**json.loads(limits)), runner=runner) as engine,
):
    try:
        for answered in engine.map(asks):
            value = answered.value and answered.value.model_dump()
            told.append([answered.ask.subject, value, answered.why])
    except GPAError as failed:
        error = {"kind": type(failed).__name__, "says": str(failed), **vars(failed)}
print(json.dumps({"told": sorted(told), "error": error, "counts": engine.counts.model_dump()}))
"""


@pytest.fixture
def open_ledger(tmp_path: Path) -> Iterator[Callable[[str], Ledger]]:
    opened: list[Ledger] = []

    def open_(name: str) -> Ledger:
        opened.append(Ledger.open(tmp_path / f"{name}.db", people_key=b"k" * 32))
        return opened[-1]

    yield open_
    for ledger in opened:
        ledger.close()


def on_asyncio(server: Loopback, ledger: Ledger, limits: Limits) -> AsyncioEngine:
    return AsyncioEngine(server.recipe(), ledger, limits)


def on_daft(server: Loopback, ledger: Ledger, limits: Limits) -> DaftEngine:
    return DaftEngine(server.recipe(), ledger, limits)


BOTH: list[Making] = [on_asyncio, on_daft]


def by_question(number: int, prompt: str) -> Reply:
    """What a server answers that goes by the question alone; some it refuses, some it garbles."""
    del number
    which = sum(prompt.encode())
    text = json.dumps(
        {"intent": ["debugging", "explanation"][which % 2], "confidence": which % 100}
    )
    if which % 13 == 0:
        return Reply(finish="content_filter")
    if which % 11 == 0:
        return Reply(finish="length")
    return Reply(text="no" if which % 7 == 0 or "cut off" in prompt else text)


def asks(count: int) -> Iterator[Ask]:
    return (ask_about(number) for number in range(count))


def in_order(answers: Iterator[Answered]) -> list[Answered]:
    return sorted(answers, key=lambda answered: answered.ask)


def start(where: Path, server: Loopback, runner: str, count: int, **limits: Any) -> Any:
    told = [str(where), server.url, runner, str(count), json.dumps(limits)]
    run = [sys.executable, "-W", "error", "-c", RUN, *told]
    return subprocess.Popen(run, stdout=subprocess.PIPE, text=True, start_new_session=True)


def run(where: Path, server: Loopback, runner: str, count: int, **limits: Any) -> Any:
    process = start(where, server, runner, count, **limits)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return json.loads(said)


def as_told(answers: list[Answered]) -> list[list[Any]]:
    rows = [[a.ask.subject, a.value.model_dump() if a.value else None, a.why] for a in answers]
    return sorted(rows, key=lambda row: str(row[0]))


def test_the_same_answers_row_for_row(open_ledger: Callable[[str], Ledger]) -> None:
    limits = Limits(concurrency=2)
    with Loopback(by_question) as server:
        with on_asyncio(server, open_ledger("asyncio"), limits) as oracle:
            expected = in_order(oracle.map(asks(150)))
        calls = Counter(seen.prompt for seen in server.seen)
        server.seen.clear()
        with on_daft(server, open_ledger("daft"), limits) as engine:
            answers = in_order(engine.map(asks(150)))
            again = in_order(engine.map(asks(150)))
        assert Counter(seen.prompt for seen in server.seen) == calls  # the second time is free
    assert {answered.why for answered in expected} == {None, "refused", "malformed"}
    assert oracle.counts.total.repaired
    assert answers == expected == again
    assert engine.counts.total.calls == oracle.counts.total.calls
    assert engine.counts.total.cached == sum(calls.values())


def two_rounds(number: int) -> Flow[list[str]]:
    first = yield [ask_about(2 * number), ask_about(2 * number + 1)]
    sums = [one.value.confidence for one in first if isinstance(one.value, IntentAnswer)]
    second = yield [ask_about(1000 + sum(sums))]
    return [str(one) for one in (*first, *second)]


def test_flows_come_to_the_same_ends(open_ledger: Callable[[str], Ledger]) -> None:
    ends: list[list[list[str]]] = []
    with Loopback(by_question) as server:
        for make in BOTH:
            with make(server, open_ledger(make.__name__), Limits(concurrency=4)) as engine:
                ends.append(engine.drive([two_rounds(number) for number in range(20)]))
    assert len(ends[0]) == 20
    assert ends[0] == ends[1]


def test_a_barred_key_says_the_same(open_ledger: Callable[[str], Ledger]) -> None:
    errors: list[GPAError] = []
    with Loopback(lambda number, prompt: Reply(status=401, text="no")) as server:
        for make in BOTH:
            with (
                make(server, open_ledger(make.__name__), Limits()) as engine,
                pytest.raises(ModelError) as raised,
            ):
                list(engine.map(asks(50)))
            errors.append(raised.value)
    assert type(errors[0]) is type(errors[1]) is ModelError
    assert str(errors[0]) == str(errors[1])
    assert errors[1].exit_code == 4


def test_the_limits_are_exact_in_one_process(open_ledger: Callable[[str], Ledger]) -> None:
    limits = Limits(concurrency=2, max_calls=150)
    answers: list[Answered] = []
    with Loopback() as server:
        with (
            on_daft(server, open_ledger("daft"), limits) as engine,
            pytest.raises(BudgetSpent) as raised,
        ):
            answers.extend(engine.map(asks(400)))
        assert len(server.seen) == 150
    assert raised.value.limit == "max_calls"
    assert raised.value.calls == 150
    # The first block, 64 x 2 = 128 questions, is handed over, and what the second got.
    assert len(answers) == 150


def test_a_ledger_that_fails_is_said(open_ledger: Callable[[str], Ledger], tmp_path: Path) -> None:
    ledger = open_ledger("daft")
    with sqlite3.connect(tmp_path / "daft.db") as connection:
        connection.execute("DROP TABLE model_calls")
    connection.close()
    with (
        Loopback() as server,
        on_daft(server, ledger, Limits()) as engine,
        pytest.raises(StoreError, match="model_calls"),
    ):
        list(engine.map(asks(5)))


def test_questions_are_drawn_a_block_at_a_time(open_ledger: Callable[[str], Ledger]) -> None:
    drawn: list[Ask] = []

    def drawing() -> Iterator[Ask]:
        for ask in asks(200):
            drawn.append(ask)
            yield ask

    model = ScriptedChatModel(script=[ANSWER] * 200)
    with DaftEngine(model, open_ledger("daft"), Limits(concurrency=2)) as engine:
        answers = engine.map(drawing())
        assert isinstance(next(answers).value, IntentAnswer)
        assert len(drawn) == CALLS_A_BLOCK * 2
        assert len(list(answers)) == 199


def test_an_open_model_does_not_travel(open_ledger: Callable[[str], Ledger]) -> None:
    model = ScriptedChatModel(script=[])
    with pytest.raises(UsageError, match="give it by name"):
        DaftEngine(model, open_ledger("daft"), Limits(), runner="daft-ray")


@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
def test_a_file_is_not_written_from_other_machines(
    open_ledger: Callable[[str], Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://192.0.2.77:10001")
    with Loopback() as server:
        engine = DaftEngine(server.recipe(), open_ledger("daft"), Limits(), runner="daft-ray")
        with pytest.raises(UsageError, match=r"192\.0\.2\.77.*PostgreSQL"):
            engine.__enter__()


def test_what_is_missing_is_named() -> None:
    with pytest.raises(MissingDependency, match=r"'no-such-engine'.*gpa-agent\[scale\]"):
        needed("no-such-engine", at_least=(1, 0))
    with pytest.raises(MissingDependency, match=r"'daft>=99\.0'"):
        needed("daft", at_least=(99, 0))


def test_an_engine_is_entered_first(open_ledger: Callable[[str], Ledger]) -> None:
    engine = DaftEngine(ScriptedChatModel(script=[]), open_ledger("daft"), Limits())
    with pytest.raises(UsageError, match="entered first"):
        next(engine.map(asks(1)))


def killed_at(half: int, process: Any, server: Loopback) -> None:
    while len(server.seen) < half:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()


@pytest.mark.slow
def test_a_killed_run_repeats_what_was_in_flight(tmp_path: Path) -> None:
    slow = lambda number, prompt: by_question(number, prompt)._replace(seconds=0.05)  # noqa: E731
    with Loopback(slow) as server:
        whole = run(tmp_path / "whole.db", server, "daft", 400, concurrency=32)
        once = Counter(seen.prompt for seen in server.seen)
        server.seen.clear()
        process = start(tmp_path / "killed.db", server, "daft", 400, concurrency=32)
        killed_at(200, process, server)
        process.stdout.close()
        resumed = run(tmp_path / "killed.db", server, "daft", 400, concurrency=32)
        repeats = Counter(seen.prompt for seen in server.seen) - once
    assert resumed["told"] == whole["told"]
    assert len(whole["told"]) == 400
    assert 0 < repeats.total() <= Limits(concurrency=32).unstored


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
def test_ray_gives_the_same_answers(open_ledger: Callable[[str], Ledger], tmp_path: Path) -> None:
    with Loopback(by_question) as server:
        with on_asyncio(server, open_ledger("asyncio"), Limits(concurrency=8)) as oracle:
            expected = as_told(list(oracle.map(asks(600))))
        server.seen.clear()
        told = run(tmp_path / "ray.db", server, "daft-ray", 600, concurrency=8, max_calls=400)
        assert told["error"]["kind"] == "BudgetSpent"
        assert (told["error"]["limit"], told["error"]["calls"]) == ("max_calls", 400)
        assert told["counts"]["calls"] == len(server.seen) == 400
        told = run(tmp_path / "ray.db", server, "daft-ray", 600, concurrency=8)
    assert told["told"] == expected
    assert told["counts"]["calls"] + 400 == oracle.counts.total.calls


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
def test_after_a_kill_rays_workers_go_on_and_nothing_is_lost(tmp_path: Path) -> None:
    slow = lambda number, prompt: by_question(number, prompt)._replace(seconds=0.2)  # noqa: E731
    with Loopback(slow) as server:
        process = start(tmp_path / "killed.db", server, "daft-ray", 800, concurrency=16)
        killed_at(200, process, server)
        process.stdout.close()
        until = time.monotonic() + 20
        while time.monotonic() - 1 < server.seen[-1].at and time.monotonic() < until:
            time.sleep(0.1)
        more = len(server.seen) - 200
        os.killpg(process.pid, signal.SIGKILL)
        resumed = run(tmp_path / "killed.db", server, "daft-ray", 800, concurrency=16)
        asked = Counter(seen.prompt for seen in server.seen)
        with Ledger.open(tmp_path / "killed.db", people_key=b"k" * 32) as ledger:
            kept = ledger.count_calls()
    assert len(resumed["told"]) == 800
    assert asked.total() - kept <= Limits(concurrency=16).unstored
    print("calls after the kill:", more, "repeats:", asked.total() - kept)
