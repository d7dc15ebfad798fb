"""Do two groups differ in what pleases them, and in which traits?

The embedded engine's contrast of one intent (the place of Algorithm 1, lines 14-30, of Group
Preference Alignment): people's scores adjusted for all other traits, permuted between the
groups, at the level of traits and of families of traits. Pure: arrays in, figures out; the
correction over everything tested and the wording come later (`weighing`, `wording`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.rubrics.cells import Behind, Cell, Families, behind, cell_of
from gpa_agent.rubrics.observations import Observations
from gpa_agent.rubrics.permutation import (
    Differences,
    bootstrap_people,
    family_p_values,
    p_values,
    permute_people,
)
from gpa_agent.rubrics.records import EVERYBODY_ELSE, Contrast
from gpa_agent.rubrics.robustness import withstands
from gpa_agent.rubrics.scores import PersonScores, person_scores
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


class Support(NamedTuple):
    """Who speaks of a trait.

    Attributes:
        people: People on each side.
        turns: Judged turns on each side; aged ones count by their weight, rounded down.
    """

    people: Sides
    turns: Sides


@dataclass(frozen=True, kw_only=True)
class ContrastResult:
    """The figures of one contrast in one intent."""

    intent: str
    contrast: Contrast
    people: Sides
    turns: Sides
    """Judged turns on each side; aged ones count by their weight, rounded down."""
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
    withstands: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """(R,) share of one side's people that would have to collude to bring it about."""
    families: tuple[str, ...] = ()
    """Families with at least one tested trait; F of them."""
    family_p: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """(F,) permutation p-values of the families."""
    support: tuple[Support, ...] = ()
    """(R) who speaks of each trait: those that were not served under an item of it."""
    preferences: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    """(R) ids of the preferences that speak most for each finding, on each side."""


def run_contrast(
    observations: Observations,
    *,
    intent: str,
    contrast: Contrast,
    families: Families,
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
        As `run_cell`.
    """
    cell = cell_of(observations, intent=intent, contrast=contrast)
    return run_cell(cell, families, config)


def run_cell(cell: Cell, families: Families, config: ContrastConfig) -> ContrastResult:
    """Test the rows of one contrast in one intent.

    Args:
        cell: The rows.
        families: Columns of the traits in each family.
        config: Thresholds, permutations and seed.

    Returns:
        The figures, or ``untested`` with the reason where a side has too few people or turns,
        or only one kind of judgment. A trait of which too few rows speak is not among those
        tested; it still adjusts the others.
    """
    rows = cell.rows
    everything = behind(cell, np.ones((len(rows), 1), dtype=bool))
    untested = ContrastResult(
        intent=cell.intent,
        contrast=cell.contrast,
        people=_sides(everything.people[:, 0]),
        turns=_sides(everything.turns[:, 0]),
    )
    reason = _why_untestable(everything, cell.contrast, config)
    if reason is not None:
        return replace(untested, untested=reason)
    varying = np.flatnonzero(rows.values.std(axis=0) >= _MIN_SPREAD)
    if not len(varying):
        reason = "all answers are alike in every trait that is measured"
        return replace(untested, untested=reason)
    heard = behind(cell, ~rows.masked[:, varying])
    tested = np.flatnonzero(_testable(rows, varying, heard, config))
    if not len(tested):
        reason = (
            "of every trait too few judged turns speak that were not served under an item of it"
        )
        return replace(untested, untested=reason)

    scores = person_scores(
        rows.values[:, varying],
        rows.sat,
        rows.paired,
        rows.person,
        cell.first,
        weight=rows.weight,
        stratum=rows.stratum,
        masked=rows.masked[:, varying],
    )
    figures = _figures(scores, tested, config, _seed_of(config.seed, cell))
    traits = varying[tested]
    column = {int(t): i for i, t in enumerate(traits)}
    present = {f: [column[t] for t in ts if t in column] for f, ts in families.items()}
    present = {f: ts for f, ts in present.items() if ts}
    return replace(
        untested,
        traits=tuple(int(t) for t in traits),
        effect=figures.effect,
        interval=figures.interval,
        slopes=scores.slopes[:, tested],
        p=figures.p,
        g=figures.g,
        withstands=withstands(
            scores.adjusted[:, tested],
            scores.weight if scores.weight.shape[1] == 1 else scores.weight[:, tested],
            scores.first,
        ),
        support=tuple(
            Support(_sides(people), _sides(turns))
            for people, turns in zip(
                heard.people[:, tested].T, heard.turns[:, tested].T, strict=True
            )
        ),
        families=tuple(present),
        family_p=np.array([_family_p(figures.dealt, members) for members in present.values()]),
        preferences=speaking_most(cell, traits, figures.effect),
    )


def _sides(counts: NDArray[np.int64] | NDArray[np.float64]) -> Sides:
    return Sides(int(counts[0]), int(counts[1]))


def _seed_of(seed: int, cell: Cell) -> list[int]:
    """A stream of its own for each contrast: one more intent must not change the others."""
    name = "\x1f".join((cell.intent, *cell.contrast)).encode()
    return [seed, *name]


def _why_untestable(everything: Behind, contrast: Contrast, config: ContrastConfig) -> str | None:
    for side, name in enumerate(contrast):
        who = "everybody else" if name == EVERYBODY_ELSE else repr(name)
        n_people, n_turns, pleased, displeased = (int(count[side, 0]) for count in everything)
        if n_people < config.min_people or n_turns < config.min_turns:
            return (
                f"{who} has {n_people} people and {n_turns} judged turns here; "
                f"{config.min_people} people and {config.min_turns} turns are needed on each side"
            )
        if min(pleased, displeased) < _MIN_PER_JUDGMENT:
            return (
                f"{who} has {pleased} pleased and {displeased} displeased judgments here; "
                f"{_MIN_PER_JUDGMENT} of each kind are needed on each side"
            )
    return None


def _testable(
    rows: Observations, varying: NDArray[np.int64], heard: Behind, config: ContrastConfig
) -> NDArray[np.bool_]:
    """(T,) whether enough people, turns and judgments speak of a trait, and it varies there."""
    enough = (heard.people >= config.min_people) & (heard.turns >= config.min_turns)
    enough &= np.minimum(heard.pleased, heard.displeased) >= _MIN_PER_JUDGMENT
    testable: NDArray[np.bool_] = np.all(enough, axis=0)
    for i in np.flatnonzero(testable):
        speaks = ~rows.masked[:, varying[i]]
        testable[i] = rows.values[speaks, varying[i]].std() >= _MIN_SPREAD
    return testable


class _Dealt(NamedTuple):
    """Traits of which the same people speak, under the same permutations of these people."""

    traits: NDArray[np.int64]
    differences: Differences


class _Figures(NamedTuple):
    """As the fields of `ContrastResult`, and the permutations behind them."""

    effect: NDArray[np.float64]
    interval: NDArray[np.float64]
    p: NDArray[np.float64]
    g: NDArray[np.float64]
    dealt: list[_Dealt]


def _figures(
    scores: PersonScores, tested: NDArray[np.int64], config: ContrastConfig, seed: list[int]
) -> _Figures:
    """Deal people anew: of each trait those alone who speak of it.

    Who is silent of a trait, because they were only ever served under it, has nothing to be dealt;
    where a side has few that speak, dealing all would often leave it with nobody.
    """
    count = len(tested)
    effect, interval, p, g = np.zeros(count), np.zeros((count, 2)), np.ones(count), np.zeros(count)
    speaks = np.broadcast_to(scores.weight > 0, scores.adjusted.shape)[:, tested]
    speakers, of_trait = np.unique(speaks, axis=1, return_inverse=True)
    dealt: list[_Dealt] = []
    for number, speaking in enumerate(speakers.T):
        at = np.flatnonzero(of_trait.reshape(-1) == number)
        part = scores.take(np.flatnonzero(speaking), tested[at])
        people = (part.adjusted, part.weight, part.first)
        rng = np.random.default_rng(seed)
        differences = permute_people(*people, permutations=config.permutations, rng=rng)
        draws = bootstrap_people(*people, resamples=config.bootstrap, rng=rng)
        effect[at], p[at] = differences.effect, p_values(differences)
        interval[at] = percentile_interval(draws)
        g[at] = hedges_g(part.plain[part.first], part.plain[~part.first])
        dealt.append(_Dealt(at, differences))
    return _Figures(effect, interval, p, g, dealt)


def _family_p(dealt: Sequence[_Dealt], members: Sequence[int]) -> float:
    """P-value of a family, over the most of its traits of which the same people speak.

    Traits of which different people speak have no joint distribution under permutation.
    """
    parts = [np.flatnonzero(np.isin(part.traits, members)) for part in dealt]
    most = max(range(len(parts)), key=lambda i: len(parts[i]))
    return float(family_p_values(dealt[most].differences, [parts[most].tolist()])[0])


def speaking_most(
    cell: Cell, traits: Sequence[int] | NDArray[np.int64], effect: NDArray[np.float64]
) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Ids of the rows that pull each finding its way, at most one of a person a side.

    Args:
        cell: The rows.
        traits: Columns of the R findings.
        effect: (R,) their effects.
    """
    rows, first = cell.rows, cell.first
    direction = np.where(rows.sat, 1.0, -1.0)
    linked: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    for column, size in zip(traits, effect, strict=True):
        pull = direction * rows.weight * rows.values[:, column] * np.sign(size)
        sides: list[tuple[str, ...]] = []
        for side, way in ((first, 1.0), (~first, -1.0)):
            at = np.flatnonzero(side & ~rows.masked[:, column])
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
