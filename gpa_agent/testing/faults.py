"""What can go wrong with a simulated provider, drawn from the question and never from the time.

Every attempt at a question draws anew, so a retried question usually succeeds; the same run
meets the same faults.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random
from typing import Literal, NamedTuple

from gpa_agent.errors import UsageError
from gpa_agent.testing.chance import pick

FaultKind = Literal["server_errors", "rate_limited", "bad_requests", "malformed", "refusals", "cut"]
"""What can go wrong with one attempt; each is the name of its share in `Faults`."""

KINDS: tuple[FaultKind, ...] = (
    "server_errors",
    "rate_limited",
    "bad_requests",
    "malformed",
    "refusals",
    "cut",
)


class Draw(NamedTuple):
    """What happens to one attempt.

    Attributes:
        kind: What goes wrong, or None.
        seconds: How long the answer takes.
    """

    kind: FaultKind | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How a simulated provider fails; shares in [0, 1] of all attempts, together at most 1."""

    latency: float = 0.0
    """Seconds before each answer."""
    jitter: float = 0.0
    """Further seconds at most, uniform."""
    server_errors: float = 0.0
    """Share answered with status 500."""
    rate_limited: float = 0.0
    """Share answered with status 429."""
    retry_after: float | None = None
    """Seconds that a 429 asks to wait; None leaves the header out."""
    bad_requests: float = 0.0
    """Share answered with status 400, as for a text the provider will not take."""
    malformed: float = 0.0
    """Share of answers that are no JSON of the kind asked for."""
    refusals: float = 0.0
    """Share of answers that are withheld (``finish_reason`` is ``content_filter``)."""
    cut: float = 0.0
    """Share of answers that end in the middle: ``finish_reason`` is ``length``; a stream
    breaks off without an end."""
    down: bool = False
    """Whether every request is answered with status 503."""

    def __post_init__(self) -> None:
        shares = [getattr(self, kind) for kind in KINDS]
        if min(shares) < 0 or sum(shares) > 1 or self.latency < 0 or self.jitter < 0:
            given = {f.name: getattr(self, f.name) for f in fields(self)}
            raise UsageError(
                f"{given!r}: shares must be at least 0 and at most 1 together, and times at least 0"
            )

    def draw(self, question: str, attempt: int, *, seed: int = 0) -> Draw:
        """What happens to an attempt at a question.

        Args:
            question: The question's text, or its digest.
            attempt: How often it was asked before.
            seed: The server's.
        """
        rng = Random(f"{seed}/fault/{question}/{attempt}")
        seconds = self.latency + self.jitter * rng.random()
        left = rng.random()
        for kind in KINDS:
            left -= getattr(self, kind)
            if left < 0:
                return Draw(kind, seconds)
        return Draw(None, seconds)


def spoil(answer: str, question: str, attempt: int) -> str:
    """An answer made unreadable: half of it, prose, or JSON of another kind.

    Args:
        answer: The proper answer.
        question: The question's text, or its digest.
        attempt: How often it was asked before.
    """
    rng = Random(f"spoil/{question}/{attempt}")
    half = answer[: len(answer) // 2]
    return pick(rng, (half, "I would say the user seems happy enough.", '{"answer": "maybe"}'))
