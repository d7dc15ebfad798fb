"""Weigh what a model claims: counted by people, tested by permutation, corrected together.

Each claim has two sides, what the first-named group is said to want and what the other is. A
preference of the testing part counts +1 where it voices the first, -1 where it voices the
second, 0 where it voices neither. The effect is the difference of the groups' means, in shares
of what was voiced (-2 to 2); its p-value comes from dealing people anew, its interval from the
bootstrap over people, its q-value from Benjamini-Hochberg over all claims of the run. A group is
given guidance only where enough of its own people voiced it, and more than voiced the other.

In an app that learns while it serves, a turn that was served under a claim says nothing of that
claim (`Wishes.masked`): users who are given what they want fall silent about it, or praise it,
and either would be the claim's own doing. What serving it does is told by the holdout alone.
Older turns weigh less (`Wishes.weight`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.prompts import AspectItem
from gpa_agent.rubrics.contrast import ContrastConfig, ContrastResult, Sides
from gpa_agent.rubrics.gate import GateConfig, refusal
from gpa_agent.rubrics.permutation import (
    bootstrap_people,
    p_values,
    permute_people,
)
from gpa_agent.rubrics.records import (
    CLAIMED,
    EVERYBODY_ELSE,
    Aspect,
    Contrast,
    ContrastModel,
    Evidence,
    Rubric,
)
from gpa_agent.rubrics.robustness import withstands
from gpa_agent.rubrics.scores import NEGLIGIBLE, weight_cap
from gpa_agent.rubrics.statistics import benjamini_hochberg, hedges_g, percentile_interval
from gpa_agent.rubrics.weighing import Weighed

_SIDE = re.compile(r"\bthe (first|second) side\b", re.IGNORECASE)
"""What prompts call the groups, whose names they never hold."""
_LINKED_PREFERENCES = 10
"""Preferences linked to a claim on each side, one a person."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """The judged turns that a case's claims are tested on, those that voiced something; n rows.

    Turns that voiced nothing say nothing about wishes: a group that talks more about answers must
    not look as if it wanted more of everything.
    """

    values: NDArray[np.int8]
    """(n, K) in {-1, 0, 1}; 0 for a preference that voices neither side."""
    person: NDArray[np.int64]
    """(n,) index of the person."""
    first: NDArray[np.bool_]
    """(n,) whether the turn is of the first-named side."""
    ids: tuple[str, ...]
    """(n,) id of the preference."""
    weight: NDArray[np.float64] = field(default_factory=lambda: np.ones(0))
    """(n,) in (0, 1], by the turn's age; 1 everywhere where not given."""
    masked: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))
    """(n, K) whether the turn says nothing of a claim: it was served under it, is older than the
    claim's turn, or could not be attributed; False everywhere where not given."""

    def __post_init__(self) -> None:
        if not len(self.weight):
            object.__setattr__(self, "weight", np.ones(len(self.values)))
        if not len(self.masked):
            object.__setattr__(self, "masked", np.zeros(self.values.shape, dtype=bool))

    def about(self, columns: NDArray[np.int64]) -> Wishes:
        """The claims of some columns, and the turns that say something of the first of them."""
        rows = np.flatnonzero(~self.masked[:, columns[0]])
        return Wishes(
            values=self.values[np.ix_(rows, columns)],
            person=self.person[rows],
            first=self.first[rows],
            ids=tuple(self.ids[i] for i in rows),
            weight=self.weight[rows],
        )


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """One contrast of one intent, ready to be weighed."""

    intent: str
    contrast: Contrast
    claims: tuple[AspectItem, ...]
    problems: tuple[str | None, ...]
    """Why a claim's words may not be served, or None; one per claim."""
    wishes: Wishes
    undecided: str | None = None
    """Why nothing can be said this time, where the model gave no usable answer: what is live
    then stays as it is."""


@dataclass(frozen=True, kw_only=True)
class _Weighing:
    """A hearing with its figures."""

    hearing: Hearing
    result: ContrastResult
    people: NDArray[np.int64]
    """(2, K) people of each side with turns that say something of the claim."""
    turns: NDArray[np.int64]
    """(2, K) those turns."""
    voicing: NDArray[np.int64]
    """(2, K) people of each side who voice their own side's wish."""
    shares: NDArray[np.float64]
    """(2, K) share of each side's turns that voice their own side's wish."""


def weigh_claims(
    hearings: Sequence[Hearing],
    contrasts: Sequence[Contrast],
    *,
    contrast_config: ContrastConfig,
    gate_config: GateConfig,
) -> Weighed:
    """Test every claim of a run and write down what survives, and what does not.

    Args:
        hearings: One per intent and contrast, those without claims included.
        contrasts: What was compared in every intent.
        contrast_config: Permutations, bootstrap, seed, people and turns needed.
        gate_config: What an aspect must show.

    Returns:
        A rubric per hearing that could be tested: passing claims are ``approved``, all others
        ``candidate`` with their figures and the reason; and the figures behind them.
    """
    weighings = [_weigh(h, contrast_config) for h in hearings]
    tested = [w for w in weighings if w.result.untested is None]
    q = benjamini_hochberg(np.concatenate([np.zeros(0), *(w.result.p for w in tested)]))
    ends = np.cumsum([len(w.result.p) for w in tested])
    rubrics = [
        _rubric(w, part, gate_config)
        for w, part in zip(tested, np.split(q, ends[:-1]) if tested else [], strict=True)
    ]
    return Weighed(
        rubrics=tuple(rubrics),
        results=tuple(w.result for w in weighings),
        contrasts=tuple(contrasts),
        tested=len(q),
        undecided=frozenset(
            (h.intent, h.contrast.group, h.contrast.other) for h in hearings if h.undecided
        ),
    )


def _weigh(hearing: Hearing, config: ContrastConfig) -> _Weighing:
    hearing = replace(hearing, wishes=_without_faded(hearing.wishes))
    wishes, counted = hearing.wishes, ~hearing.wishes.masked
    sides = tuple(enumerate((wishes.first, ~wishes.first)))
    own = [counted & (wishes.values * way > 0) for way in (1, -1)]
    people = np.stack([_people(wishes.person, counted, side) for _, side in sides])
    return _Weighing(
        hearing=hearing,
        result=_figures(hearing, people, config),
        people=people,
        turns=np.stack([counted[side].sum(axis=0) for _, side in sides]),
        voicing=np.stack([_people(wishes.person, own[s], side) for s, side in sides]),
        shares=np.stack([_share(own[s], counted, wishes.weight, side) for s, side in sides]),
    )


def _without_faded(wishes: Wishes) -> Wishes:
    """Mask what people said of a claim who said it so long ago that nothing of it is left."""
    people = int(wishes.person.max(initial=-1)) + 1
    counted = ~wishes.masked * wishes.weight[:, None]
    mass = [np.bincount(wishes.person, column, people)[wishes.person] for column in counted.T]
    faded = np.array(mass).reshape(counted.T.shape).T < NEGLIGIBLE
    return replace(wishes, masked=wishes.masked | faded)


def _people(
    person: NDArray[np.int64], rows: NDArray[np.bool_], side: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """(K,) how many people of a side have rows of each column."""
    counts = [len(np.unique(person[side & column])) for column in rows.T]
    return np.array(counts, dtype=np.int64)


def _share(
    own: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    weight: NDArray[np.float64],
    side: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """(K,) share, by weight, of a side's turns that voice its wish; 0 where it has none."""
    voiced, all_of_them = (weight[side] @ rows[side] for rows in (own, counted))
    shares: NDArray[np.float64] = voiced / np.where(all_of_them, all_of_them, 1.0)
    return shares


def _figures(
    hearing: Hearing, people_of: NDArray[np.int64], config: ContrastConfig
) -> ContrastResult:
    intent, contrast, wishes = hearing.intent, hearing.contrast, hearing.wishes
    sides = (wishes.first, ~wishes.first)
    people = Sides(*(len(np.unique(wishes.person[side])) for side in sides))
    turns = Sides(*(int(side.sum()) for side in sides))
    reason = hearing.undecided or _why_untestable(contrast, people, turns, config)
    if reason is not None or not hearing.claims:
        return ContrastResult(
            intent=intent, contrast=contrast, people=people, turns=turns, untested=reason
        )
    figures = _Figures.of(len(hearing.claims))
    rng = np.random.default_rng(_seed_of(config.seed, intent, contrast))
    for columns in _alike(wishes.masked):
        # A claim that is served to nearly everybody on a side has nothing to be tested on.
        if people_of[:, columns[0]].min() >= config.min_people:
            figures.fill(columns, wishes.about(columns), config, rng)
    return ContrastResult(
        intent=intent,
        contrast=contrast,
        people=people,
        turns=turns,
        traits=tuple(range(len(hearing.claims))),
        effect=figures.effect,
        interval=figures.interval,
        slopes=figures.sides,
        p=figures.p,
        g=figures.g,
        withstands=figures.withstands,
        preferences=_voiced_by(wishes),
    )


def _alike(masked: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Columns that the same turns speak of, those of most turns first: they share permutations."""
    alike: dict[bytes, list[int]] = {}
    for k in np.argsort(masked.sum(axis=0), kind="stable"):
        alike.setdefault(masked[:, k].tobytes(), []).append(int(k))
    return [np.array(sorted(columns), np.int64) for columns in alike.values()]


class _Figures(NamedTuple):
    """Figures of K claims, filled column by column; as in `ContrastResult`."""

    effect: NDArray[np.float64]
    interval: NDArray[np.float64]
    sides: NDArray[np.float64]
    p: NDArray[np.float64]
    g: NDArray[np.float64]
    withstands: NDArray[np.float64]

    @classmethod
    def of(cls, claims: int) -> _Figures:
        """No effect and no evidence for any of them."""
        return cls(
            effect=np.zeros(claims),
            interval=np.zeros((claims, 2)),
            sides=np.zeros((2, claims)),
            p=np.ones(claims),
            g=np.zeros(claims),
            withstands=np.zeros(claims),
        )

    def fill(
        self,
        columns: NDArray[np.int64],
        wishes: Wishes,
        config: ContrastConfig,
        rng: np.random.Generator,
    ) -> None:
        """Test claims that the same turns speak of."""
        scores, weight, first = _by_person(wishes)
        dealt = permute_people(scores, weight, first, permutations=config.permutations, rng=rng)
        draws = bootstrap_people(scores, weight, first, resamples=config.bootstrap, rng=rng)
        means = scores / weight[:, None]
        self.effect[columns] = dealt.effect
        self.interval[columns] = percentile_interval(draws)
        self.sides[:, columns] = [scores[s].sum(axis=0) / weight[s].sum() for s in (first, ~first)]
        self.p[columns] = p_values(dealt)
        self.g[columns] = hedges_g(means[first], means[~first])
        self.withstands[columns] = withstands(scores, weight, first)


def _by_person(
    wishes: Wishes,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Wishes summed by person and side, one person's weight capped; ordered by content.

    The cap counts turns, whatever their age: what everybody said long ago is capped alike. The
    order makes the same log meet the same permutations in every workspace.
    """
    keys, unit = np.unique(
        np.stack([~wishes.first, wishes.person], axis=1), axis=0, return_inverse=True
    )
    unit = unit.reshape(-1)
    rows = np.bincount(unit, minlength=len(keys))
    mass = np.bincount(unit, weights=wishes.weight, minlength=len(keys))
    capped = np.minimum(rows, weight_cap(rows))
    summed = np.zeros((len(keys), wishes.values.shape[1]))
    np.add.at(summed, unit, wishes.values * wishes.weight[:, None])
    scores, weight = summed * (capped / rows)[:, None], capped * (mass / rows)
    first = ~keys[:, 0].astype(bool)
    order = np.lexsort([weight, *np.round(scores, 9).T, ~first])
    return scores[order], weight[order], first[order]


def _seed_of(seed: int, intent: str, contrast: Contrast) -> list[int]:
    return [seed, *"\x1f".join((intent, *contrast)).encode()]


def _why_untestable(
    contrast: Contrast, people: Sides, turns: Sides, config: ContrastConfig
) -> str | None:
    for name, n_people, n_turns in zip(contrast, people, turns, strict=True):
        if n_people < config.min_people or n_turns < config.min_turns:
            who = "everybody else" if name == EVERYBODY_ELSE else repr(name)
            return (
                f"{who} has {n_people} people and {n_turns} turns that voiced a wish here, to test "
                f"claims on; {config.min_people} people and {config.min_turns} turns are needed on "
                "each side (aspects are found on some people and tested on the others)"
            )
    return None


def _voiced_by(wishes: Wishes) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Ids of the preferences that voice each claim on their own side, one of a person."""
    linked: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    for column, masked in zip(wishes.values.T, wishes.masked.T, strict=True):
        sides = [
            _one_each(wishes, np.flatnonzero(side & ~masked & (column == way)))
            for side, way in ((wishes.first, 1), (~wishes.first, -1))
        ]
        linked.append((sides[0], sides[1]))
    return tuple(linked)


def _one_each(wishes: Wishes, rows: NDArray[np.int64]) -> tuple[str, ...]:
    chosen: dict[int, str] = {}
    for row in sorted(rows, key=lambda r: hashlib.sha256(wishes.ids[r].encode()).digest()):
        chosen.setdefault(int(wishes.person[row]), wishes.ids[row])
        if len(chosen) == _LINKED_PREFERENCES:
            break
    return tuple(chosen.values())


def _rubric(weighing: _Weighing, q: NDArray[np.float64], config: GateConfig) -> Rubric:
    hearing = weighing.hearing
    aspects = [_aspect(weighing, k, float(q[k]), config) for k in range(len(hearing.claims))]
    aspects.sort(
        key=lambda a: (a.status != "approved", a.evidence.p_value if a.evidence else 1.0, a.name)
    )
    return Rubric(
        intent=hearing.intent,
        contrast=ContrastModel(group=hearing.contrast.group, other=hearing.contrast.other),
        version=0,
        aspects=tuple(aspects),
    )


def _aspect(weighing: _Weighing, k: int, q: float, config: GateConfig) -> Aspect:
    item, result = weighing.hearing.claims[k], weighing.result
    names = tuple(result.contrast)
    low, high = (float(x) for x in result.interval[k])
    evidence = Evidence(
        effect=float(result.effect[k]),
        interval=(low, high),
        p_value=float(result.p[k]),
        q_value=q,
        withstands=float(result.withstands[k]),
        hedges_g=float(result.g[k]),
        people=dict(zip(names, map(int, weighing.people[:, k]), strict=True)),
        turns=dict(zip(names, map(int, weighing.turns[:, k]), strict=True)),
        preferences={n: list(i) for n, i in zip(names, result.preferences[k], strict=True)},
    )
    guidance = _guidance(weighing, k, config.min_people)
    reason = _refusal(weighing, k, evidence, guidance, config)
    return Aspect(
        name=item.name,
        rating=item.rating,
        interpretation=_interpretation(weighing, k),
        guidance=guidance,
        status="candidate" if reason else "approved",
        reason=reason,
        family=CLAIMED,
        evidence=evidence,
    )


def _guidance(weighing: _Weighing, k: int, min_people: int) -> dict[str, str]:
    """What to do for each named group.

    Only where at least k of its own people voiced that side, and the group voices it more than
    the other: never against its own wish.
    """
    item = weighing.hearing.claims[k]
    sides = zip(
        weighing.result.contrast,
        (item.first_wants, item.second_wants),
        weighing.voicing[:, k],
        weighing.result.slopes[:, k] * (1.0, -1.0),
        strict=True,
    )
    return {
        name: words
        for name, words, voicing, leaning in sides
        if name != EVERYBODY_ELSE and words and voicing >= min_people and leaning > 0
    }


def _refusal(
    weighing: _Weighing,
    k: int,
    evidence: Evidence,
    guidance: dict[str, str],
    config: GateConfig,
) -> str | None:
    item = weighing.hearing.claims[k]
    if problem := weighing.hearing.problems[k]:
        return problem
    if (fewest := min(evidence.people.values())) < config.min_people:
        return (
            f"{fewest} people on one side have turns that can speak for it (not served under it, "
            f"not from before it turned); {config.min_people} are needed"
        )
    if evidence.q_value <= config.max_q and evidence.effect <= 0:
        return "the people it was tested on want it the other way round"
    if not guidance:
        voicing = ", ".join(str(int(n)) for n in weighing.voicing[:, k])
        return (
            f"no side is clearly asked for by its own group: {voicing} people of the groups voice "
            f"theirs, {config.min_people} are needed, and more of it than of the other side"
        )
    return refusal(evidence, rating=item.rating, guidance=guidance, protected=False, config=config)


def _interpretation(weighing: _Weighing, k: int) -> str:
    """The model's words with the groups' names, and what was counted."""
    item, contrast = weighing.hearing.claims[k], weighing.result.contrast
    counted = [
        f"{share:.0%} of the voiced wishes of {_who(name)} are {words!r}"
        for name, share, words in zip(
            contrast, weighing.shares[:, k], (item.first_wants, item.second_wants), strict=True
        )
        if words
    ]
    said = _SIDE.sub(lambda m: _who(contrast[m[1].lower() == "second"]), item.interpretation)
    return f"{said[:1].upper()}{said[1:]} ({'; '.join(counted)}.)"


def _who(name: str) -> str:
    return "everybody else" if name == EVERYBODY_ELSE else f"the {name} group"
