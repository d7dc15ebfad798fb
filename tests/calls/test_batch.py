"""The batch engine against the simulated provider's batch endpoint, and against hand-made files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpa_agent.calls.asyncio_engine import AsyncioEngine
from gpa_agent.calls.batch import BatchEngine, BatchWaiting
from gpa_agent.calls.limits import Limits
from gpa_agent.calls.prices import Price
from gpa_agent.errors import ModelError, StoreError, UsageError
from gpa_agent.ledger import Ledger
from gpa_agent.models import ChatModelRecipe
from gpa_agent.prompts import (
    AspectsAnswer,
    IntentAnswer,
    Numbered,
    aspects_ask,
    intent_ask,
    satisfaction_ask,
    validity_ask,
)
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.testing.provider_batches import answer_batch
from gpa_agent.testing.provider_server import ProviderServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpa_agent.calls.engine import Answered, Flow
    from gpa_agent.prompts.asking import Ask

KEY = b"k" * 32
TAXONOMY = {"debugging": "Broken programs", "cooking": "Recipes"}
OK = '{"intent": "debugging", "confidence": 90}'


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", people_key=KEY) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "batch"


def recipe(**parameters: Any) -> ChatModelRecipe:
    return ChatModelRecipe(model="openai:gpt-4o-mini", parameters=parameters)


def asks(count: int) -> list[Ask]:
    return [
        intent_ask(f"question {n}", TAXONOMY, subject=f"conversation:c{n}") for n in range(count)
    ]


def waiting(engine: BatchEngine, questions: list[Ask]) -> tuple[list[Answered], BatchWaiting]:
    """What a map answers before it says what it waits for."""
    came: list[Answered] = []
    with engine, pytest.raises(BatchWaiting) as raised:
        came.extend(engine.map(questions))
    return came, raised.value


def requests_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def result(custom_id: str, text: str = OK, *, status: int = 200, **more: Any) -> str:
    body = {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "prompt_tokens_details": {"cached_tokens": 400},
        },
    }
    response = {"status_code": status, "request_id": "r", "body": body if status == 200 else {}}
    line = {"id": "b", "custom_id": custom_id, "response": response, "error": None, **more}
    return json.dumps(line) + "\n"


def drop(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("".join(lines), encoding="utf-8")
    return path


def comparing(number: int) -> Flow[tuple[list[str], bool | None]]:
    """Two rounds that hang on each other, then questions side by side."""
    one = Numbered(1, True, "Give worked examples", "gives worked examples")
    other = Numbered(2, False, "Leave worked examples out", f"brings them in, {number}")
    first = yield [aspects_ask([one], [other], [])]
    found = first[0].value
    assert isinstance(found, AspectsAnswer)
    second = yield [aspects_ask([other], [one], found.aspects)]
    again = second[0].value
    assert isinstance(again, AspectsAnswer)
    names = [aspect.name for aspect in again.aspects]
    checked = yield [validity_ask(name, name, [name]) for name in [*names, f"name {number}"]]
    return names, checked[-1].value is not None


def judging() -> list[Ask]:
    replies = ["Thanks, that worked.", "This is useless to me.", "And then?", "No help at all."]
    return [
        satisfaction_ask("How?", f"So, {n}.", replies[n % 4], subject=f"t:c:{n}") for n in range(40)
    ]


def rounds(
    run: Callable[[BatchEngine], Any], make: Callable[[], BatchEngine], *, errors: float
) -> tuple[Any, int]:
    """Run, answer the files, run again, until nothing is open; the result, and how often."""
    for number in range(40):
        try:
            with make() as engine:
                return run(engine), number
        except BatchWaiting as waits:
            for path in waits.files:
                answer_batch(
                    path,
                    path.parent / f"{path.stem}_output.txt",
                    errors_path=path.parent / f"{path.stem}_error.txt",
                    errors=errors,
                    seed=number,
                )
    raise AssertionError("the rounds do not end")


def test_rounds_of_files_come_to_what_online_calls_answer(folder: Path, tmp_path: Path) -> None:
    with (
        ProviderServer() as server,
        Ledger.open(tmp_path / "a.db", people_key=KEY) as online_ledger,
        Ledger.open(tmp_path / "b.db", people_key=KEY) as batch_ledger,
    ):
        how = recipe(base_url=server.url, api_key="none")

        def run(engine: Any) -> tuple[dict[str | None, Any], list[Any]]:
            judged = {a.ask.subject: a.value for a in engine.map(judging())}
            return judged, engine.drive([comparing(n) for n in range(5)])

        with AsyncioEngine(how, online_ledger, Limits()) as engine:
            online = run(engine)
        calls = online_ledger.count_calls()
        batched, again = rounds(run, lambda: BatchEngine(how, batch_ledger, folder), errors=0.2)
        assert batched == online
        assert batch_ledger.count_calls() == calls
        assert again >= 4  # judgments; then three rounds that hang on each other
        asked = server.seen.requests
        with AsyncioEngine(how, batch_ledger, Limits()) as engine:
            assert run(engine) == online
            assert engine.counts.total.calls == 0  # what a batch answered is not asked online
        assert server.seen.requests == asked


def test_what_was_answered_online_is_in_no_file(folder: Path, ledger: Ledger) -> None:
    with ProviderServer() as server:
        how = recipe(base_url=server.url, api_key="none", temperature=0)
        with AsyncioEngine(how, ledger, Limits()) as engine:
            list(engine.map(asks(3)))
        came, waits = waiting(BatchEngine(how, ledger, folder), asks(5))
    assert len(came) == 3
    assert waits.written == waits.waiting == 2


def test_a_request_is_what_an_online_call_sends(folder: Path, ledger: Ledger) -> None:
    how = recipe(temperature=0, max_tokens=50, extra_body={"seed": 7})
    _, waits = waiting(BatchEngine(how, ledger, folder), asks(1))
    (request,) = requests_of(waits.files[0])
    ask = asks(1)[0]
    assert len(request["custom_id"]) == 64
    assert (request["method"], request["url"]) == ("POST", "/v1/chat/completions")
    assert request["body"] == {
        "model": "gpt-4o-mini",
        "temperature": 0,
        "max_completion_tokens": 50,
        "seed": 7,
        "messages": [
            {"role": "system", "content": ask.system},
            {"role": "user", "content": ask.data},
        ],
    }


def test_a_run_that_waits_says_so_and_is_no_failure(folder: Path, ledger: Ledger) -> None:
    _, waits = waiting(BatchEngine(recipe(), ledger, folder), asks(2))
    assert waits.exit_code == 0
    assert "batch-0001.jsonl" in str(waits)
    _, again = waiting(BatchEngine(recipe(), ledger, folder), asks(3))
    assert (again.written, again.waiting) == (1, 3)  # what waits is not asked twice
    assert [path.name for path in again.files] == ["batch-0002.jsonl"]


def test_files_are_no_longer_than_the_endpoint_takes(
    folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpa_agent.calls.batch.MOST_REQUESTS", 3)
    monkeypatch.setattr("gpa_agent.calls.batch_files.MOST_REQUESTS", 3)
    _, waits = waiting(BatchEngine(recipe(), ledger, folder), asks(7))
    assert [len(requests_of(path)) for path in waits.files] == [3, 3, 1]
    monkeypatch.setattr("gpa_agent.calls.batch_files.MOST_BYTES", 10_000)
    _, waits = waiting(BatchEngine(recipe(temperature=1), ledger, folder), asks(7))
    assert len(waits.files) >= 3
    assert all(path.stat().st_size <= 10_000 for path in waits.files)


def test_an_answer_costs_half(folder: Path, ledger: Ledger) -> None:
    price = Price(input=2.0, cached_input=1.0, output=8.0)
    _, waits = waiting(BatchEngine(recipe(), ledger, folder, price=price), asks(1))
    (request,) = requests_of(waits.files[0])
    drop(folder, "out.jsonl", result(request["custom_id"]))
    with BatchEngine(recipe(), ledger, folder, price=price) as engine:
        (answered,) = engine.map(asks(1))
    assert answered.value == IntentAnswer(intent="debugging", confidence=90)
    total = engine.counts.total
    # 600 fresh at $2, 400 cached at $1, 100 said at $8 a million: $0.0024; half of it.
    assert total.cost == pytest.approx(0.0012)
    assert (total.calls, total.input_tokens, total.cached_tokens, total.output_tokens) == (
        1, 1000, 400, 100,
    )  # fmt: skip
    row = ledger.call(request["custom_id"])
    assert row is not None
    assert (row.subject, row.prompt, row.cost) == ("conversation:c0", "intent", total.cost)


def test_an_unreadable_answer_is_repaired_once(folder: Path, ledger: Ledger) -> None:
    _, waits = waiting(BatchEngine(recipe(), ledger, folder), asks(2))
    first, second = requests_of(waits.files[0])
    drop(folder, "out", result(first["custom_id"], "I think so."), result(second["custom_id"]))
    came, waits = waiting(BatchEngine(recipe(), ledger, folder), asks(2))
    assert [a.ask.subject for a in came] == ["conversation:c1"]
    (repair,) = requests_of(waits.files[0])
    roles = [m["role"] for m in repair["body"]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    drop(folder, "out", result(repair["custom_id"], "Still thinking."))
    with BatchEngine(recipe(), ledger, folder) as engine:
        whys = sorted(a.why or "" for a in engine.map(asks(2)))
    assert whys == ["", "malformed"]


def test_what_failed_or_cannot_be_read_is_asked_again(folder: Path, ledger: Ledger) -> None:
    _, waits = waiting(BatchEngine(recipe(), ledger, folder), asks(6))
    ids = [r["custom_id"] for r in requests_of(waits.files[0])]
    expired = result(ids[1], response=None, error={"code": "batch_expired", "message": "late"})
    hollow = json.dumps({"custom_id": ids[3], "response": {"status_code": 200, "body": {}}}) + "\n"
    drop(folder, "errors.jsonl", expired, result(ids[2], status=500), hollow)
    came, waits = waiting(BatchEngine(recipe(), ledger, folder), asks(6))
    assert not came
    # The rest of the batch may still come: only what is known to have failed is asked again.
    assert [r["custom_id"] for r in requests_of(waits.files[0])] == ids[1:4]
    drop(folder, "output.jsonl", result(ids[0]), result(ids[4]), result(ids[5])[:40] + "\n")
    came, waits = waiting(BatchEngine(recipe(), ledger, folder), asks(6))
    assert [a.ask.subject for a in came] == ["conversation:c0", "conversation:c4"]
    # Its output came and held no readable line about the last one.
    assert [r["custom_id"] for r in requests_of(waits.files[0])] == ids[5:]
    assert (waits.imported.answered, waits.imported.malformed) == (2, 1)
    assert not (folder / "batch-0001.jsonl").exists()


def test_nothing_is_planted_and_nothing_read_twice(folder: Path, ledger: Ledger) -> None:
    _, waits = waiting(BatchEngine(recipe(), ledger, folder), asks(2))
    ids = [r["custom_id"] for r in requests_of(waits.files[0])]
    (folder / "notes.txt").write_text("nothing of ours", encoding="utf-8")
    foreign = drop(folder, "foreign.jsonl", result("f" * 64))
    drop(folder, "out.jsonl", result(ids[0]))
    came, waits = waiting(BatchEngine(recipe(), ledger, folder), asks(2))
    assert len(came) == ledger.count_calls() == 1
    assert waits.imported.foreign == 1
    assert foreign.exists()
    drop(folder, "again.jsonl", result(ids[0], '{"intent": "cooking", "confidence": 9}'))
    came, again = waiting(BatchEngine(recipe(), ledger, folder), asks(2))
    assert came[0].value == IntentAnswer(intent="debugging", confidence=90)
    assert (again.written, again.imported.foreign, again.imported.answered) == (0, 2, 0)


def test_a_stop_half_way_through_a_file_loses_nothing(folder: Path, tmp_path: Path) -> None:
    moments = 0

    def clock() -> datetime:
        nonlocal moments
        moments += 1
        if moments == 2:
            raise StoreError("the power is gone")
        return datetime(2026, 1, 1, tzinfo=UTC)

    questions = asks(700)
    with Ledger.open(tmp_path / "l.db", people_key=KEY, clock=clock) as ledger:
        _, waits = waiting(BatchEngine(recipe(), ledger, folder), questions)
        ids = [r["custom_id"] for r in requests_of(waits.files[0])]
        drop(folder, "out.jsonl", *map(result, ids))
        with pytest.raises(StoreError), BatchEngine(recipe(), ledger, folder):
            pass
        assert 0 < ledger.count_calls() < 700
        with BatchEngine(recipe(), ledger, folder) as engine:
            assert len(list(engine.map(questions))) == 700
    assert sorted(p.name for p in folder.iterdir()) == ["done"]


def test_requests_without_a_manifest_are_never_taken_for_asked(
    folder: Path, ledger: Ledger
) -> None:
    waiting(BatchEngine(recipe(), ledger, folder), asks(2))
    (folder / "batch-0001.jsonl").unlink()  # a batch that failed as a whole, or was never written
    _, waits = waiting(BatchEngine(recipe(), ledger, folder), asks(2))
    assert (waits.written, waits.waiting) == (2, 2)


def test_a_refused_question_has_no_answer_and_is_not_asked_again(
    folder: Path, ledger: Ledger
) -> None:
    _, waits = waiting(BatchEngine(recipe(), ledger, folder), asks(2))
    ids = [r["custom_id"] for r in requests_of(waits.files[0])]
    drop(folder, "out.jsonl", result(ids[0]), result(ids[1], status=400))
    for _ in range(2):
        with BatchEngine(recipe(), ledger, folder) as engine:
            assert [a.why for a in engine.map(asks(2))] == [None, "refused"]
        assert engine.counts.total.refused == 1


def test_requests_that_are_all_refused_are_the_ones_to_blame(folder: Path, ledger: Ledger) -> None:
    _, waits = waiting(BatchEngine(recipe(), ledger, folder), asks(12))
    ids = [r["custom_id"] for r in requests_of(waits.files[0])]
    drop(folder, "errors.jsonl", *(result(i, status=400) for i in ids))
    with pytest.raises(ModelError, match="parameters"), BatchEngine(recipe(), ledger, folder):
        pass


def test_only_models_of_openai_by_name(folder: Path, ledger: Ledger) -> None:
    for model in (ScriptedChatModel(), ChatModelRecipe(model="anthropic:any")):
        with pytest.raises(UsageError, match="openai:NAME"):
            BatchEngine(model, ledger, folder)
    with pytest.raises(UsageError, match="entered"):
        list(BatchEngine(recipe(), ledger, folder).map(asks(1)))


def test_a_model_that_cannot_be_opened_is_told_at_once(folder: Path, ledger: Ledger) -> None:
    engine = BatchEngine(recipe(temperature="hot"), ledger, folder)
    with pytest.raises(UsageError, match="temperature"), engine:
        pass


def test_only_chat_completions(folder: Path, ledger: Ledger) -> None:
    how = recipe(use_responses_api=True)
    with (
        BatchEngine(how, ledger, folder) as engine,
        pytest.raises(UsageError, match="responses API"),
    ):
        list(engine.map(asks(1)))


def test_the_same_question_is_written_once(folder: Path, ledger: Ledger) -> None:
    twice = [intent_ask("the same", TAXONOMY, subject=f"conversation:c{n}") for n in range(2)]
    _, waits = waiting(BatchEngine(recipe(), ledger, folder), twice)
    (request,) = requests_of(waits.files[0])
    drop(folder, "out.jsonl", result(request["custom_id"]))
    with BatchEngine(recipe(), ledger, folder) as engine:
        assert [a.ask.subject for a in engine.map(twice)] == ["conversation:c0", "conversation:c1"]
