"""Between evidence and live: what an aspect must show before anyone is served by it.

A pure decision on figures: q-value over the run, rating above the paper's threshold, people
and turns on each side, guidance that follows from the groups' own wishes, and nothing about
safety or honesty. Every refusal says which test failed.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpa_agent.rubrics.records import Evidence

Q_ABOVE = "q "
"""How the reason begins where the q-value is what an aspect fails by."""


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """Thresholds of the gate; defaults as in `Settings`."""

    max_q: float = 0.05
    rating_threshold: int = 2
    min_people: int = 5
    min_turns: int = 15


def refusal(
    evidence: Evidence,
    *,
    rating: int,
    guidance: dict[str, str],
    protected: bool,
    config: GateConfig,
) -> str | None:
    """Why an aspect may not be served, or None where it may.

    Args:
        evidence: Its figures.
        rating: Its Likert divergence.
        guidance: What would be served.
        protected: Whether the trait touches safety or honesty.
        config: The thresholds.
    """
    fewest_people, fewest_turns = min(evidence.people.values()), min(evidence.turns.values())
    tests = (
        (
            evidence.q_value > config.max_q,
            f"{Q_ABOVE}{evidence.q_value:.3g} is above {config.max_q:g}: may well be chance",
        ),
        (
            rating <= config.rating_threshold,
            f"rating {rating} is not above {config.rating_threshold}: too small to matter",
        ),
        (
            fewest_people < config.min_people,
            f"{fewest_people} people on one side; {config.min_people} are needed",
        ),
        (
            fewest_turns < config.min_turns,
            f"{fewest_turns} judged turns on one side; {config.min_turns} are needed",
        ),
        (protected, "concerns safety or honesty: measured, never served"),
        (not guidance, "no group clearly wants more or less of it"),
    )
    return next((reason for failed, reason in tests if failed), None)
