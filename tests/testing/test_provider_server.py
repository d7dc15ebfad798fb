"""The simulated provider behind HTTP, asked by a real ChatOpenAI."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from gpa_agent.errors import DataError, ServiceError, UsageError
from gpa_agent.prompts import Ask, intent_ask, load, read_answer, satisfaction_ask
from gpa_agent.testing.completions import count_tokens
from gpa_agent.testing.faults import KINDS, Faults
from gpa_agent.testing.provider_batches import answer_batch
from gpa_agent.testing.provider_server import ProviderServer
from gpa_agent.testing.simulated_provider import SimulatedProvider
from gpa_agent.testing.voiced_world import VoicedWorld

ASK = satisfaction_ask("Why?", "Because.", "Thanks, that worked.", subject="t:c:0")


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


def test_it_answers_what_the_provider_answers(server: ProviderServer) -> None:
    answer = _model(server).invoke(ASK.messages())
    assert answer.text == SimulatedProvider().answer([("system", ASK.system), ("user", ASK.data)])
    assert answer.response_metadata["finish_reason"] == "stop"
    assert server.seen.requests == 1


async def test_it_answers_in_streams_and_asynchronously(server: ProviderServer) -> None:
    model = _model(server, stream_usage=True)
    whole = await model.ainvoke(ASK.messages())
    chunks = [chunk async for chunk in model.astream(ASK.messages())]
    assert len([chunk for chunk in chunks if chunk.text]) > 1
    assert "".join(chunk.text for chunk in chunks) == whole.text
    assert whole.usage_metadata is not None
    usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert [u["total_tokens"] for u in usage] == [whole.usage_metadata["total_tokens"]]


def test_usage_counts_pieces_and_not_characters(server: ProviderServer) -> None:
    answer = _model(server).invoke(ASK.messages())
    assert answer.usage_metadata is not None
    # Two messages of four tokens each, and three for the prompt.
    sent = count_tokens(ASK.system) + count_tokens(ASK.data) + 11
    assert answer.usage_metadata["input_tokens"] == sent
    assert answer.usage_metadata["output_tokens"] == count_tokens(answer.text)
    assert count_tokens("An unbelievable 12345, twice.") == 8  # An un..ble e 123 45 , twice .


def test_shared_beginnings_are_cached_in_blocks_from_1024_tokens(server: ProviderServer) -> None:
    start = "word " * 1_300
    first, again, other = (f"{start}{end}" for end in ("one", "two", "three"))

    def cached(*texts: str) -> list[int]:
        return [_cached(_model(server).invoke(text)) for text in texts]

    # 1,300 shared tokens hold ten blocks of 128.
    assert cached(first, again, other) == [0, 1_280, 1_280]
    assert cached("word " * 900, "word " * 900) == [0, 0]
    assert cached("other " * 1_200, "nothing " * 1_200) == [0, 0]


def test_it_lists_its_model(server: ProviderServer) -> None:
    listed = _get(f"{server.url}/models")
    assert [model["id"] for model in listed["data"]] == ["simulated"]


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (Faults(server_errors=1.0), openai.InternalServerError),
        (Faults(rate_limited=1.0), openai.RateLimitError),
        (Faults(bad_requests=1.0), openai.BadRequestError),
        (Faults(down=True), openai.InternalServerError),
    ],
)
def test_errors_are_those_of_the_api(faults: Faults, error: type[openai.APIStatusError]) -> None:
    with ProviderServer(faults=faults) as server, pytest.raises(error):
        _model(server).invoke(ASK.messages())
    assert server.seen.faults.total() == 1
    assert not server.seen.answered


@pytest.mark.parametrize("retry_after", [None, 0.25, 2.0])
def test_a_429_says_how_long_to_wait_if_told_to(retry_after: float | None) -> None:
    faults = Faults(rate_limited=1.0, retry_after=retry_after)
    with ProviderServer(faults=faults) as server, pytest.raises(openai.RateLimitError) as caught:
        _model(server).invoke(ASK.messages())
    told = caught.value.response.headers.get("retry-after")
    assert (None if told is None else float(told)) == retry_after


def test_malformed_answers_cannot_be_read() -> None:
    with ProviderServer(faults=Faults(malformed=1.0)) as server:
        for number in range(12):
            answer = _model(server).invoke(_variant(number).messages())
            assert answer.response_metadata["finish_reason"] == "stop"
            with pytest.raises(ValueError, match=r"."):
                read_answer(load("satisfaction"), answer.text)


def test_refusals_are_withheld_answers() -> None:
    with ProviderServer(faults=Faults(refusals=1.0)) as server:
        answer = _model(server).invoke(ASK.messages())
    assert answer.text == ""
    assert answer.additional_kwargs["refusal"]
    assert answer.response_metadata["finish_reason"] == "content_filter"


def test_cut_answers_end_in_the_middle() -> None:
    with ProviderServer(faults=Faults(cut=1.0)) as server:
        answer = _model(server).invoke(ASK.messages())
        assert answer.response_metadata["finish_reason"] == "length"
        with pytest.raises(ValueError, match="no complete JSON"):
            read_answer(load("satisfaction"), answer.text)


async def test_cut_streams_break_off() -> None:
    broken = pytest.raises((httpx.HTTPError, openai.APIError))
    with ProviderServer(faults=Faults(cut=1.0)) as server, broken:
        [chunk async for chunk in _model(server).astream(ASK.messages())]


def test_answers_take_their_time() -> None:
    with ProviderServer(faults=Faults(latency=0.1, jitter=0.05)) as server:
        started = time.perf_counter()
        _model(server).invoke(ASK.messages())
        assert time.perf_counter() - started >= 0.1


def test_a_retried_question_usually_succeeds() -> None:
    faults = Faults(rate_limited=0.3, retry_after=0.01, malformed=0.1)
    with ProviderServer(faults=faults) as server:
        model = _model(server, max_retries=4)
        for number in range(30):
            model.invoke(_variant(number).messages())
    assert set(server.seen.faults) == {"rate_limited", "malformed"}
    assert server.seen.requests == 30 + server.seen.faults["rate_limited"]


def test_faults_are_drawn_from_question_and_attempt() -> None:
    shares: dict[str, Any] = dict.fromkeys(KINDS, 0.1)
    faults = Faults(**shares, jitter=1.0)
    drawn = [faults.draw(f"q{n}", 0) for n in range(3_000)]
    assert drawn == [faults.draw(f"q{n}", 0) for n in range(3_000)]
    assert drawn != [faults.draw(f"q{n}", 1) for n in range(3_000)]
    assert drawn != [faults.draw(f"q{n}", 0, seed=1) for n in range(3_000)]
    for kind in KINDS:
        # Four standard errors are 4 * sqrt(.1 * .9 / 3000) = 0.022.
        assert abs(sum(d.kind == kind for d in drawn) / 3_000 - 0.1) < 0.022
    assert all(0 <= d.seconds <= 1 for d in drawn)


@pytest.mark.parametrize(
    "arguments", [{"cut": 0.6, "refusals": 0.6}, {"malformed": -0.1}, {"latency": -1.0}]
)
def test_impossible_faults_are_refused(arguments: Mapping[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(arguments))):
        Faults(**arguments)


def test_requests_over_the_limit_are_told_to_wait() -> None:
    # Ten at once, and one more every second.
    with ProviderServer(requests_per_minute=60) as server:
        model = _model(server)
        with pytest.raises(openai.RateLimitError) as caught:
            model.batch([_variant(number).messages() for number in range(40)])
        assert caught.value.response.headers["retry-after"] == "1"
        time.sleep(1.0)
        model.invoke(ASK.messages())
    assert server.seen.answered.total() > 10
    assert server.seen.faults["limited"] == server.seen.requests - server.seen.answered.total()


async def test_what_it_has_seen_is_counted_and_told() -> None:
    with ProviderServer(faults=Faults(latency=0.2)) as server:
        model = _model(server)
        await asyncio.gather(*(model.ainvoke(_variant(n).messages()) for n in (1, 2, 3, 1)))
        told = await asyncio.to_thread(_get, server.url.removesuffix("/v1") + "/stats")
    assert told == server.stats()
    counted = ("requests", "questions", "repeats", "most_asked", "answered", "answered_again")
    assert [told[name] for name in counted] == [4, 3, 1, 2, 4, 1]
    assert (told["in_flight"], told["most_in_flight"]) == (0, 4)
    assert told["tokens"]["prompt"] > told["tokens"]["completion"] > 0


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"messages": []}', b'{"messages": [1]}'])
def test_what_is_no_request_is_refused(server: ProviderServer, body: bytes) -> None:
    response = httpx.post(f"{server.url}/chat/completions", content=body)
    assert response.status_code == 400
    assert "messages" in response.json()["error"]["message"]
    assert server.seen.requests == 0


def test_a_taken_port_is_told(server: ProviderServer) -> None:
    with pytest.raises(ServiceError, match=str(server.port)):
        ProviderServer(port=server.port).start()


def test_it_stops_while_it_is_asked() -> None:
    faults = Faults(latency=60.0)
    with ProviderServer(faults=faults) as server:
        model = _model(server, timeout=0.2)
        with pytest.raises(openai.APITimeoutError):
            model.invoke(ASK.messages())
        started = time.perf_counter()
    assert time.perf_counter() - started < 5


def test_it_runs_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "gpa_agent.testing.provider_server"]
    command += ["--rate-limited", "1", "--retry-after", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            response = httpx.post(
                f"{url}/chat/completions", json={"messages": [{"role": "user", "content": "Hi"}]}
            )
            assert (response.status_code, response.headers["retry-after"]) == (429, "3")
            assert _get(url.removesuffix("/v1") + "/stats")["faults"] == {"rate_limited": 1}
        finally:
            process.terminate()


def test_a_batch_file_is_answered(tmp_path: Path) -> None:
    asks = [intent_ask(f"What is recursion, {n}?", {"a": ""}, subject="s") for n in range(40)]
    requests = _batch(tmp_path, asks)
    report = answer_batch(
        requests, tmp_path / "out", errors_path=tmp_path / "errors", errors=0.3, seed=1
    )
    answered, failed = (_read(tmp_path / name) for name in ("out", "errors"))
    assert (len(answered), len(failed)) == report
    assert {line["custom_id"] for line in answered + failed} == {f"key-{n}" for n in range(40)}
    assert 4 < len(failed) < 20
    for line in answered:
        assert line["error"] is None
        assert line["response"]["status_code"] == 200
        text = line["response"]["body"]["choices"][0]["message"]["content"]
        ask = asks[int(line["custom_id"].removeprefix("key-"))]
        assert text == SimulatedProvider().answer([("system", ask.system), ("user", ask.data)])
        assert line["response"]["body"]["usage"]["prompt_tokens"] > 100
    expired = [line for line in failed if line["response"] is None]
    assert 0 < len(expired) < len(failed)
    assert {line["error"]["code"] for line in expired} == {"batch_expired"}
    assert {x["response"]["status_code"] for x in failed if x["response"]} == {500}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nonsense", "line 1"),
        ('{"custom_id": "a"}', "custom_id, method"),
        ('{"custom_id": "a", "method": "GET", "url": "/v1/x", "body": {BODY}}', "expected POST"),
    ],
)
def test_what_is_no_batch_request_is_refused(tmp_path: Path, line: str, words: str) -> None:
    requests = tmp_path / "requests.jsonl"
    body = '"messages": [{"role": "user", "content": ""}]'
    requests.write_text(line.replace("BODY", body) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=words):
        answer_batch(requests, tmp_path / "out")


def _model(
    server: ProviderServer,
    *,
    max_retries: int = 0,
    timeout: float = 60.0,
    stream_usage: bool | None = None,
) -> ChatOpenAI:
    return ChatOpenAI(
        model="simulated",
        base_url=server.url,
        api_key=SecretStr("any"),
        max_retries=max_retries,
        timeout=timeout,
        stream_usage=stream_usage,
    )


def _variant(number: int) -> Ask:
    replies = [reply for _, told in VoicedWorld(people=10).told() for reply in told]
    reply = replies[number]
    return satisfaction_ask(reply.question, reply.answer, reply.text, subject="t:c:0")


def _cached(answer: BaseMessage) -> int:
    assert isinstance(answer, AIMessage)
    assert answer.usage_metadata is not None
    return answer.usage_metadata.get("input_token_details", {}).get("cache_read", -1)


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


def _batch(folder: Path, asks: list[Ask]) -> Path:
    lines = [
        {
            "custom_id": f"key-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "simulated",
                "messages": [
                    {"role": "system", "content": ask.system},
                    {"role": "user", "content": ask.data},
                ],
            },
        }
        for number, ask in enumerate(asks)
    ]
    path = folder / "requests.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
