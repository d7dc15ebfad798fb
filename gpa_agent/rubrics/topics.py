"""What guidance on answers has no business to speak of, whatever the sentence says about it.

Sentences can be reworded without end; what they are about is harder to avoid. Each topic of
``topics.toml`` is a family of words that clean guidance hardly needs: crime, drugs, the dangers of
medicine, politics, love, money, the service behind the chat, the learning itself.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import NamedTuple

from pydantic import TypeAdapter


class Topic(NamedTuple):
    """What a text is about.

    Attributes:
        reason: As `guard.complaint` gives it.
        pattern: Any match is enough; for case-folded text on one line.
    """

    reason: str
    pattern: re.Pattern[str]


class _Listed(NamedTuple):
    reason: str
    words: list[str]


@cache
def topics() -> tuple[Topic, ...]:
    """All topics, in the order of the file.

    Example:
        >>> [t.reason for t in topics() if t.pattern.search("ask for their pin")]
        ['asks for personal data']
    """
    text = resources.files("gpa_agent.rubrics").joinpath("topics.toml").read_text(encoding="utf-8")
    listed = TypeAdapter(list[_Listed]).validate_python(
        [(entry["reason"], entry["words"]) for entry in tomllib.loads(text)["topic"]]
    )
    return tuple(Topic(t.reason, re.compile("|".join(t.words))) for t in listed)
