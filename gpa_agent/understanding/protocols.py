"""What the rest of the package asks of a classifier: one protocol each.

Every kind (model-based, embedded, distilled) implements these; batch in, list out, in
order. A result below the classifier's own threshold is ``unknown`` (NEITHER for
satisfaction): an honest "cannot tell" that always leads to the plain answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from gpa_agent.conversations.records import Label, Verdict


class JudgedTurn(NamedTuple):
    """What a satisfaction reader looks at: an answer and what the user said next.

    Attributes:
        user: The utterance that was answered.
        assistant: The answer to be judged.
        reply: The user's next utterance, the evidence.
        earlier: The user's utterances before ``user``, oldest first (repetition is read from them).
        last: Whether ``reply`` is the last thing said in the conversation.
    """

    user: str
    assistant: str
    reply: str
    earlier: tuple[str, ...] = ()
    last: bool = False


@runtime_checkable
class SatisfactionReader(Protocol):
    """Tells from the user's next turn whether an answer pleased."""

    @property
    def version(self) -> str:
        """Changes whenever the same input could be judged differently (part of the stage key)."""
        ...

    def judge(self, turns: Sequence[JudgedTurn]) -> list[Verdict]:
        """Judge each turn; NEITHER where it cannot tell."""
        ...


@runtime_checkable
class IntentClassifier(Protocol):
    """Tells the intent (domain and task) of what a user asks."""

    @property
    def version(self) -> str:
        """Changes whenever the same input could be labelled differently."""
        ...

    def classify(self, texts: Sequence[str]) -> list[Label]:
        """Label each user utterance with an intent of the taxonomy, or ``unknown``."""
        ...


@runtime_checkable
class GroupClassifier(Protocol):
    """Tells the group of the user from what they have said so far in the conversation."""

    @property
    def version(self) -> str:
        """Changes whenever the same input could be labelled differently."""
        ...

    def classify(self, texts: Sequence[str]) -> list[Label]:
        """Label the concatenated user utterances of each conversation, or ``unknown``."""
        ...
