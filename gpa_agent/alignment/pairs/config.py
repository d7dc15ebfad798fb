"""Which turns make pairs, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass

from gpa_agent.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class PairsConfig:
    """How pairs are made.

    Example:
        >>> PairsConfig(groups=("novice",), per_person=5).holdout
        0.2
    """

    groups: tuple[str, ...] = ()
    """Groups to make pairs for; empty: all that are compared."""
    min_confidence: float = 0.6
    """Confidence in [0, 1] that a judgment read from the text needs; explicit ones have 1."""
    per_person: int = 10
    """Pairs of one person in a group's file, at most; of one conversation where nobody is named."""
    holdout: float = 0.2
    """Share in [0, 1) of people whose pairs are never trained on; raising it keeps who was."""
    max_similarity: float = 0.9
    """Likeness in (0, 1] to the logged answer from which on a twin is near-identical."""
    balance_lengths: float | None = None
    """Largest imbalance of lengths (`alignment.pairs.lengths`) among the pairs to train on,
    above 0; None: as they come."""

    def __post_init__(self) -> None:
        limits = {
            "min_confidence": 0 <= self.min_confidence <= 1,
            "per_person": self.per_person >= 1,
            "holdout": 0 <= self.holdout < 1,
            "max_similarity": 0 < self.max_similarity <= 1,
            "balance_lengths": self.balance_lengths is None or self.balance_lengths > 0,
        }
        wrong = [name for name, holds in limits.items() if not holds]
        if wrong:
            raise UsageError(
                f"{wrong[0]}={getattr(self, wrong[0])!r} is out of range: shares lie between 0 "
                "and 1, per_person is at least 1, balance_lengths above 0"
            )
