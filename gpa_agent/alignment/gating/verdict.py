"""From what was measured of an adapter to whether it may serve, and why not.

A pure decision on figures. The burden of proof is the adapter's: it must clearly win for its own
group, with an interval over people, and nothing else may get worse. All that speaks against it
is said, not only the first thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from gpa_agent.alignment.gating.coherence import Signals
from gpa_agent.rubrics.statistics import percentile_interval

Floats = NDArray[np.float64]
Checkpoint = int | Literal["final"]

_BLOCK: Final = 1000
"""Resamples drawn at once; bounds the memory."""
_BLOCKS: Final = 20
_IN_A_TAIL: Final = 2
"""Resamples that must lie beyond an interval's end, so that it is more than their extreme."""
_FEW_END: Final = 0.5
"""Share of the base's answers that must end within the limit, so that ending tells anything."""


class GateConfig(BaseModel):
    """What an adapter must show on held-out prompts before it serves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_people: Annotated[int, Field(ge=2)] = 10
    """People with held-out pairs: they are the unit of the interval."""
    min_prompts: Annotated[int, Field(ge=2)] = 20
    """Held-out pairs."""
    max_prompts: Annotated[int, Field(ge=2)] = 200
    """Held-out pairs looked at, taken evenly from all people; bounds what the gate costs."""

    samples: Annotated[int, Field(ge=1, le=16)] = 2
    """Answers to each prompt, of the base and of the adapter."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    """Of the answers; 0 takes the likeliest token always."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 256
    """Where an answer is cut off; most of the base's should end before."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Answers made at once."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the answers and of the bootstrap."""

    min_advantage: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """What the lower end of the interval of the advantage (share won less share lost, in [-1, 1])
    must lie above for the own group: one that hardly differs from the base would take the place of
    a prompt that works. For another group's rubric it must not lie above 0."""
    max_other_win: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """What the mean advantage by another group's rubric may be, however wide its interval: few
    people must not hide a win."""
    error: Annotated[float, Field(ge=0.001, lt=1)] = 0.05
    """Chance of error that the own group's intervals leave, over all checkpoints that are examined
    on the same people, in this run and in those before: look k takes 1 / k(k + 1) of it. The
    other groups' intervals leave all of it every time: wider ones would hide a win."""
    max_incoherence: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """How much smaller than the base's the share of coherent answers may be."""
    max_unended: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """How much smaller than the base's the share of answers that end may be."""
    max_fall: Annotated[float, Field(ge=0)] = 0.0
    """How much less likely than to the base the held-out chosen answers may be, in nats an
    answer."""
    max_drift: Annotated[float, Field(gt=1)] = 1.5
    """How many times longer than the longer of the base's and the chosen answers, or shorter than
    the shorter, its answers may be on average."""


class Verdict(BaseModel):
    """What the gate says about an adapter."""

    model_config = ConfigDict(frozen=True)

    passed: bool
    reasons: tuple[str, ...] = ()
    """All that speaks against it, in words and figures; empty where it passed."""
    figures: dict[str, float | None] = Field(default_factory=dict[str, float | None])
    """What was measured; None where it was not a number. ``advantage:<group>`` is for another
    group's rubric."""
    checkpoint: Checkpoint = "final"
    """Which weights were examined."""


class Taxed(NamedTuple):
    """What a check of general abilities found.

    Attributes:
        reasons: What got worse than may be, in words and figures; none where nothing did.
        figures: What was measured.
    """

    reasons: tuple[str, ...] = ()
    figures: Mapping[str, float] = {}


class Estimate(NamedTuple):
    """A mean over people with its interval.

    Attributes:
        mean: Every person counts the same.
        low: Lower end.
        high: Upper end.
    """

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


class Compared(NamedTuple):
    """How answers fared against the base's by one group's rubric; an incoherent answer loses.

    Attributes:
        win: Share won.
        loss: Share lost.
        advantage: The one less the other.
    """

    win: float
    loss: float
    advantage: Estimate


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that was measured of an adapter on its group's held-out pairs."""

    group: str
    people: int
    prompts: int
    own: Compared
    others: Mapping[str, Compared]
    """By the rubric of each other group."""
    signals: Signals
    base_signals: Signals
    rise: Estimate
    """How much likelier than to the base the chosen answers are, nats an answer."""
    tokens: float
    """Of an answer, mean."""
    base_tokens: float
    chosen_tokens: float
    max_new_tokens: int
    taxed: Taxed = field(default_factory=Taxed)


def person_estimate(
    values: Floats, person: NDArray[np.int64], *, error: float, seed: int
) -> Estimate:
    """Mean over people of their own means, with a percentile bootstrap interval over people.

    Args:
        values: (n,) one figure a row.
        person: (n,) 0 to P-1; each occurs.
        error: What the interval leaves outside, in (0, 1).
        seed: Of the resampling.

    Returns:
        Not a number throughout where a value is not; no interval (its ends the mean) for one
        person, or where all are alike.

    Reference: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    counts = np.bincount(person)
    means = np.bincount(person, weights=values) / counts
    rng, size = np.random.default_rng(seed), (_BLOCK, len(means))
    drawn = [means[rng.integers(len(means), size=size)].mean(axis=1) for _ in range(_BLOCKS)]
    low, high = percentile_interval(np.concatenate(drawn)[:, None], coverage=1 - error)[0]
    return Estimate(float(means.mean()), float(low), float(high))


def compare(
    scores: Floats,
    base: Floats,
    coherent: NDArray[np.bool_],
    person: NDArray[np.int64],
    *,
    margin: float,
    error: float,
    seed: int,
) -> Compared:
    """Compare answers with the base's, row by row.

    Args:
        scores: (n,) of the adapter's answers; higher is better.
        base: (n,) of the base's.
        coherent: (n,) of the adapter's; one that is not loses, whatever its score.
        person: (n,) whose prompt it is, 0 to P-1.
        margin: Scores no farther apart are a tie.
        error: What the interval leaves outside.
        seed: Of the resampling.
    """
    win = coherent & (scores > base + margin)
    loss = ~coherent | (scores < base - margin)
    advantage = person_estimate(
        win.astype(np.float64) - loss.astype(np.float64), person, error=error, seed=seed
    )
    return Compared(float(win.mean()), float(loss.mean()), advantage)


def too_few(group: str, people: int, prompts: int, config: GateConfig) -> str | None:
    """Why nothing can be said about a group's adapter, with the remedy; None where it can.

    Args:
        group: The group.
        people: With held-out pairs.
        prompts: Held-out pairs.
        config: What is needed.
    """
    if people >= config.min_people and prompts >= config.min_prompts:
        return None
    return (
        f"{prompts} held-out pairs of {people} people in group {group!r} are too few to tell "
        f"whether an adapter helps: {config.min_prompts} of {config.min_people} are needed. "
        "Collect judged answers of more people, or hold a larger share of the pairs out"
    )


def error_at(look: int, config: GateConfig) -> float:
    """What a look at a group's people may leave outside its interval.

    The shares 1/2, 1/6, 1/12 ... add up to one, and fall slowly enough for a few runs.

    Args:
        look: Which it is, from 1.
        config: What all of them together may.
    """
    return config.error / (look * (look + 1))


def too_often(group: str, looks: int, config: GateConfig) -> str | None:
    """Why a group's people cannot be looked at once more, with the remedy; None where they can.

    Args:
        group: The group.
        looks: How often they were, in all runs.
        config: What all looks together may leave.
    """
    if _BLOCK * _BLOCKS * error_at(looks + 1, config) / 2 >= _IN_A_TAIL:
        return None
    return (
        f"models of group {group!r} were examined too often on the same people: {looks} times, and "
        "whoever tries long enough passes by chance. Make pairs of new people with 'gpa pairs'"
    )


def decide(measured: Measured, config: GateConfig, *, checkpoint: Checkpoint = "final") -> Verdict:
    """Whether an adapter may serve.

    Args:
        measured: The figures.
        config: What they must be.
        checkpoint: Which weights they are of.
    """
    reasons = (
        *_preference(measured, config),
        *_coherence(measured, config),
        *_likelihood(measured, config),
        *_length(measured, config),
        *measured.taxed.reasons,
    )
    return Verdict(
        passed=not reasons, reasons=reasons, figures=_figures(measured), checkpoint=checkpoint
    )


# Conditions below are written so that what is not a number never passes.


def _preference(measured: Measured, config: GateConfig) -> list[str]:
    own, reasons = measured.own, list[str]()
    if own.win == 0 == own.loss:
        reasons.append(
            "all its answers are ties with the base's: the judge sees no difference. Where no "
            f"live item of group {measured.group!r} can be measured, name a judge that can tell"
        )
    elif not own.advantage.low > config.min_advantage:
        reasons.append(
            f"by the rubric of its own group {measured.group!r} it wins {own.win:.0%} and loses "
            f"{own.loss:.0%} against the base: advantage {own.advantage} over "
            f"{measured.people} people is not clearly above {config.min_advantage:g}"
        )
    for group, other in measured.others.items():
        clear = not other.advantage.low <= 0
        if clear or not other.advantage.mean <= config.max_other_win:
            bound = "" if clear else f" (its mean may be {config.max_other_win:g})"
            reasons.append(
                f"it wins for group {group!r} too: {other.win:.0%} against {other.loss:.0%} "
                f"lost, advantage {other.advantage}{bound}: what it learned is not its group's own"
            )
    return reasons


def _coherence(measured: Measured, config: GateConfig) -> list[str]:
    own, base, reasons = measured.signals, measured.base_signals, list[str]()
    if not own.coherent.mean() >= base.coherent.mean() - config.max_incoherence:
        reasons.append(
            f"{own.coherent.mean():.0%} of its answers are coherent where "
            f"{base.coherent.mean():.0%} of the base's are: {_signs(own)}"
        )
    if not base.ended.mean() >= _FEW_END:
        reasons.append(
            f"only {base.ended.mean():.0%} of the base's own answers end within "
            f"{measured.max_new_tokens} tokens, so that ending tells nothing: raise max_new_tokens"
        )
    elif not own.ended.mean() >= base.ended.mean() - config.max_unended:
        reasons.append(
            f"{own.ended.mean():.0%} of its answers end within {measured.max_new_tokens} tokens; "
            f"of the base's {base.ended.mean():.0%}"
        )
    return reasons


def _signs(signals: Signals) -> str:
    signs = [
        f"{signals.looping.mean():.0%} repeat themselves",
        f"in {(~signals.likely).mean():.0%} the base finds a stretch all but impossible",
    ]
    if signals.checked is not None:
        signs.append(f"{(~signals.checked).mean():.0%} fail the judge's own check")
    return ", ".join(signs)


def _likelihood(measured: Measured, config: GateConfig) -> list[str]:
    if measured.rise.mean >= -config.max_fall:
        return []
    reason = "held-out answers that people chose became less likely than they are to the base: "
    return [f"{reason}{measured.rise} nats an answer"]


def _length(measured: Measured, config: GateConfig) -> list[str]:
    usual = (measured.base_tokens, measured.chosen_tokens)
    low, high = min(usual) / config.max_drift, max(usual) * config.max_drift
    if low <= measured.tokens <= high:
        return []
    reason = (
        f"its answers have {measured.tokens:.0f} tokens on average, outside {low:.0f} to "
        f"{high:.0f}: the base's have {measured.base_tokens:.0f}, the chosen ones "
        f"{measured.chosen_tokens:.0f}"
    )
    return [reason]


def _figures(measured: Measured) -> dict[str, float | None]:
    own, signals, base = measured.own, measured.signals, measured.base_signals
    figures: dict[str, float] = {
        "people": measured.people,
        "prompts": measured.prompts,
        "win": own.win,
        "loss": own.loss,
        "tie": 1 - own.win - own.loss,
        "advantage": own.advantage.mean,
        "advantage_low": own.advantage.low,
        "advantage_high": own.advantage.high,
        **{f"advantage:{group}": other.advantage.mean for group, other in measured.others.items()},
        **{f"win:{group}": other.win for group, other in measured.others.items()},
        "coherent": float(signals.coherent.mean()),
        "coherent_base": float(base.coherent.mean()),
        "looping": float(signals.looping.mean()),
        "unlikely": float((~signals.likely).mean()),
        "ended": float(signals.ended.mean()),
        "ended_base": float(base.ended.mean()),
        "chosen_rise": measured.rise.mean,
        "tokens": measured.tokens,
        "tokens_base": measured.base_tokens,
        "tokens_chosen": measured.chosen_tokens,
        **measured.taxed.figures,
    }
    return {name: value if np.isfinite(value) else None for name, value in figures.items()}
