"""What a run's questions came to, in numbers; read while it runs."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Numbers of one prompt, or of all; they add up.

    Example:
        >>> (Figures(calls=2, cost=0.5) + Figures(cached=1)).cost
        0.5
    """

    calls: int = 0
    """Calls made, repairs and repeated tries included."""
    cached: int = 0
    """Answers that came from the ledger."""
    repaired: int = 0
    """Answers that came of a repair call, those from the ledger included."""
    malformed: int = 0
    """Questions without an answer because it could not be read, after a repair call."""
    refused: int = 0
    """Questions the provider refused."""
    failed: int = 0
    """Questions given up; asked again by the next run."""
    retried: int = 0
    """Calls that failed and were made again."""
    rate_limited: int = 0
    """Calls that were one too many for the provider (status 429)."""
    input_tokens: int = 0
    """Tokens sent in calls that were answered."""
    output_tokens: int = 0
    """Tokens said."""
    cached_tokens: int = 0
    """Tokens sent that the provider had in its prompt cache."""
    cost: float | None = 0.0
    """US dollars; None where a call was answered whose price is not known."""

    def __add__(self, other: Self) -> Figures:
        sums: dict[str, Any] = {
            field.name: _sum(getattr(self, field.name), getattr(other, field.name))
            for field in fields(Figures)
        }
        return Figures(**sums)


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


class CallCounts:
    """Figures by prompt; safe to read from other threads while they grow.

    Example:
        >>> counts = CallCounts()
        >>> counts.add("intent", Figures(calls=1))
        >>> counts.total.calls, counts.by_prompt["intent"].calls
        (1, 1)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_prompt: dict[str, Figures] = {}

    def add(self, prompt: str, figures: Figures) -> None:
        """Add to a prompt's figures."""
        with self._lock:
            self._by_prompt[prompt] = self._by_prompt.get(prompt, Figures()) + figures

    @property
    def by_prompt(self) -> dict[str, Figures]:
        """Figures by prompt, as they are now."""
        with self._lock:
            return dict(self._by_prompt)

    @property
    def total(self) -> Figures:
        """Figures over all prompts, as they are now."""
        return sum(self.by_prompt.values(), Figures())

    def model_dump(self) -> dict[str, Any]:
        """The total's figures, and ``by_prompt``; for a report's JSON."""
        by_prompt = self.by_prompt
        total = sum(by_prompt.values(), Figures())
        return asdict(total) | {
            "by_prompt": {name: asdict(figures) for name, figures in sorted(by_prompt.items())}
        }
