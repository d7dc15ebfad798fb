"""Chat completions in OpenAI's form, and tokens counted as a provider would.

Tokens are pieces of words, numbers and marks, found by a pattern that imitates a sub-word
tokeniser: close to what a real one counts of English, and never derived from characters, so
that an estimate is not measured against its own rule of thumb.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from gpa_agent.testing.faults import spoil
from gpa_agent.testing.simulated_provider import SimulatedProvider

Said = Sequence[tuple[str, str]]
"""Messages as ``(role, text)``."""

BLOCK = 128
"""Cached tokens come in whole multiples of this (OpenAI, prompt caching guide)."""

CACHED_FROM = 1_024
"""Prompts shorter than this are not cached."""

_PIECES = re.compile(r" ?[^\W\d_]{1,8}|\d{1,3}|[^\w\s]{1,2}|_+|\s+(?=\s)|\n")
_PER_MESSAGE = 4
_PER_PROMPT = 3


class Completion(NamedTuple):
    """What the simulated provider answers a request with.

    Attributes:
        text: The answer; empty for a refusal.
        finish_reason: ``stop``, ``length`` or ``content_filter``.
        prompt_tokens: Tokens sent.
        completion_tokens: Tokens answered.
        cached_tokens: Tokens of the prompt that an earlier one began with.
        refusal: Why there is no answer, or None.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    refusal: str | None = None


def count_tokens(text: str) -> int:
    """Tokens of a text.

    Args:
        text: Any text.
    """
    return len(_PIECES.findall(text))


@lru_cache(maxsize=256)
def _count_known(text: str) -> int:
    return count_tokens(text)


def prompt_tokens(said: Said) -> int:
    """Tokens of a prompt, with what each message adds to its text.

    Args:
        said: The messages.
    """
    texts = sum(_count_known(t) if role == "system" else count_tokens(t) for role, t in said)
    return texts + _PER_MESSAGE * len(said) + _PER_PROMPT


def prefixes(said: Said) -> list[int]:
    """Hashes of the beginnings of a prompt that a cache keeps: every `BLOCK` tokens.

    Args:
        said: The messages.

    Returns:
        For 1,024, 1,152, ... tokens; empty for a shorter prompt. Equal only where all before is.
    """
    hashes: list[int] = []
    before, seen = 0, 0
    for role, text in said:
        ends = _ends_known(text) if role == "system" else _ends(text)
        hashes += (
            hash((before, role, text[: ends[number - 1]]))
            for number in range(BLOCK - seen % BLOCK, len(ends) + 1, BLOCK)
            if seen + number >= CACHED_FROM
        )
        before, seen = hash((before, role, text)), seen + len(ends)
    return hashes


def _ends(text: str) -> list[int]:
    return [found.end() for found in _PIECES.finditer(text)]


_ends_known = lru_cache(maxsize=256)(_ends)


def said_in(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The messages of a request's body.

    Args:
        body: As sent to ``/v1/chat/completions``.

    Raises:
        ValueError: It is no such request.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError("expected a JSON object with messages")
    return [(str(m["role"]), _text(m.get("content"))) for m in messages]


def _text(content: object) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def completion_body(answer: Completion, *, id_: str, model: str) -> dict[str, Any]:
    """A completion as the API returns it.

    Args:
        answer: What to say.
        id_: The completion's id.
        model: What the request called the model.
    """
    message = {
        "role": "assistant",
        "content": None if answer.refusal else answer.text,
        "refusal": answer.refusal,
    }
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": answer.finish_reason,
        "logprobs": None,
    }
    head = {"id": id_, "object": "chat.completion", "created": int(time.time()), "model": model}
    return {**head, "choices": [choice], "usage": usage(answer)}


def chunk_bodies(
    answer: Completion, *, id_: str, model: str, with_usage: bool
) -> Iterator[dict[str, Any]]:
    """The same as pieces of a stream.

    Args:
        answer: What to say.
        id_: The completion's id.
        model: What the request called the model.
        with_usage: Whether the last piece tells the usage.
    """
    head = {
        "id": id_,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
    }

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": ""})
    if answer.refusal:
        yield chunk({"refusal": answer.refusal})
    for start in range(0, len(answer.text), 24):
        yield chunk({"content": answer.text[start : start + 24]})
    yield chunk({}, answer.finish_reason)
    if with_usage:
        yield {**head, "choices": [], "usage": usage(answer)}


def usage(answer: Completion) -> dict[str, Any]:
    """The token counts of a completion as the API returns them.

    Args:
        answer: The completion.
    """
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens},
    }


def error_body(message: str, *, kind: str, code: str | None = None) -> dict[str, Any]:
    """An error as the API returns it.

    Args:
        message: What went wrong.
        kind: OpenAI's type of error.
        code: OpenAI's code, where it has one.
    """
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def digest(said: Said) -> str:
    """What a question is told from others by; every attempt at it has the same.

    Args:
        said: Its messages.
    """
    return sha256(json.dumps(said).encode()).hexdigest()


def complete(
    provider: SimulatedProvider,
    said: Said,
    *,
    fault: str | None = None,
    question: str = "",
    attempt: int = 0,
) -> Completion:
    """What the provider says, with what goes wrong in the saying.

    Args:
        provider: What answers.
        said: The messages.
        fault: ``malformed``, ``refusals``, ``cut`` or None.
        question: The question's digest, which decides in what way it goes wrong.
        attempt: How often it was asked before.
    """
    sent = prompt_tokens(said)
    if fault == "refusals":
        return Completion("", "content_filter", sent, 0, refusal="I cannot help with that.")
    text = provider.answer(said)
    if fault == "malformed":
        text = spoil(text, question, attempt)
    if fault == "cut":
        text = text[: len(text) // 2]
    return Completion(text, "length" if fault == "cut" else "stop", sent, count_tokens(text))
