from __future__ import annotations

import pickle  # noqa: TID251 -- how Daft sends a worker to where it works
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.calls.asyncio_engine import AsyncioEngine
from gpa_agent.calls.budget import BudgetSpent
from gpa_agent.calls.counts import Figures
from gpa_agent.calls.limits import Limits
from gpa_agent.calls.shares import NO_TIME, Elsewhere, Here, Report, divided, used_up
from gpa_agent.errors import GPAError, MissingDependency, StoreError
from gpa_agent.ledger import Ledger
from gpa_agent.models import ChatModelRecipe
from gpa_agent.testing.chat_models import ScriptedChatModel
from tests.calls.loopback import ANSWER, Loopback, ask_about


def test_shares_together_keep_the_runs_limits() -> None:
    limits = Limits(
        concurrency=64,
        requests_per_minute=600,
        tokens_per_minute=9000,
        max_calls=1001,
        max_cost=5.0,
        total_seconds=60,
    )
    share = divided(limits, 4, spent=Figures(calls=200, cost=1.0), seconds=10.0)
    # 64 / 4 places, 600 / 4 and 9000 / 4 a minute, 801 // 4 calls, (5 - 1) / 4 dollars, 60 - 10 s
    assert share == Limits(
        concurrency=16,
        requests_per_minute=150,
        tokens_per_minute=2250,
        max_calls=200,
        max_cost=1.0,
        total_seconds=50.0,
    )


@given(
    among=st.integers(1, 20),
    concurrency=st.integers(20, 100),
    most=st.integers(20, 500),
    spent=st.integers(0, 480),
)
def test_no_division_lets_more_in(among: int, concurrency: int, most: int, spent: int) -> None:
    limits = Limits(concurrency=concurrency, max_calls=most)
    share = divided(limits, among, spent=Figures(calls=min(spent, most - among)), seconds=0.0)
    assert share.concurrency * among <= concurrency
    assert share.max_calls is not None
    assert 1 <= share.max_calls * among <= most - min(spent, most - among)


@pytest.mark.parametrize(
    ("limit", "spent"),
    [
        (Limits(max_calls=5), Figures(calls=5)),
        (Limits(max_cost=1.0), Figures(calls=1, cost=1.0)),
        (Limits(max_cost=1.0), Figures(calls=1, cost=None)),
        (Limits(total_seconds=7.0), Figures()),
    ],
)
def test_a_limit_that_is_reached_lets_nobody_in(limit: Limits, spent: Figures) -> None:
    name = next(n for n in ("max_calls", "max_cost", "total_seconds") if getattr(limit, n))
    assert used_up(limit, spent=spent, seconds=7.0) == name
    assert divided(limit, 1, spent=spent, seconds=7.0) == replace(Limits(), total_seconds=NO_TIME)


@pytest.mark.parametrize(
    "error",
    [
        StoreError("the disk is full"),
        BudgetSpent("max_calls", calls=3, cost=0.5, seconds=1.0),
        MissingDependency("daft", extra="scale", purpose="ask"),
    ],
)
def test_an_error_arrives_as_it_was(error: GPAError) -> None:
    arrived = Report.read(Report({"intent": Figures(calls=3, cost=None)}, error).dump())
    assert arrived.figures == {"intent": Figures(calls=3, cost=None)}
    assert type(arrived.error) is type(error)
    assert str(arrived.error) == str(error)
    assert vars(arrived.error) == vars(error)


def test_a_worker_elsewhere_needs_nothing_from_here(tmp_path: Path) -> None:
    where = tmp_path / "ledger.db"
    asks = [ask_about(1), ask_about(2), ask_about(1)]
    with Loopback() as server, Ledger.open(where, people_key=b"k" * 32) as ledger:
        worker = Elsewhere(
            model=server.recipe(), ledger=f"sqlite:///{where}", limits=Limits(), price=None
        )
        said = pickle.loads(pickle.dumps(worker)).ask(asks)
        assert ledger.count_calls() == 2
    answers = [one.read(ask) for one, ask in zip(said, asks, strict=True)]
    assert [answer and answer.ask for answer in answers] == asks
    assert Report.read(said[0].report or "").error is None
    assert [one.report for one in said[1:]] == [None, None]


def test_what_stops_a_worker_at_its_door_is_reported(tmp_path: Path) -> None:
    worker = Elsewhere(
        model=ChatModelRecipe(model="openai:sim"),
        ledger=f"sqlite:///{tmp_path}/no/folder/ledger.db",
        limits=Limits(),
        price=None,
    )
    said = worker.ask([ask_about(1), ask_about(2)])
    assert isinstance(Report.read(said[0].report or "").error, StoreError)
    assert [one.read(ask_about(1)) for one in said] == [None, None]


def test_a_worker_here_is_found_again(tmp_path: Path) -> None:
    model = ScriptedChatModel(script=[ANSWER])
    with (
        Ledger.open(tmp_path / "ledger.db", people_key=b"k" * 32) as ledger,
        AsyncioEngine(model, ledger, Limits()) as engine,
    ):
        worker = Here(engine)
        assert pickle.loads(pickle.dumps(worker)) is worker
        assert worker.ask([ask_about(1)])[0].answer == ANSWER.replace(" ", "")


def test_a_password_is_not_shown() -> None:
    worker = Elsewhere(
        model=ChatModelRecipe(model="openai:sim"),
        ledger="postgresql+psycopg://gpa:hunter2@db/gpa",
        limits=Limits(),
        price=None,
    )
    assert "hunter2" not in repr(worker)
