"""One base, an adapter for each group, many askers at a time."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gpa_agent.alignment.serving.asking import DeadlinePassed, EngineBusy, EngineClosed, Request
from gpa_agent.alignment.serving.local import LocalEngine
from gpa_agent.errors import ModelError, UsageError
from tests.alignment.tiny_models import CONTEXT, WORDS, ask, at_every_step, engine, groups

__all__ = ["engine", "groups"]

Groups = tuple[Path, dict[str, Path]]
QUESTIONS = [f"{'please ' * (n % 4)}why {word}?" for n, word in enumerate(WORDS.split()[:20])]


@contextmanager
def held() -> Generator[threading.Event]:
    """Models compute nothing until the event is set; says by it when one wanted to."""
    go = threading.Event()
    with at_every_step(lambda: go.wait(20)):
        try:
            yield go
        finally:
            go.set()


def workers() -> int:
    """How many engines' threads there are."""
    return sum(thread.name == "gpa-local" for thread in threading.enumerate())


def until_taken(engine: LocalEngine) -> None:
    """Wait until nobody stands in line."""
    while engine._line._waiting:
        time.sleep(0.001)


def test_groups_and_the_base_answer_differently(engine: LocalEngine) -> None:
    texts = {engine.submit(ask("why?", group)).result().text for group in (None, *engine.adapters)}
    assert len(texts) == 4


def test_sixteen_threads_get_what_one_gets(engine: LocalEngine) -> None:
    asked = [ask(q, g) for q in QUESTIONS for g in engine.adapters]
    alone = [engine.submit(request).result() for request in asked]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda request: engine.submit(request).result(), asked))
    assert len(asked) == 60
    assert together == alone


def test_seeded_answers_do_not_depend_on_who_else_is_answered(engine: LocalEngine) -> None:
    asked = [
        ask(q, g, temperature=0.9, top_p=0.9, seed=number)
        for number, (q, g) in enumerate((q, g) for q in QUESTIONS for g in (None, "group 1"))
    ]
    alone = [engine.submit(request).result() for request in asked]
    handles = [engine.submit(request) for request in asked]
    assert [handle.result() for handle in handles] == alone
    assert len({answer.text for answer in alone}) > 30


def test_without_a_seed_answers_vary(engine: LocalEngine) -> None:
    said = {engine.submit(ask("why?", temperature=1.0)).result().text for _ in range(4)}
    assert len(said) > 1


def test_what_was_used_is_counted(engine: LocalEngine) -> None:
    answer = engine.submit(ask("why?", max_tokens=7)).result()
    rendered = "<|im_start|>user\nwhy?<|im_end|>\n<|im_start|>assistant\n"
    assert answer.prompt_tokens == len(engine.tokenize(rendered))
    assert answer.completion_tokens == 7
    assert answer.finish_reason == "length"


def test_each_row_has_its_own_limit(engine: LocalEngine) -> None:
    handles = [engine.submit(ask("why?", max_tokens=limit)) for limit in (3, 20, 9)]
    answers = [handle.result() for handle in handles]
    assert [answer.completion_tokens for answer in answers] == [3, 20, 9]
    assert answers[1].text.startswith(answers[0].text[:2])


def test_an_end_of_text_ends_an_answer(engine: LocalEngine) -> None:
    wild = [ask(q, temperature=50.0, seed=s, max_tokens=150) for s, q in enumerate(QUESTIONS)]
    answers = [handle.result() for handle in [engine.submit(request) for request in wild]]
    ended = [answer for answer in answers if answer.finish_reason == "stop"]
    assert ended  # one of some 330 tokens ends it: 1 - (329/330)^150 = .37 do
    assert all(answer.completion_tokens <= 150 for answer in ended)
    assert all("<|im_end|>" not in answer.text for answer in answers)


def test_an_answer_ends_before_a_stop_string(engine: LocalEngine) -> None:
    whole = engine.submit(ask("why?")).result().text
    stop = whole[6:9]
    answer = engine.submit(ask("why?", stop=["never said", stop])).result()
    assert answer.text == whole[: whole.index(stop)]
    assert answer.finish_reason == "stop"


def test_a_stream_is_the_answer_in_pieces(engine: LocalEngine) -> None:
    whole = engine.submit(ask("why?")).result()
    handle = engine.submit(ask("why?", stream=True))
    pieces = list(handle)
    assert len(pieces) > 5
    assert "".join(pieces) == whole.text
    assert handle.result() == whole


def test_the_first_piece_comes_before_the_last_is_made(engine: LocalEngine) -> None:
    steps = threading.Semaphore(3)
    with at_every_step(lambda: steps.acquire(timeout=20)):
        handle = engine.submit(ask("why?", stream=True))
        assert next(iter(handle))  # three tokens are made, the fourth waits for this
        for _ in range(40):
            steps.release()
        assert handle.result().completion_tokens == 24


def test_without_streaming_the_text_comes_in_one_piece(engine: LocalEngine) -> None:
    handle = engine.submit(ask("why?"))
    assert list(handle) == [handle.result().text]


def test_a_cancelled_answer_ends_at_once_with_what_there_is(engine: LocalEngine) -> None:
    steps = threading.Semaphore(5)
    with at_every_step(lambda: steps.acquire(timeout=20)):
        handle = engine.submit(ask("why?", stream=True, max_tokens=150))
        first = next(iter(handle))
        handle.cancel()
        answer = handle.result()  # while the model stands still
        steps.release(200)
    assert answer.finish_reason == "cancelled"
    assert answer.text.startswith(first)
    assert answer.completion_tokens <= 5


def test_a_cancelled_row_leaves_the_others_alone(engine: LocalEngine) -> None:
    alone = engine.submit(ask("why?", "group 1")).result()
    with held() as go:
        dropped, kept = engine.submit(ask("how?")), engine.submit(ask("why?", "group 1"))
        dropped.cancel()
        go.set()
        assert kept.result() == alone
    assert dropped.result().completion_tokens < 24


def test_a_cancelled_batch_stops(engine: LocalEngine) -> None:
    steps: list[None] = []

    def slow() -> None:
        steps.append(None)
        time.sleep(0.005)

    with at_every_step(slow):
        handle = engine.submit(ask("why?", stream=True, max_tokens=150))
        next(iter(handle))
        handle.cancel()
        engine.submit(ask("how?", max_tokens=1)).result()
    assert len(steps) < 100


def test_one_more_than_may_wait_is_refused(groups: Groups) -> None:
    with LocalEngine(groups[0], max_batch=1, max_waiting=2) as small, held():
        answered = small.submit(ask("why?"))
        until_taken(small)
        waiting = [small.submit(ask("why?")) for _ in range(2)]
        with pytest.raises(EngineBusy, match="2 requests wait") as refused:
            small.submit(ask("why?"))
        assert refused.value.waiting == 2
        waiting[0].cancel()  # gives its place away at once
        waiting[0] = small.submit(ask("why?"))
        for handle in (answered, *waiting):
            handle.cancel()


def test_a_deadline_ends_an_answer_that_is_waited_for(engine: LocalEngine) -> None:
    with held():
        running = engine.submit(ask("why?", seconds=0.05))
        with pytest.raises(DeadlinePassed, match=r"0\.05 s"):
            running.result()
        waiting = engine.submit(ask("why?", seconds=0.05))
        with pytest.raises(DeadlinePassed):
            waiting.result()


def test_a_deadline_ends_an_answer_that_nobody_waits_for(engine: LocalEngine) -> None:
    steps: list[None] = []

    def slow() -> None:
        steps.append(None)
        time.sleep(0.01)

    with at_every_step(slow):
        handle = engine.submit(ask("why?", seconds=0.1, max_tokens=150))
        engine.submit(ask("how?", max_tokens=1)).result()
        time.sleep(0.2)
        engine.submit(ask("how?", max_tokens=1)).result()
    assert len(steps) < 100
    with pytest.raises(DeadlinePassed):
        handle.result()


def test_a_crash_is_told_to_its_batch_only(
    engine: LocalEngine, caplog: pytest.LogCaptureFixture
) -> None:
    asked = [ask(q, g) for q in QUESTIONS[:4] for g in engine.adapters]
    alone = [engine.submit(request).result() for request in asked]
    steps: list[None] = []

    def crash() -> None:
        steps.append(None)
        if len(steps) == 5:
            raise MemoryError("no room")

    with at_every_step(crash):
        broken = [engine.submit(request) for request in asked]
        for handle in broken:
            with pytest.raises(ModelError, match="MemoryError"):
                handle.result()
    assert "broke off" in caplog.text
    assert [engine.submit(request).result() for request in asked] == alone


def test_a_long_prompt_and_a_long_answer_do_not_share_a_batch(groups: Groups) -> None:
    # Side by side they would take the model to places it was not made for.
    long, brief = ask("why? " * 30, max_tokens=8), ask("why?", max_tokens=160)
    with LocalEngine(groups[0]) as engine:
        alone = [engine.submit(request).result() for request in (long, brief)]
        assert alone[0].prompt_tokens + 160 > CONTEXT
        steps: list[None] = []
        with at_every_step(lambda: steps.append(None)), held() as go:
            handles = [engine.submit(request) for request in (long, brief)]
            go.set()
            assert [handle.result() for handle in handles] == alone
        assert len(steps) == 168


def test_a_conversation_that_leaves_no_room_is_refused(engine: LocalEngine) -> None:
    with pytest.raises(UsageError, match=f"context of {CONTEXT}.*shorten"):
        engine.submit(ask("why? " * CONTEXT))


def test_an_answer_gets_the_room_that_is_left(engine: LocalEngine) -> None:
    answer = engine.submit(ask("why?", max_tokens=10_000, stop=["\u00e9"])).result()
    assert answer.prompt_tokens + answer.completion_tokens <= CONTEXT


def test_a_conversation_that_the_template_refuses_is_the_askers_fault(
    groups: Groups, tmp_path: Path
) -> None:
    base = tmp_path / "strict"
    base.mkdir()
    for file in groups[0].iterdir():
        (base / file.name).write_bytes(file.read_bytes())
    (base / "chat_template.jinja").write_text("{{ raise_exception('no system message here') }}")
    with LocalEngine(base) as engine, pytest.raises(UsageError, match="no system message here"):
        engine.submit(ask("why?"))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"stop": "\n"}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"seconds": 0.0}, "seconds"),
        ({"seed": 2**64}, "seed"),
    ],
)
def test_a_wrong_request_names_what_is_wrong(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        ask("why?", **wrong)


def test_no_messages_and_unknown_groups_are_refused(engine: LocalEngine) -> None:
    with pytest.raises(UsageError, match="messages"):
        Request(messages=[])
    with pytest.raises(UsageError, match=r"'nobody'.*group 0"):
        engine.submit(ask("why?", "nobody"))


def test_closing_answers_who_waits(groups: Groups) -> None:
    engine = LocalEngine(groups[0], max_batch=2)
    handles = [engine.submit(ask(question)) for question in QUESTIONS[:7]]
    engine.close()
    assert all(handle.result().completion_tokens for handle in handles)
    with pytest.raises(EngineClosed):
        engine.submit(ask("why?"))
    engine.close()


def test_closing_at_once_tells_who_waits(groups: Groups) -> None:
    engine = LocalEngine(groups[0], max_batch=1)
    with at_every_step(lambda: time.sleep(0.01)):
        handles = [engine.submit(ask(question)) for question in QUESTIONS[:3]]
        until = threading.Thread(target=engine.close, kwargs={"drain": False})
        until.start()
        for handle in handles:
            with pytest.raises(EngineClosed):
                handle.result()
        until.join()


def test_an_engine_that_nobody_holds_lets_go_of_its_model(groups: Groups) -> None:
    before = workers()
    engine = LocalEngine(*groups, trust_base=True)
    answer = engine.submit(ask("why?")).result()
    gone = weakref.ref(engine)
    assert workers() == before + 1
    del engine
    gc.collect()
    assert answer.text
    assert gone() is None
    assert workers() == before


def test_a_request_keeps_its_engine(groups: Groups) -> None:
    handle = LocalEngine(groups[0]).submit(ask("why?"))
    gc.collect()
    assert handle.result().completion_tokens == 24


async def test_an_event_loop_is_not_blocked(engine: LocalEngine) -> None:
    alone = engine.submit(ask("why?")).result()
    ticks = 0
    with at_every_step(lambda: time.sleep(0.01)):
        handle = engine.asubmit(ask("why?", stream=True))
        task = asyncio.create_task(handle.result())
        while not task.done():
            await asyncio.sleep(0.005)
            ticks += 1
    assert await task == alone
    assert ticks > 10


async def test_an_event_loop_gets_pieces_deadlines_and_errors(engine: LocalEngine) -> None:
    handle = engine.asubmit(ask("why?", stream=True))
    pieces = [piece async for piece in handle]
    assert "".join(pieces) == (await handle.result()).text
    with held():
        late = engine.asubmit(ask("why?", seconds=0.05))
        with pytest.raises(DeadlinePassed):
            await late.result()


def test_an_event_loop_that_is_gone_harms_nobody(engine: LocalEngine) -> None:
    async def leave() -> None:
        engine.asubmit(ask("why?", stream=True))

    with at_every_step(lambda: time.sleep(0.005)):
        asyncio.run(leave())
        assert engine.submit(ask("why?")).result().completion_tokens == 24
