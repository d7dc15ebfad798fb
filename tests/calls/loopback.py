"""A server on loopback that speaks as much of OpenAI's API as these tests need, from a script."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple, Self

from aiohttp import web

from gpa_agent.models import ChatModelRecipe
from gpa_agent.prompts import intent_ask
from gpa_agent.prompts.asking import Ask

ANSWER = json.dumps({"intent": "debugging", "confidence": 90})


class Reply(NamedTuple):
    status: int = 200
    text: str = ANSWER
    headers: Mapping[str, str] = {}
    seconds: float = 0.0
    finish: str = "stop"
    code: str | None = None


class Seen(NamedTuple):
    at: float
    prompt: str


def ask_about(number: int) -> Ask:
    return intent_ask(
        f"question {number}", {"debugging": "", "explanation": ""}, subject=f"conversation:{number}"
    )


class Loopback:
    """Answers as the script says for a request's number, from 0, and its last message."""

    def __init__(
        self, script: Callable[[int, str], Reply] = lambda number, prompt: Reply()
    ) -> None:
        self.seen: list[Seen] = []
        self._script = script
        self._started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._started.result()[2]}/v1"

    def recipe(self) -> ChatModelRecipe:
        return ChatModelRecipe(
            model="openai:sim", parameters={"base_url": self.url, "api_key": "sk-secret-123456"}
        )

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result()
        return self

    def __exit__(self, *exc: object) -> None:
        loop, stop, _ = self._started.result()
        loop.call_soon_threadsafe(stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        stop = asyncio.Event()
        self._started.set_result((asyncio.get_running_loop(), stop, runner.addresses[0][1]))
        await stop.wait()
        await runner.cleanup()

    async def _complete(self, request: web.Request) -> web.Response:
        prompt = (await request.json())["messages"][-1]["content"]
        self.seen.append(Seen(time.monotonic(), prompt))
        reply = self._script(len(self.seen) - 1, prompt)
        await asyncio.sleep(reply.seconds)
        body = completion(reply) if reply.status == 200 else problem(reply)
        return web.json_response(body, status=reply.status, headers=reply.headers)


def completion(reply: Reply) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "sim",
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "total_tokens": 110,
            "prompt_tokens_details": {"cached_tokens": 30},
        },
    }


def problem(reply: Reply) -> dict[str, Any]:
    return {"error": {"message": reply.text, "type": "problem", "code": reply.code}}
