"""Weigh what a model claims: counted by people, tested by permutation, corrected together.

Each claim has two sides, what the first-named group is said to want and what the other is. A
preference of the testing part counts +1 where it voices the first, -1 where it voices the
second, 0 where it voices neither. The effect is the difference of the groups' means, in shares
of what was voiced (-2 to 2); its p-value comes from dealing people anew, its interval from the
bootstrap over people, its q-value from Benjamini-Hochberg over all claims of the run. A group is
given guidance only where enough of its own people voiced it, and more than voiced the other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

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
    EVERYBODY_ELSE,
    Aspect,
    Contrast,
    ContrastModel,
    Evidence,
    Rubric,
)
from gpa_agent.rubrics.scores import weight_cap
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
    voicing: NDArray[np.int64]
    """(2, K) people of each side who voice their own side's wish."""
    shares: NDArray[np.float64]
    """(2, K) share of each side's judged turns that voice their own side's wish."""


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
    wishes, claims = hearing.wishes, len(hearing.claims)
    sides = tuple(enumerate((wishes.first, ~wishes.first)))
    people = Sides(*(len(np.unique(wishes.person[side])) for _, side in sides))
    turns = Sides(*(int(side.sum()) for _, side in sides))
    own = np.stack([wishes.values * way for way in (1, -1)]) > 0  # (2, n, K)
    voicing = np.array(
        [
            [len(np.unique(wishes.person[side & own[s, :, k]])) for k in range(claims)]
            for s, side in sides
        ],
        dtype=np.int64,
    ).reshape(2, claims)
    shares = np.stack(
        [own[s, side].mean(axis=0) if side.any() else np.zeros(claims) for s, side in sides]
    )
    result = _figures(hearing, people, turns, config)
    return _Weighing(hearing=hearing, result=result, voicing=voicing, shares=shares)


def _figures(
    hearing: Hearing, people: Sides, turns: Sides, config: ContrastConfig
) -> ContrastResult:
    intent, contrast, wishes = hearing.intent, hearing.contrast, hearing.wishes
    reason = hearing.undecided or _why_untestable(contrast, people, turns, config)
    if reason is not None or not hearing.claims:
        return ContrastResult(
            intent=intent, contrast=contrast, people=people, turns=turns, untested=reason
        )
    scores, weight, first = _by_person(wishes)
    rng = np.random.default_rng(_seed_of(config.seed, intent, contrast))
    differences = permute_people(scores, weight, first, permutations=config.permutations, rng=rng)
    draws = bootstrap_people(scores, weight, first, resamples=config.bootstrap, rng=rng)
    means = scores / weight[:, None]
    sides = np.stack([scores[s].sum(axis=0) / weight[s].sum() for s in (first, ~first)])
    return ContrastResult(
        intent=intent,
        contrast=contrast,
        people=people,
        turns=turns,
        traits=tuple(range(len(hearing.claims))),
        effect=differences.effect,
        interval=percentile_interval(draws),
        slopes=sides,
        p=p_values(differences),
        g=hedges_g(means[first], means[~first]),
        preferences=_voiced_by(wishes),
    )


def _by_person(
    wishes: Wishes,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Wishes summed by person and side, one person's weight capped; ordered by content.

    The order makes the same log meet the same permutations in every workspace.
    """
    keys, unit = np.unique(
        np.stack([~wishes.first, wishes.person], axis=1), axis=0, return_inverse=True
    )
    unit = unit.reshape(-1)
    rows = np.bincount(unit, minlength=len(keys))
    weight = np.minimum(rows, weight_cap(rows))
    summed = np.zeros((len(keys), wishes.values.shape[1]))
    np.add.at(summed, unit, wishes.values.astype(np.float64))
    scores = summed * (weight / rows)[:, None]
    first = ~keys[:, 0].astype(bool)
    order = np.lexsort([weight, *np.round(scores, 9).T, ~first])
    return scores[order], weight[order].astype(np.float64), first[order]


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
    for column in wishes.values.T:
        sides = [
            _one_each(wishes, np.flatnonzero(side & (column == way)))
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
        hedges_g=float(result.g[k]),
        people=dict(zip(names, result.people, strict=True)),
        turns=dict(zip(names, result.turns, strict=True)),
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
        family="claimed",
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
    if evidence.q_value <= config.max_q and evidence.effect <= 0:
        return "the people it was tested on want it the other way round"
    if not guidance:
        fewest = ", ".join(str(int(n)) for n in weighing.voicing[:, k])
        return (
            f"no side is clearly asked for by its own group: {fewest} people of the groups voice "
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
