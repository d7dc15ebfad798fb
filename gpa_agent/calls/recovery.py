"""What to do after a failed call: wait and try again, give the question up, or end the run."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from gpa_agent.calls.breaker import Breaker
from gpa_agent.calls.failures import Failure
from gpa_agent.calls.limits import Limits
from gpa_agent.calls.pacing import Clock, Pace
from gpa_agent.errors import ModelError

FIRST_WAIT: Final = 0.5
"""Seconds before the second try; doubled for each one after it."""
LONGEST_WAIT: Final = 5.0
"""Seconds between tries, at most: a provider that is down is to show within half a minute."""
UNKNOWN_TRIES: Final = 3
"""Calls made for a question whose failures nobody understands."""
ALL_REFUSED: Final = 10
"""Questions refused, and none answered, that make it the request that is wrong."""

_REMEDIES: Final = {
    401: "the key is not accepted: check OPENAI_API_KEY, or your provider's variable",
    402: "the account has no credit: add some",
    403: "the key may not use this model: choose another, or ask for access",
    404: "no such model or address: check the model's name and OPENAI_BASE_URL",
    429: "the account's quota is used up: add credit",
}
"""What to do about statuses that no waiting helps against."""


@dataclass(kw_only=True)
class Tries:
    """What one question has gone through so far."""

    failed: int = 0
    """Calls that failed; being told to come back later is none."""
    unknown: int = 0
    """Those whose failure nobody understands."""
    seconds: float = 0.0
    """In failed calls and in waits that the provider caused; our own queue is not counted."""


class Recovery:
    """Decides over failures of one provider.

    Args:
        model: Its name, for messages.
        limits: How long to try.
        clock: Where time comes from.
        pace: Is paused for as long as the provider asks.
        until: When the run's time is over; no wait lasts longer.
        random: For the jitter of waits.
    """

    def __init__(
        self, model: str, limits: Limits, clock: Clock, *, pace: Pace, until: float, random: Random
    ) -> None:
        self._model = model
        self._limits = limits
        self._clock = clock
        self._pace = pace
        self._until = until
        self._random = random
        self._breaker = Breaker(limits.concurrency, clock.monotonic)
        self._answers = 0
        self._refusals = 0

    def answered(self) -> None:
        """A call was answered."""
        self._answers += 1
        self._breaker.answered()

    async def after(
        self, failure: Failure, tries: Tries, *, took: float
    ) -> Literal["again", "refused", "failed"]:
        """Wait as long as is right.

        Args:
            failure: What went wrong.
            tries: Of the question; brought up to date.
            took: Seconds the call took.

        Returns:
            Whether to ask again, or why not.

        Raises:
            ModelError: There is no point in asking anything.
        """
        if failure.kind == "barred":
            raise ModelError(
                f"{self._model}: {_REMEDIES[failure.status or 0]}{_http(failure)}"
            ) from (failure.error)
        if failure.kind == "refused":
            return self._refused(failure)
        told_to_wait = failure.kind == "limited" and bool(failure.wait)
        tries.failed += not told_to_wait
        tries.unknown += failure.kind == "unknown"
        wait = failure.wait or self._backoff(tries.failed)
        tries.seconds += took + wait
        given_up = self._given_up(tries)
        self._raise_if_hopeless(failure, tries, counts=given_up or not told_to_wait)
        if given_up:
            return "failed"
        await self._wait(failure, wait)
        return "again"

    def _refused(self, failure: Failure) -> Literal["refused"]:
        self._breaker.answered()
        self._refusals += 1
        if self._refusals >= ALL_REFUSED and not self._answers:
            raise ModelError(
                f"{self._model} refused the first {self._refusals} questions{_http(failure)}: "
                f"{failure.said!r}. Check the model's parameters"
            ) from failure.error
        return "refused"

    def _backoff(self, failed: int) -> float:
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (failed - 1))
        return wait * self._random.uniform(0.75, 1.0)

    def _given_up(self, tries: Tries) -> bool:
        limits = self._limits
        return tries.failed >= limits.tries or tries.seconds > limits.question_seconds

    def _raise_if_hopeless(self, failure: Failure, tries: Tries, *, counts: bool) -> None:
        if tries.unknown >= UNKNOWN_TRIES:
            raise ModelError(
                f"{self._model} fails with {failure.name}, which is not known to pass; "
                f"{self._kept()}. Try the model by itself, and run again when it answers"
            ) from failure.error
        if (failure.wait or 0) > self._limits.question_seconds:
            raise ModelError(
                f"{self._model} asks to come back in {failure.wait:.0f} s{_http(failure)}; "
                f"{self._kept()}: run again then, and it goes on where it stopped"
            ) from failure.error
        if counts and self._breaker.failed():
            raise ModelError(
                f"{self._model} does not answer: one call after the other fails, the last with "
                f"{failure.name}{_http(failure)}; {self._kept()}. Check that the server is up and "
                "OPENAI_BASE_URL is right, and run again: it goes on where it stopped"
            ) from failure.error

    async def _wait(self, failure: Failure, wait: float) -> None:
        if failure.wait:
            self._pace.pause(wait)
            return
        rest = min(wait, self._until - self._clock.monotonic())
        if rest > 0:
            await self._clock.sleep(rest)

    def _kept(self) -> str:
        return f"{self._answers} answers of this run are kept"


def _http(failure: Failure) -> str:
    return "" if failure.status is None else f" (HTTP {failure.status})"
