"""What was said, as frozen records: the units everything else is computed from.

Vocabulary (Group Preference Alignment, section 3): a conversation C is a sequence of
turns; a turn is a user utterance U and the response A to it; a judgment J says whether
the response pleased (SAT), displeased (DSAT) or neither. A preference pair is one SAT and
one DSAT answer to the same prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any, NamedTuple

UNKNOWN = "unknown"
"""The label of an intent or group that no one could tell; unknown always means plain."""

GENERAL_INTENT = "general"
"""The one intent of a workspace without a taxonomy whose records name no intent."""


class Judgment(IntEnum):
    """Whether an answer pleased its user."""

    SAT = 1
    DSAT = -1
    NEITHER = 0


class Verdict(NamedTuple):
    """A judgment with where it came from and how sure its source is.

    Attributes:
        judgment: SAT, DSAT or NEITHER.
        confidence: Probability in [0, 1] that the judgment is right, as its source sees it.
        source: ``explicit`` (thumbs, ratings, records), ``cues``, ``classifier`` or a model's name.
    """

    judgment: Judgment
    confidence: float
    source: str


class Label(NamedTuple):
    """An intent or a group with the confidence of whoever named it.

    Attributes:
        value: The name, or ``"unknown"`` below the classifier's threshold.
        confidence: Probability in [0, 1]; 1.0 where the record or the caller said so.
        source: ``record``, ``context``, ``known`` or ``classifier``.
    """

    value: str
    confidence: float
    source: str


class Message(NamedTuple):
    """One message of a prompt.

    Attributes:
        role: ``system``, ``user`` or ``assistant``.
        content: Plain text.
    """

    role: str
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """A user utterance and the answer to it."""

    user: str
    """What the user said; empty where the assistant spoke first."""
    assistant: str | None = None
    """The answer; None for a last utterance that has none (it may still judge the turn before)."""
    judgment: Judgment | None = None
    """An explicit judgment of this turn's answer, where the record carries one."""
    at: datetime | None = None
    """When the answer was given, timezone-aware, where known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """A sequence of turns of one user."""

    id: str
    """Unique within the app; derived from the content where the log gives none."""
    turns: tuple[Turn, ...]
    """In the order they were said; at least one."""
    user: str | None = None
    """Raw id of the person in the host app; hashed before it is stored."""
    group: str | None = None
    """The user's group as the record names it."""
    intent: str | None = None
    """Domain and task as the record names it."""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Fields of the record we do not know, kept as they were."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferencePair:
    """A pleasing and a displeasing answer to the same prompt."""

    id: str
    """Unique within the app; derived from the content where the log gives none."""
    prompt: tuple[Message, ...]
    """The conversation up to and including the user's last message."""
    chosen: str
    """The answer that was preferred."""
    rejected: str
    """The answer that was not."""
    user: str | None = None
    """Raw id of the person in the host app; hashed before it is stored."""
    group: str | None = None
    """The user's group as the record names it."""
    intent: str | None = None
    """Domain and task as the record names it."""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Fields of the record we do not know, kept as they were."""


Record = Conversation | PreferencePair
