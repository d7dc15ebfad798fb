"""When to believe that a provider is down, and stop asking.

Errors come in ones and twos while a provider works; a long row of them with no answer in
between is something else. A row has to last some seconds, too: sixty-four calls in flight
fail at once when a server restarts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

NEVER_ANSWERED: Final = 10
"""Failures in a row before the first answer: the address or the server is likely wrong."""
NEVER_ANSWERED_SECONDS: Final = 3.0
"""How long such a row lasts at least."""
STOPPED_ANSWERING: Final = 20
"""Failures in a row after an answer, at least; twice the calls in flight where that is more."""
STOPPED_ANSWERING_SECONDS: Final = 15.0
"""How long such a row lasts at least; a question's own tries last longer, so none is lost."""


class Breaker:
    """Watches answers and failures of one provider.

    Args:
        concurrency: Calls in flight, at most.
        monotonic: Seconds that never run backwards.
    """

    def __init__(self, concurrency: int, monotonic: Callable[[], float]) -> None:
        self._stopped = max(STOPPED_ANSWERING, 2 * concurrency)
        self._monotonic = monotonic
        self._answered = False
        self._failures = 0
        self._since = 0.0

    def answered(self) -> None:
        """The provider answered, if only to refuse a question."""
        self._answered = True
        self._failures = 0

    def failed(self) -> bool:
        """A call failed.

        Returns:
            Whether the provider is down by all appearances.
        """
        now = self._monotonic()
        if not self._failures:
            self._since = now
        self._failures += 1
        row, seconds = (
            (self._stopped, STOPPED_ANSWERING_SECONDS)
            if self._answered
            else (NEVER_ANSWERED, NEVER_ANSWERED_SECONDS)
        )
        return self._failures >= row and now - self._since >= seconds
