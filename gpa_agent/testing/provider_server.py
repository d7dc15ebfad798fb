"""An OpenAI-compatible server on loopback behind which the simulated provider answers.

In a test, in a thread of its own::

    with ProviderServer(faults=Faults(latency=0.3, rate_limited=0.1)) as server:
        model = ChatOpenAI(model="simulated", base_url=server.url, api_key="any")

or as a process of its own, which prints its URL::

    python -m gpa_agent.testing.provider_server --port 8001 --latency 0.3 --rate-limited 0.1

``GET /stats`` tells what it has seen, as JSON.
A simulation: see `gpa_agent.testing.simulated_provider` for what it cannot show.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

from aiohttp import web

from gpa_agent.errors import ServiceError
from gpa_agent.testing.completions import (
    BLOCK,
    CACHED_FROM,
    Completion,
    Said,
    chunk_bodies,
    complete,
    completion_body,
    digest,
    error_body,
    prefixes,
    said_in,
)
from gpa_agent.testing.faults import Faults
from gpa_agent.testing.simulated_provider import MODEL_NAME, SimulatedProvider

_BURST = 6
"""A minute's requests may come this many times faster than evenly, for a moment."""
_LONGEST_BODY = 32 * 2**20


@dataclass
class Seen:
    """What a server has seen."""

    requests: int = 0
    """Completion requests, whatever came of them."""
    answered: Counter[str] = field(default_factory=Counter[str])
    """Complete, proper answers by the question's digest."""
    attempts: Counter[str] = field(default_factory=Counter[str])
    """Requests by the question's digest."""
    faults: Counter[str] = field(default_factory=Counter[str])
    """Attempts that went wrong, by kind; ``limited`` are those over the request limit."""
    in_flight: int = 0
    """Requests being answered now."""
    most_in_flight: int = 0
    """The highest number at one time."""
    tokens: Counter[str] = field(default_factory=Counter[str])
    """``prompt``, ``cached`` and ``completion`` tokens of complete answers."""

    def note(self, question: str, answer: Completion) -> None:
        """Count a complete answer.

        Args:
            question: The question's digest.
            answer: What was answered.
        """
        self.answered[question] += 1
        self.tokens["prompt"] += answer.prompt_tokens
        self.tokens["cached"] += answer.cached_tokens
        self.tokens["completion"] += answer.completion_tokens

    def stats(self) -> dict[str, Any]:
        """The figures as JSON, without the questions."""
        return {
            "requests": self.requests,
            "questions": len(self.attempts),
            "repeats": self.requests - len(self.attempts),
            "most_asked": max(self.attempts.values(), default=0),
            "answered": self.answered.total(),
            "answered_again": self.answered.total() - len(self.answered),
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "faults": dict(sorted(self.faults.items())),
            "tokens": dict(sorted(self.tokens.items())),
        }


class _Fault(NamedTuple):
    status: int
    body: dict[str, Any]
    retry_after: float | None = None


class ProviderServer:
    """The server; a context manager.

    Args:
        provider: What answers.
        faults: What goes wrong, and how long answers take.
        port: Port on loopback; 0 takes a free one.
        requests_per_minute: Requests beyond this are answered with status 429 and the time to
            wait; a sixth of it may come at once. None sets no limit.
        seed: Of the faults.

    Example:
        ```python
        from langchain_openai import ChatOpenAI

        with ProviderServer() as server:
            model = ChatOpenAI(model="simulated", base_url=server.url, api_key="any")
            print(model.invoke("Hello").text)
            print(server.seen.requests)
        ```
    """

    def __init__(
        self,
        provider: SimulatedProvider | None = None,
        *,
        faults: Faults | None = None,
        port: int = 0,
        requests_per_minute: int | None = None,
        seed: int = 0,
    ) -> None:
        self.provider = provider or SimulatedProvider()
        self.faults = faults or Faults()
        """May be replaced while the server runs."""
        self.port = port
        self.seen = Seen()
        """Counters since the start."""
        self._seed = seed
        self._per_minute = requests_per_minute
        self._allowance = _most_at_once(requests_per_minute)
        self._refilled = time.monotonic()
        self._prefixes: set[int] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failed: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="gpa-provider-server", daemon=True)

    @property
    def url(self) -> str:
        """The base URL a client is given."""
        return f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> dict[str, Any]:
        """What ``GET /stats`` returns."""
        return self.seen.stats()

    def start(self) -> Self:
        """Start serving.

        Raises:
            ServiceError: The port is taken.
        """
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            raise ServiceError(
                f"cannot listen on port {self.port!r}: {self._failed}. Choose another port, or 0"
            ) from self._failed
        return self

    def stop(self) -> None:
        """Stop serving, breaking off what is in flight, and free the port."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def join(self) -> None:
        """Wait until the server stops."""
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        # No time at all would mean to wait for ever.
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.01)
        try:
            self._loop.run_until_complete(self._listen(runner))
        except OSError as error:
            self._failed = error
        else:
            self._loop.call_soon(self._ready.set)
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(runner.cleanup())
            self._loop.close()
            self._ready.set()

    async def _listen(self, runner: web.AppRunner) -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = runner.addresses[0][1]

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=_LONGEST_BODY)
        app.router.add_get("/stats", self._stats)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._complete)
        return app

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response(self.stats())

    async def _models(self, _: web.Request) -> web.Response:
        listed = {"id": MODEL_NAME, "object": "model", "created": 0, "owned_by": "gpa-agent"}
        return web.json_response({"object": "list", "data": [listed]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            body = json.loads(await request.read())
            said = said_in(body)
        except (ValueError, AttributeError, LookupError, TypeError):
            wrong = error_body("expected a JSON object with messages", kind="invalid_request_error")
            return web.json_response(wrong, status=400)
        self.seen.requests += 1
        self.seen.in_flight += 1
        self.seen.most_in_flight = max(self.seen.most_in_flight, self.seen.in_flight)
        try:
            return await self._answer(request, body, said)
        finally:
            self.seen.in_flight -= 1

    async def _answer(
        self, request: web.Request, body: Mapping[str, Any], said: Said
    ) -> web.StreamResponse:
        question = digest(said)
        attempt = self.seen.attempts[question]
        self.seen.attempts[question] += 1
        wait = self._over_limit()
        if wait:
            self.seen.faults["limited"] += 1
            return _failed(_too_many(math.ceil(wait)))
        drawn, seconds = self.faults.draw(question, attempt, seed=self._seed)
        await asyncio.sleep(seconds)
        kind = "down" if self.faults.down else drawn
        self.seen.faults.update([kind] if kind else [])
        failure = _failure(kind, self.faults.retry_after)
        if failure is not None:
            return _failed(failure)
        answer = complete(self.provider, said, fault=kind, question=question, attempt=attempt)
        answer = answer._replace(cached_tokens=self._cached(said))
        if kind is None:
            self.seen.note(question, answer)
        head = {"id_": f"chatcmpl-{question[:24]}", "model": str(body.get("model", MODEL_NAME))}
        if not body.get("stream"):
            return web.json_response(completion_body(answer, **head))
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        chunks = [*chunk_bodies(answer, **head, with_usage=with_usage)]
        return await _streamed(request, chunks, broken=kind == "cut")

    def _over_limit(self) -> float:
        """Seconds until one more request is within the limit; 0 takes it."""
        if self._per_minute is None:
            return 0.0
        now = time.monotonic()
        grown = self._allowance + (now - self._refilled) * self._per_minute / 60
        self._allowance = min(_most_at_once(self._per_minute), grown)
        self._refilled = now
        if self._allowance < 1:
            return (1 - self._allowance) * 60 / self._per_minute
        self._allowance -= 1
        return 0.0

    def _cached(self, said: Said) -> int:
        """Tokens at the start of a prompt that an earlier one had as well."""
        begins = prefixes(said)
        known = sum(1 for beginning in begins if beginning in self._prefixes)
        self._prefixes.update(begins)
        return CACHED_FROM + (known - 1) * BLOCK if known else 0


def _most_at_once(per_minute: int | None) -> float:
    return max(1.0, (per_minute or 0) / _BURST)


def _failure(kind: str | None, retry_after: float | None) -> _Fault | None:
    """The error that an attempt is answered with, if it is one."""
    if kind == "rate_limited":
        return _too_many(retry_after)
    if kind == "server_errors":
        return _Fault(500, error_body("The server had an error", kind="server_error"))
    if kind == "down":
        return _Fault(503, error_body("The engine is overloaded", kind="service_unavailable"))
    if kind == "bad_requests":
        wrong = error_body(
            "The prompt was refused", kind="invalid_request_error", code="content_policy_violation"
        )
        return _Fault(400, wrong)
    return None


def _too_many(retry_after: float | None) -> _Fault:
    body = error_body("Rate limit reached", kind="requests", code="rate_limit_exceeded")
    return _Fault(429, body, retry_after)


def _failed(fault: _Fault) -> web.Response:
    wait = fault.retry_after
    headers = {} if wait is None else {"Retry-After": f"{wait:g}"}
    return web.json_response(fault.body, status=fault.status, headers=headers)


async def _streamed(
    request: web.Request, chunks: Sequence[Mapping[str, Any]], *, broken: bool
) -> web.StreamResponse:
    """Send pieces as server-sent events; a broken stream ends after half of them."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for chunk in chunks[: len(chunks) // 2] if broken else chunks:
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
    if broken and request.transport is not None:
        request.transport.close()
        return response
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def main(argv: list[str] | None = None) -> None:
    """Serve until interrupted; the URL is the first line on standard output."""
    parser = argparse.ArgumentParser(
        prog="python -m gpa_agent.testing.provider_server",
        description="A simulated language model behind an OpenAI-compatible API on loopback.",
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--requests-per-minute", type=int, help="429 beyond this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--noise", type=float, default=0.0, help="share of wrong readings")
    parser.add_argument("--invent", type=float, default=0.0, help="chance of groundless claims")
    parser.add_argument("--gullible", action="store_true", help="obey what the log says")
    for option in fields(Faults):
        flag = f"--{option.name.replace('_', '-')}"
        if option.name == "down":
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, type=float, default=option.default)
    args = parser.parse_args(argv)
    server = ProviderServer(
        SimulatedProvider(
            noise=args.noise, invent=args.invent, gullible=args.gullible, seed=args.seed
        ),
        faults=Faults(**{option.name: getattr(args, option.name) for option in fields(Faults)}),
        port=args.port,
        requests_per_minute=args.requests_per_minute,
        seed=args.seed,
    )
    with server, contextlib.suppress(KeyboardInterrupt):
        print(server.url, flush=True)  # noqa: T201 -- a command
        server.join()


if __name__ == "__main__":
    main()
