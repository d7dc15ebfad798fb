"""A chat model's answer, read: the one JSON object in its text, parsed by the prompt's model.

Models put prose, code fences and thoughts around what was asked for; these are passed over.
Nothing is mended: half a JSON, a key said twice, NaN, or two different answers are unreadable,
because any reading of them would be a guess.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from gpa_agent.prompts.prompt import Prompt

MAX_CHARS: Final = 200_000
"""Characters of an answer that are looked at; a longer one is unreadable."""

MAX_STARTS: Final = 50
"""Opening braces that are tried before giving up."""

_THOUGHT_ENDS: Final = "</think>"
_REPORTED: Final = 5


class Unreadable(ValueError):  # noqa: N818 -- reads as the fact it reports
    """An answer that holds no valid JSON object of the kind that was asked for.

    The message says what is wrong without repeating any of it, so that it can be sent back.
    """


def read_answer(prompt: Prompt, text: str) -> BaseModel:
    """Parse what a model said.

    Args:
        prompt: What it was asked with.
        text: All it said.

    Returns:
        An instance of ``prompt.answer``.

    Raises:
        Unreadable: There is no JSON object in it that fits, or there are several that differ.
    """
    if len(text) > MAX_CHARS:
        raise Unreadable(f"the answer has {len(text)} characters, more than {MAX_CHARS}")
    found: list[BaseModel] = []
    problem = "there is no complete JSON object in the answer"
    for candidate in _objects(text.rpartition(_THOUGHT_ENDS)[2]):
        try:
            value = prompt.answer.model_validate(candidate)
        except ValidationError as error:
            problem = _told(error)
        else:
            found += [value] if value not in found else []
    if len(found) == 1:
        return found[0]
    raise Unreadable(f"the answer holds {len(found)} different answers" if found else problem)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    end = start = 0
    for _ in range(MAX_STARTS):
        start = text.find("{", end)
        if start < 0:
            return
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield value


def _told(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, one['loc'])) or 'the object'}: {one['msg']}"
        for one in problems[:_REPORTED]
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key is given twice")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)
