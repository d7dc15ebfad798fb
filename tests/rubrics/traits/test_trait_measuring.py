"""Many answers: order, laziness, the same figures on any number of workers, workers that die."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gpa_agent.errors import UsageError
from gpa_agent.rubrics.traits import catalogue, measure, measure_many, measuring

if TYPE_CHECKING:
    from collections.abc import Iterator

ITEMS = [(f"Question {i}?", f"- It might be {i}.\n" * (i % 7) + "\ud800 done") for i in range(1234)]


def test_in_process_order() -> None:
    values = list(measure_many(ITEMS[:20]))
    assert all(np.array_equal(v, measure(*i)) for v, i in zip(values, ITEMS[:20], strict=True))


def test_nothing() -> None:
    assert list(measure_many([])) == []
    assert list(measure_many([], workers=2)) == []


def test_lazy_in_process() -> None:
    assert np.isfinite(next(iter(measure_many(_endless(), workers=1)))).all()


def test_workers_give_the_same_figures_in_the_same_order() -> None:
    alone = np.stack(list(measure_many(ITEMS, workers=1)))
    together = np.stack(list(measure_many(ITEMS, workers=2)))
    assert together.dtype == np.float32
    assert np.array_equal(alone, together)


def test_workers_read_a_bounded_number_ahead() -> None:
    taken = 0

    def items() -> Iterator[tuple[str, str]]:
        nonlocal taken
        for item in _endless():
            taken += 1
            yield item

    stream = measure_many(items(), workers=2)
    next(stream)
    # 2 workers x 2 batches of 500 and one in hand.
    assert taken <= 5 * 500
    stream.close()  # type: ignore[attr-defined]  # a generator, typed as the iterator it is used as


def test_workers_are_chosen_from_a_size_on(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    start = measuring._start

    def start_and_count() -> object:
        started.append(1)
        return start()

    monkeypatch.setattr(measuring, "_start", start_and_count)
    monkeypatch.setattr(measuring, "_cores", lambda: 2)
    monkeypatch.setattr(measuring, "PAYS_FROM", 600)
    assert len(list(measure_many(ITEMS[:599]))) == 599
    assert not started
    values = np.stack(list(measure_many(ITEMS[:700])))
    assert len(started) == 2
    assert np.array_equal(values[699], measure(*ITEMS[699]))


@pytest.mark.parametrize("program", ["raise SystemExit(1)", "print('x', end='')"])
def test_a_worker_that_dies_costs_no_answer(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_WORKER", program)
    values = np.stack(list(measure_many(ITEMS, workers=2)))
    assert np.array_equal(values, np.stack([measure(*item) for item in ITEMS]))


def test_without_an_interpreter_it_measures_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for executable in ("", "/nonexistent/python"):
        monkeypatch.setattr(sys, "executable", executable)
        assert len(list(measure_many(ITEMS[:3], workers=2))) == 3


def test_workers_must_be_positive() -> None:
    with pytest.raises(UsageError, match="workers must be at least 1 or None, not 0"):
        measure_many([], workers=0)


def test_width() -> None:
    assert measure("", "x").shape == (len(catalogue()),)


def _endless() -> Iterator[tuple[str, str]]:
    while True:
        yield "Why?", "Because it is so."
