from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.calls.breaker import Breaker
from gpa_agent.calls.failures import classify, seconds_of
from gpa_agent.calls.limits import Limits
from gpa_agent.calls.pacing import Bucket, Pace
from gpa_agent.errors import UsageError
from tests.calls.clocks import START, FakeTime


@pytest.mark.parametrize("name", ["concurrency", "max_calls", "max_cost", "total_seconds", "tries"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_a_limit_is_a_positive_number(name: str, value: float) -> None:
    if value == 0 and name in {"max_calls", "max_cost"}:
        assert getattr(Limits(**{name: 0}), name) == 0  # used up: nobody is called
        return
    limits: dict[str, Any] = {name: value}
    with pytest.raises(UsageError, match=name):
        Limits(**limits)


def test_a_bucket_spreads_what_it_holds_over_the_minute() -> None:
    bucket = Bucket(60, FakeTime().clock.monotonic)
    # One a second: the first is there, the others wait for their second.
    assert [bucket.take(1) for _ in range(4)] == [0, 1, 2, 3]


def test_what_was_taken_too_much_is_put_back() -> None:
    bucket = Bucket(60, FakeTime().clock.monotonic)
    # 1 - 10 = -9, + 6 = -3, - 1 = -4 seconds at one a second.
    assert bucket.take(10) == 9
    bucket.give(6)
    assert bucket.take(1) == 4


@given(st.lists(st.floats(0, 20), min_size=1, max_size=300), st.integers(1, 600))
def test_no_minute_sees_more_than_its_requests_and_one_second_more(
    gaps: list[float], per_minute: int
) -> None:
    time = FakeTime()
    bucket = Bucket(per_minute, time.clock.monotonic)
    starts: list[float] = []
    for gap in gaps:
        time.at += gap
        starts.append(time.at + bucket.take(1))
    most = per_minute + max(1.0, per_minute / 60)
    for first in starts:
        assert sum(first <= start < first + 60 - 1e-6 for start in starts) <= most + 1


async def test_tokens_are_paced_by_estimate_and_put_right_by_use() -> None:
    time = FakeTime()
    pace = Pace(Limits(tokens_per_minute=600), time.clock)
    await pace.turn(110, until=math.inf)
    # 10 a second and 10 there: 100 too many are ten seconds.
    assert time.slept == [10]
    pace.settle(estimated=110, used=60)
    await pace.turn(40, until=math.inf)
    # 50 given back, at most 10 kept: 30 too many.
    assert time.slept == [10, 3]


async def test_a_pause_is_one_pause_for_everybody() -> None:
    time = FakeTime()
    pace = Pace(Limits(), time.clock)
    for _ in range(64):
        pace.pause(7)
    await asyncio.gather(*(pace.turn(1, until=math.inf) for _ in range(64)))
    assert time.at == 1007


async def test_no_pause_outlasts_the_time_of_the_run() -> None:
    time = FakeTime()
    pace = Pace(Limits(), time.clock)
    pace.pause(3600)
    await pace.turn(1, until=1005)
    assert time.at == 1005


def test_a_provider_that_never_answered_is_down_after_ten_failures_in_some_seconds() -> None:
    time = FakeTime()
    breaker = Breaker(64, time.clock.monotonic)
    assert not any(breaker.failed() for _ in range(50))
    time.at += 3
    assert breaker.failed()


def test_a_provider_that_answered_gets_more_patience_and_a_fresh_row() -> None:
    time = FakeTime()
    breaker = Breaker(64, time.clock.monotonic)
    for _ in range(100):
        breaker.failed()
    breaker.answered()
    breaker.failed()
    time.at += 15
    # Twice 64 in a row, and this is the 127th.
    assert not any(breaker.failed() for _ in range(126))
    assert breaker.failed()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3),
        ("0.25", 0.25),
        ("-5", 0),
        ("Thu, 01 Jan 2026 00:00:20 GMT", 20),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert seconds_of(header, START) == seconds


class StatusError(Exception):
    def __init__(self, status: int, code: str | None = None) -> None:
        super().__init__("said")
        self.status_code = status
        self.code = code


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "refused"),
        (401, "barred"),
        (402, "barred"),
        (403, "barred"),
        (404, "barred"),
        (408, "passing"),
        (413, "refused"),
        (422, "refused"),
        (429, "limited"),
        (500, "passing"),
        (503, "passing"),
        (529, "passing"),
    ],
)
def test_a_status_says_what_will_come_of_it(status: int, kind: str) -> None:
    assert classify(StatusError(status), START).kind == kind


def test_a_quota_that_is_used_up_is_no_rate_limit() -> None:
    assert classify(StatusError(429, "insufficient_quota"), START).kind == "barred"


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), BrokenPipeError()])
def test_what_the_network_does_passes(error: Exception) -> None:
    assert classify(error, START).kind == "passing"


def test_a_wrapped_error_is_told_by_its_cause() -> None:
    wrapped = RuntimeError("wrapped")
    wrapped.__cause__ = StatusError(503)
    assert classify(wrapped, START).kind == "passing"
    assert classify(RuntimeError("bare"), START).kind == "unknown"


def test_what_the_provider_said_is_short_printable_and_without_keys() -> None:
    error = StatusError(400)
    error.args = ("bad\x1b[31m\nkey sk-abc123DEF456 " + "x" * 1000,)
    said = classify(error, START).said
    assert said.isprintable()
    assert len(said) == 300
    assert "abc123DEF456" not in said


def test_the_header_is_found_where_clients_keep_it() -> None:
    error = StatusError(429)
    error.__dict__["response"] = SimpleNamespace(headers={"retry-after": "2"})
    assert classify(error, START).wait == 2
