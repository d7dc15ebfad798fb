"""What one turn was given: the plan that is applied, and the trace that tells of it.

Both go into a graph's state and so into a checkpoint: the plan under ``gpa_turn`` (private;
a turn that a human interrupts and resumes finds it there again, byte for byte), the trace
under ``gpa`` (public). Both are plain JSON and are overwritten every turn.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import uuid4

from langchain_core.messages import BaseMessage, HumanMessage

from gpa_agent.conversations.records import UNKNOWN, Label
from gpa_agent.turn.prompt import strip_rubric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpa_agent.turn.context import Asker

Arm = Literal["tailored", "holdout"]
Served = Literal["context", "finetuned", "plain"]

_LONGEST_TEXT = 2_000
"""Characters of a text that classifiers read; sentence encoders stop at 256 word pieces anyway."""


class Asked(NamedTuple):
    """A turn as its engine sees it.

    Attributes:
        asker: Who asks.
        text: The user's last utterance; empty where the user has not spoken.
        said: All the user has said in the conversation, oldest first.
        first: The user's first utterance.
        key: Names the turn within its conversation.
    """

    asker: Asker
    text: str
    said: str
    first: str
    key: str


def read_turn(asker: Asker, messages: Sequence[BaseMessage]) -> Asked:
    """Read what is asked from a turn's messages.

    Args:
        asker: Who asks.
        messages: The conversation up to and including the user's last message.

    Returns:
        The turn, its texts without any block of ours and cut to what classifiers read.
    """
    humans = [m for m in messages if isinstance(m, HumanMessage)]
    texts = [strip_rubric(m.text)[:_LONGEST_TEXT] for m in humans]
    last = texts[-1] if texts else ""
    return Asked(
        asker=asker,
        text=last,
        said="\n".join(texts)[:_LONGEST_TEXT],
        first=texts[0] if texts else "",
        key=_turn_key(humans[-1].id if humans else None, len(humans), last),
    )


def _turn_key(message_id: str | None, count: int, text: str) -> str:
    if message_id:
        return message_id
    return hashlib.sha256(f"{count}\x00{text}".encode()).hexdigest()[:32]


def answer_in(messages: Sequence[BaseMessage]) -> tuple[str, str]:
    """Find the last exchange: what the user said and what finally came back.

    Args:
        messages: A conversation; tool calls and their results may lie between.

    Returns:
        The user's last utterance and the last text after it; either may be empty.
    """
    user, answer = "", ""
    for message in messages:
        if isinstance(message, HumanMessage):
            user, answer = strip_rubric(message.text), ""
        elif text := strip_rubric(message.text).strip():
            answer = text
    return user, answer


def conversation_id(asked: Asked, person: str | None) -> str:
    """Name the conversation.

    Args:
        asked: The turn.
        person: Keyed hash of the user, or None.

    Returns:
        The host's thread id; else, for a known person, one derived from the person and the
        first thing said (the same at every turn); else a fresh one.
    """
    if asked.asker.thread_id:
        return asked.asker.thread_id
    if person is None:
        return f"gpa-{uuid4().hex}"
    digest = hashlib.sha256(f"{person}\x00{asked.first}".encode()).hexdigest()
    return f"gpa-{digest[:32]}"


def arm_of(person: str | None, holdout: float) -> Arm:
    """Tell whether a person is held out; the same person always is, or never.

    Args:
        person: The person's keyed hash; where nobody is named nothing would make the choice
            stick, so nobody is held out.
        holdout: Share of people to hold out, in [0, 1]; raising it keeps everyone who was.

    Returns:
        ``holdout`` or ``tailored``.
    """
    if person is None:
        return "tailored"
    draw = int.from_bytes(hashlib.sha256(f"gpa-holdout\x00{person}".encode()).digest()[:8], "big")
    return "holdout" if draw / 2**64 < holdout else "tailored"


class Finding(NamedTuple):
    """An intent or group that was found, or why it was not.

    Attributes:
        label: What was found; ``unknown`` where nothing was.
        degraded: Why our part failed, or None.
        ms: Milliseconds it took.
    """

    label: Label
    degraded: str | None = None
    ms: float = 0.0

    def to_state(self) -> dict[str, Any]:
        """The finding as plain JSON."""
        return {**self.label._asdict(), "degraded": self.degraded, "ms": self.ms}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Finding:
        """The finding from what `to_state` wrote."""
        label = Label(state["value"], state["confidence"], state["source"])
        return cls(label, state["degraded"], state["ms"])


NOTHING_FOUND = Finding(Label(UNKNOWN, 0.0, "classifier"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a turn gets."""

    conversation: str
    """Names the conversation in the ledger."""
    key: str
    """Names the turn within its conversation."""
    user_id: str | None = None
    """Raw id of the person; kept so that an interrupted turn is recorded under its person."""
    intent: Label
    group: Label
    arm: Arm = "tailored"
    mode: Served = "plain"
    block: str | None = None
    """The rubric as text; with a group model it is what the turn falls back to."""
    model: str | None = None
    """The group whose model answers, or None."""
    rubric_version: int | None = None
    """Version of the rubric that was retrieved, also where it was not applied."""
    aspects: tuple[str, ...] = ()
    """Names of the aspects in the prompt; empty where none is."""
    guided: tuple[str, ...] = ()
    """Names of the aspects in ``block``."""
    unserved: str | None = None
    """Why nobody of this group can be served, where that looks like a mistake of the caller's."""
    degraded: str | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict[str, float])

    def trace(self) -> dict[str, Any]:
        """What the state shows under ``gpa``."""
        return {
            "intent": self.intent.value,
            "group": self.group.value,
            "confidence": {"intent": self.intent.confidence, "group": self.group.confidence},
            "source": {"intent": self.intent.source, "group": self.group.source},
            "arm": self.arm,
            "mode": self.mode,
            "rubric_version": self.rubric_version,
            "aspects": list(self.aspects),
            # What a group's model was tuned for is served without being in the prompt.
            **({"guided": list(self.guided)} if self.guided != self.aspects else {}),
            **({"unserved": self.unserved} if self.unserved else {}),
            "degraded": self.degraded,
            "timings_ms": dict(self.timings_ms),
        }

    def to_state(self) -> dict[str, Any]:
        """What the state keeps under ``gpa_turn`` for the later steps of the same turn."""
        return {
            "conversation": self.conversation,
            "key": self.key,
            "user_id": self.user_id,
            "block": self.block,
            "model": self.model,
            "guided": list(self.guided),
        }
