"""How fast and how far a run may call a chat model."""

from __future__ import annotations

from dataclasses import dataclass, fields

from gpa_agent.errors import UsageError

_MAY_BE_0 = ("max_calls", "max_cost")
"""Limits that may be used up before a run begins: what the ledger holds is answered still."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a run; None is no limit.

    Pace: `concurrency`, `requests_per_minute`, `tokens_per_minute`. The whole run: `max_calls`,
    `max_cost`, `total_seconds`. One question: `call_seconds`, `question_seconds`, `tries`.

    Example:
        >>> Limits(concurrency=64, max_calls=2000).tries
        8
    """

    concurrency: int = 16
    """Calls in flight, at most: what the provider works on at a time."""
    requests_per_minute: float | None = None
    """Calls started a minute; spread evenly, so that no short window sees more."""
    tokens_per_minute: float | None = None
    """Input and output tokens a minute, estimated before a call and put right after it."""
    max_calls: int | None = None
    """Calls really made, tries included; answers from the ledger are free."""
    max_cost: float | None = None
    """US dollars; needs a price for the model."""
    total_seconds: float | None = None
    """Seconds from opening the model on; what is in flight then finishes."""
    call_seconds: float = 120.0
    """Seconds one call may take before it is given up and tried again."""
    question_seconds: float = 300.0
    """Seconds one question may take over all its tries, waiting included."""
    tries: int = 8
    """Calls made for one question, at most; being told to come back later is not a try."""

    @property
    def unstored(self) -> int:
        """Calls a kill can cost, at most: those in flight, and answers that are being stored.

        While an answer is stored the next call is made already, so that the provider never waits
        for a disk; with one call in sixteen in that state a run is about as fast as with any
        number.
        """
        return self.concurrency + self.concurrency // 16

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            none_left = field.name in _MAY_BE_0 and value == 0
            if value is not None and not (value > 0 or none_left):
                raise UsageError(f"{field.name} is a positive number, not {value!r}")
