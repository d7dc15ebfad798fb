"""Measure many answers, in order, on several cores where that pays.

Workers are fresh interpreters that are spoken to over pipes: a batch of texts goes in as one
line of JSON, float32 measurements come out. They import this package only; unlike with
`multiprocessing`, the host's main module is not run again in them and nothing is pickled. A worker
that cannot be started or dies costs speed and nothing else: its batch is measured here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpa_agent.errors import UsageError
from gpa_agent.rubrics.traits.catalogue import catalogue, measure

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

Item = tuple[str, str]
Vector = NDArray[np.float32]
_Worker = subprocess.Popen[bytes]

PAYS_FROM = 10_000
"""Answers from which workers are started: below, starting one takes longer than it saves."""

_BATCH = 500
_WORKER = "from gpa_agent.rubrics.traits.measuring import work; work()"


def measure_many(items: Iterable[Item], *, workers: int | None = None) -> Iterator[Vector]:
    """Measure (prompt, answer) pairs.

    Args:
        items: Read lazily; with workers, at most two batches of 500 per worker ahead.
        workers: Processes; 1 measures in this process, None takes one per core once there are
            ``PAYS_FROM`` answers.

    Yields:
        (T,) measurements in catalogue order, one per item, in the items' order; the same
        numbers whatever the workers.

    Raises:
        UsageError: Fewer than one worker.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"workers must be at least 1 or None, not {workers!r}")
    return _measure_many(iter(items), workers)


def _measure_many(items: Iterator[Item], workers: int | None) -> Generator[Vector, None, None]:
    if workers is None:
        # One look ahead decides: the first answers are few enough to be held.
        first = list(islice(items, PAYS_FROM))
        workers = _cores() if len(first) == PAYS_FROM else 1
        items = chain(first, items)
    if workers == 1:
        for prompt, answer in items:
            yield measure(prompt, answer)
    else:
        yield from _on_workers(items, workers)


def _on_workers(items: Iterator[Item], workers: int) -> Generator[Vector, None, None]:
    idle: SimpleQueue[_Worker] = SimpleQueue()
    started = [_start() for _ in range(workers)]
    for process in started:
        if process is not None:
            idle.put(process)
    pool = ThreadPoolExecutor(max(1, idle.qsize()))
    waiting: deque[Future[Vector]] = deque()
    try:
        for batch in iter(lambda: list(islice(items, _BATCH)), []):
            waiting.append(pool.submit(_measure_batch, idle, batch))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        pool.shutdown()
        for process in started:
            if process is not None:
                _stop(process)


def _cores() -> int:
    # A container's share, where the system can tell.
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start() -> _Worker | None:
    # A frozen program's executable is the program itself, not an interpreter.
    if not sys.executable or getattr(sys, "frozen", False):
        return None
    # The worker finds the package where this process found it, and nothing in the current folder.
    path = os.pathsep.join(p for p in sys.path if p)
    try:
        return subprocess.Popen(  # noqa: S603 -- our own interpreter, a constant program
            [sys.executable, "-P", "-c", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )
    except OSError:
        return None


def _stop(worker: _Worker) -> None:
    for pipe in (worker.stdin, worker.stdout):
        # Closing flushes, which fails where the worker is gone.
        with suppress(OSError):
            if pipe is not None:
                pipe.close()
    try:
        worker.wait(timeout=5)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def _measure_batch(idle: SimpleQueue[_Worker], batch: list[Item]) -> Vector:
    """Measure a batch on an idle worker, or here where it fails; (n, T)."""
    width = len(catalogue())
    wanted = 4 * width * len(batch)
    answered, process = b"", None
    with suppress(Empty):
        process = idle.get_nowait()
    if process is not None and process.stdin is not None and process.stdout is not None:
        with suppress(OSError, ValueError):
            process.stdin.write(json.dumps(batch).encode() + b"\n")
            process.stdin.flush()
            answered = process.stdout.read(wanted)
    if process is not None and len(answered) == wanted:
        idle.put(process)
        return np.frombuffer(answered, dtype="<f4").astype(np.float32).reshape(-1, width)
    return np.stack([measure(prompt, answer) for prompt, answer in batch])


def work() -> None:
    """What a worker does: read batches from stdin, write measurements to stdout, until it ends."""
    for line in sys.stdin.buffer:
        vectors = [measure(prompt, answer) for prompt, answer in json.loads(line)]
        sys.stdout.buffer.write(np.stack(vectors).astype("<f4").tobytes())
        sys.stdout.buffer.flush()
