"""What a local engine is asked, what it answers, and how it may fail to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from gpa_agent.errors import ServiceError, UsageError

FinishReason = Literal["stop", "length", "cancelled"]
"""``stop``: it ended by itself, or met a stop string; ``length``: a limit cut it off."""

_SEEDS: Final = range(-(2**63), 2**64)


class EngineBusy(ServiceError):  # noqa: N818 -- reads as the fact it reports
    """As many requests wait as may; the same one can be sent again later.

    Args:
        waiting: How many wait.
    """

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        super().__init__(
            f"the local engine is busy: {waiting} requests wait; "
            "try again later, or give it a larger max_waiting"
        )


class EngineClosed(ServiceError):  # noqa: N818 -- reads as the fact it reports
    """The engine was closed before the answer was whole."""

    def __init__(self) -> None:
        super().__init__("the local engine is closed; ask one that is open")


class DeadlinePassed(ServiceError):  # noqa: N818 -- reads as the fact it reports
    """The answer was not whole in the time it was given.

    Args:
        seconds: That time.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(
            f"no whole answer within {seconds:g} s; ask for fewer tokens, or allow more time"
        )


@dataclass(frozen=True, kw_only=True)
class Request:
    """One answer that is wanted.

    Raises:
        UsageError: A value is out of range.
    """

    messages: Sequence[Mapping[str, Any]]
    """The conversation, as chat templates take it: ``role``, ``content`` ..."""
    adapter: str | None = None
    """Which adapter answers; None is the base alone."""
    max_tokens: int = 512
    """Tokens of the answer, at least 1; less where the model's context has no room for them."""
    temperature: float = 0.7
    """0 takes the likeliest token always; at most 100."""
    top_p: float = 1.0
    """Share of the probability that is drawn from, in (0, 1]."""
    seed: int | None = None
    """The same seed gives the same answer, whoever else is answered beside it."""
    stop: Sequence[str] = ()
    """The answer ends before the first of these."""
    stream: bool = False
    """Whether its text is wanted as it comes."""
    seconds: float | None = None
    """From asking to the end of the answer; None waits for ever."""

    def __post_init__(self) -> None:
        for fault, what in (
            (not self.messages, "messages: at least one is needed"),
            (self.max_tokens < 1, f"max_tokens is {self.max_tokens}: at least 1"),
            (not 0 <= self.temperature <= 100, f"temperature is {self.temperature}: 0 to 100"),
            (not 0 < self.top_p <= 1, f"top_p is {self.top_p}: above 0, up to 1"),
            (self.seed is not None and self.seed not in _SEEDS, "seed: it must fit 64 bits"),
            (isinstance(self.stop, str) or "" in self.stop, "stop: a list of texts, none empty"),
            (
                self.seconds is not None and not 0 < self.seconds < math.inf,
                f"seconds is {self.seconds}: above 0, or None",
            ),
        ):
            if fault:
                raise UsageError(f"a request to the local engine is wrong: {what}")


class Answer(NamedTuple):
    """What was answered.

    Attributes:
        text: Without special tokens and without the stop string.
        finish_reason: Why it ended.
        prompt_tokens: Tokens of the rendered conversation.
        completion_tokens: Tokens made, the end of text among them.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
