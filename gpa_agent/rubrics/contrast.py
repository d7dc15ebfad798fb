"""Do two groups differ in what pleases them, and in which traits?

The embedded engine's contrast of one intent (the place of Algorithm 1, lines 14-30, of Group
Preference Alignment): people's scores adjusted for all other traits, permuted between the
groups, at the level of traits and of families of traits. Pure: arrays in, figures out; the
correction over everything tested and the wording come later (`weighing`, `wording`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.rubrics.observations import Observations
from gpa_agent.rubrics.permutation import (
    bootstrap_people,
    family_p_values,
    p_values,
    permute_people,
)
from gpa_agent.rubrics.records import EVERYBODY_ELSE, Contrast
from gpa_agent.rubrics.scores import person_scores
from gpa_agent.rubrics.statistics import hedges_g, percentile_interval

_MIN_PER_JUDGMENT = 3
"""Judgments of each kind a side needs: all pleased or all displeased says nothing about why."""
_MIN_SPREAD = 0.05
"""A trait is tested where it varies by this much of its run-wide standard deviation."""
_LINKED_PREFERENCES = 10
"""Preferences linked to a finding on each side: those that speak most for it."""


@dataclass(frozen=True, kw_only=True)
class ContrastConfig:
    """What a contrast needs and how it is tested; defaults as in `Settings`."""

    min_people: int = 5
    min_turns: int = 15
    permutations: int = 9999
    bootstrap: int = 1000
    seed: int = 0


class Sides(NamedTuple):
    """A count on the first-named side and on the other."""

    first: int
    other: int


@dataclass(frozen=True, kw_only=True)
class ContrastResult:
    """The figures of one contrast in one intent."""

    intent: str
    contrast: Contrast
    people: Sides
    turns: Sides
    untested: str | None = None
    """Why nothing was tested, where nothing was; the arrays below are then empty."""
    traits: tuple[int, ...] = ()
    """Columns of the observations that vary here and were tested; R of them."""
    effect: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """(R,) difference of the sides' slopes, log-odds per standard deviation."""
    interval: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    """(R, 2) 95% bootstrap interval over people."""
    slopes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 0)))
    """(2, R) the slope on each side."""
    p: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """(R,) two-sided permutation p-values."""
    g: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """(R,) Hedges' g of people's unadjusted mean scores."""
    families: tuple[str, ...] = ()
    """Families with at least one tested trait; F of them."""
    family_p: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """(F,) permutation p-values of the families."""
    preferences: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    """(R) ids of the preferences that speak most for each finding, on each side."""


def run_contrast(
    observations: Observations,
    *,
    intent: str,
    contrast: Contrast,
    families: Mapping[str, Sequence[int]],
    config: ContrastConfig,
) -> ContrastResult:
    """Test one contrast in one intent.

    Args:
        observations: All rows of the run; those of other intents are ignored.
        intent: The intent to look at.
        contrast: The two sides; ``other="*"`` is every row of the intent outside the group,
            rows of unknown group included.
        families: Columns of the traits in each family.
        config: Thresholds, permutations and seed.

    Returns:
        The figures, or ``untested`` with the reason where a side has too few people or turns,
        or only one kind of judgment.
    """
    in_intent = np.array([i == intent for i in observations.intent], dtype=bool)
    on_first = np.array([g == contrast.group for g in observations.group], dtype=bool)
    on_other = (
        ~on_first
        if contrast.other == EVERYBODY_ELSE
        else np.array([g == contrast.other for g in observations.group], dtype=bool)
    )
    rows = observations.select(in_intent & (on_first | on_other))
    first = on_first[in_intent & (on_first | on_other)]
    people = Sides(len(set(rows.person[first])), len(set(rows.person[~first])))
    turns = Sides(int(first.sum()), int((~first).sum()))
    reason = _why_untestable(rows, first, people, turns, contrast, config)
    spread = rows.values.std(axis=0) if len(rows) else np.zeros(0)
    traits = np.flatnonzero(spread >= _MIN_SPREAD)
    if reason is None and not len(traits):
        reason = "all answers are alike in every trait that is measured"
    if reason is not None:
        return ContrastResult(
            intent=intent, contrast=contrast, people=people, turns=turns, untested=reason
        )

    scores = person_scores(rows.values[:, traits], rows.sat, rows.paired, rows.person, first)
    rng = np.random.default_rng(_seed_of(config.seed, intent, contrast))
    differences = permute_people(
        scores.adjusted, scores.weight, scores.first, permutations=config.permutations, rng=rng
    )
    draws = bootstrap_people(
        scores.adjusted, scores.weight, scores.first, resamples=config.bootstrap, rng=rng
    )
    column = {int(t): i for i, t in enumerate(traits)}
    tested = {f: [column[t] for t in ts if t in column] for f, ts in families.items()}
    tested = {f: ts for f, ts in tested.items() if ts}
    return ContrastResult(
        intent=intent,
        contrast=contrast,
        people=people,
        turns=turns,
        traits=tuple(int(t) for t in traits),
        effect=differences.effect,
        interval=percentile_interval(draws),
        slopes=scores.slopes,
        p=p_values(differences),
        g=hedges_g(scores.plain[scores.first], scores.plain[~scores.first]),
        families=tuple(tested),
        family_p=family_p_values(differences, list(tested.values())),
        preferences=_speaking_most(rows, first, traits, differences.effect),
    )


def _seed_of(seed: int, intent: str, contrast: Contrast) -> list[int]:
    """A stream of its own for each contrast: one more intent must not change the others."""
    name = "\x1f".join((intent, *contrast)).encode()
    return [seed, *name]


def _why_untestable(
    rows: Observations,
    first: NDArray[np.bool_],
    people: Sides,
    turns: Sides,
    contrast: Contrast,
    config: ContrastConfig,
) -> str | None:
    names = (contrast.group, contrast.other)
    for name, side, n_people, n_turns in zip(names, (first, ~first), people, turns, strict=True):
        who = "everybody else" if name == EVERYBODY_ELSE else repr(name)
        if n_people < config.min_people or n_turns < config.min_turns:
            return (
                f"{who} has {n_people} people and {n_turns} judged turns here; "
                f"{config.min_people} people and {config.min_turns} turns are needed on each side"
            )
        pairs = int(rows.paired[side].sum())
        pleased = int(rows.sat[side & ~rows.paired].sum()) + pairs
        displeased = int((~rows.sat[side & ~rows.paired]).sum()) + pairs
        if min(pleased, displeased) < _MIN_PER_JUDGMENT:
            return (
                f"{who} has {pleased} pleased and {displeased} displeased judgments here; "
                f"{_MIN_PER_JUDGMENT} of each kind are needed on each side"
            )
    return None


def _speaking_most(
    rows: Observations,
    first: NDArray[np.bool_],
    traits: NDArray[np.int64],
    effect: NDArray[np.float64],
) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Ids of the rows that pull each finding its way, at most one of a person a side."""
    direction = np.where(rows.sat, 1.0, -1.0)
    linked: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    for column, size in zip(traits, effect, strict=True):
        pull = direction * rows.values[:, column] * np.sign(size)
        sides: list[tuple[str, ...]] = []
        for side, way in ((first, 1.0), (~first, -1.0)):
            at = np.flatnonzero(side)
            best = at[np.argsort(-way * pull[at], kind="stable")]
            sides.append(_one_each(rows, best))
        linked.append((sides[0], sides[1]))
    return tuple(linked)


def _one_each(rows: Observations, order: NDArray[np.int64]) -> tuple[str, ...]:
    chosen: dict[int, str] = {}
    for i in order[: 20 * _LINKED_PREFERENCES]:
        chosen.setdefault(int(rows.person[i]), rows.ids[i])
        if len(chosen) == _LINKED_PREFERENCES:
            break
    return tuple(chosen.values())
