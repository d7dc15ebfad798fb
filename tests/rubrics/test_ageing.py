from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from gpa_agent.rubrics.ageing import age_weights

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_half_a_weight_for_each_half_life() -> None:
    times = [NOON, NOON - timedelta(days=90), NOON - timedelta(days=180), None]
    assert age_weights(times, half_life_days=90).tolist() == [1.0, 0.5, 0.25, 1.0]


def test_rows_age_by_whole_days_in_utc() -> None:
    # 23:30 in Tokyo is 14:30 of the same day in UTC; one minute before midnight is a day ago.
    tokyo = datetime(2026, 3, 1, 23, 30, tzinfo=timezone(timedelta(hours=9)))
    midnight = NOON - timedelta(hours=12, minutes=1)
    assert age_weights([NOON, tokyo, midnight], half_life_days=1).tolist() == [1.0, 1.0, 0.5]


@pytest.mark.parametrize("times", [[], [None, None], [NOON, NOON - timedelta(days=9)]])
def test_nothing_ages_without_a_half_life_or_a_time(times: list[datetime | None]) -> None:
    half_life = 9.0 if None in times else None
    assert age_weights(times, half_life_days=half_life).tolist() == [1.0] * len(times)


def test_a_weight_is_never_nothing() -> None:
    ancient = NOON - timedelta(days=30_000)
    assert age_weights([NOON, ancient], half_life_days=1)[1] > 0
