"""Weigh everything a run could claim, together: from observations to rubrics with evidence.

Every contrast of every intent is tested at the level of traits and of families; one
Benjamini-Hochberg correction runs over all of it; the gate decides; what is left is written
down. Where nothing survives the rubric is empty, and an empty rubric means the plain answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpa_agent.rubrics.cells import Cell, Families, cell_of
from gpa_agent.rubrics.contrast import ContrastConfig, ContrastResult, run_cell
from gpa_agent.rubrics.gate import GateConfig, refusal
from gpa_agent.rubrics.observations import Observations
from gpa_agent.rubrics.records import Aspect, Contrast, ContrastModel, Evidence, Rubric
from gpa_agent.rubrics.statistics import benjamini_hochberg
from gpa_agent.rubrics.wording import Wordable, guidance_for, interpretation_of, rating_of

NOTABLE_P = 0.05
"""A test with a larger uncorrected p-value is not written down, only counted."""


Test = Callable[[Cell, Families, ContrastConfig], ContrastResult]
"""Tests one contrast in one intent, as `run_cell` does."""


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """What a run found."""

    rubrics: tuple[Rubric, ...]
    """One for every tested intent and contrast, version 0, empty where nothing was found; passing
    aspects are ``approved``, notable others ``candidate``."""
    results: tuple[ContrastResult, ...]
    """The figures behind them, untested contrasts included."""
    contrasts: tuple[Contrast, ...]
    """What was compared in every intent."""
    tested: int
    """Tests the correction ran over: traits and families of every tested contrast."""
    undecided: frozenset[tuple[str, str, str]] = frozenset()
    """(intent, group, other) of which nothing could be said this time: what is live stays."""


def plan_contrasts(
    groups: Sequence[str], wanted: Iterable[Contrast] | None = None
) -> tuple[Contrast, ...]:
    """The contrasts of a run.

    Args:
        groups: The workspace's groups, or those found in the log.
        wanted: Contrasts asked for by name; None or empty for the default.

    Returns:
        Those asked for; else two groups against each other, and any other number each
        against everybody else.
    """
    asked = tuple(wanted or ())
    if asked:
        return asked
    if len(groups) == 2:
        return (Contrast(groups[0], groups[1]),)
    return tuple(Contrast(g) for g in groups)


def weigh(
    observations: Observations,
    traits: Sequence[Wordable],
    contrasts: Sequence[Contrast],
    *,
    contrast_config: ContrastConfig,
    gate_config: GateConfig,
    turned: Mapping[tuple[str, str, str], NDArray[np.bool_]] | None = None,
    test: Test = run_cell,
    progress: Callable[[int, int], None] | None = None,
) -> Weighed:
    """Test every contrast in every intent and write down what survives.

    Args:
        observations: All rows of the run; ``values`` has one column per trait.
        traits: The traits, in column order.
        contrasts: What to compare.
        contrast_config: How each contrast is tested.
        gate_config: What an aspect must show.
        turned: (n, T) rows that say nothing of a trait in one (intent, group, other) alone.
        test: Who tests a contrast; whoever else it is gives the same figures.
        progress: Called with contrasts done and in all.

    Returns:
        Rubrics with evidence, and the figures behind them.
    """
    families: dict[str, list[int]] = {}
    for column, trait in enumerate(traits):
        families.setdefault(trait.family, []).append(column)
    planned = [(intent, c) for intent in observations.intents() for c in contrasts]
    results: list[ContrastResult] = []
    for done, (intent, contrast) in enumerate(planned, start=1):
        silent = (turned or {}).get((intent, contrast.group, contrast.other))
        cell = cell_of(observations, intent=intent, contrast=contrast, turned=silent)
        results.append(test(cell, families, contrast_config))
        if progress is not None:
            progress(done, len(planned))

    q = benjamini_hochberg(np.concatenate([[], *(p for r in results for p in (r.p, r.family_p))]))
    rubrics: list[Rubric] = []
    at = 0
    for result in results:
        if result.untested is not None:
            continue
        trait_q = q[at : at + len(result.p)]
        family_q = q[at + len(result.p) : at + len(result.p) + len(result.family_p)]
        at += len(result.p) + len(result.family_p)
        rubrics.append(_write(result, traits, trait_q, family_q, gate_config))
    return Weighed(
        rubrics=tuple(rubrics),
        results=tuple(results),
        contrasts=tuple(contrasts),
        tested=len(q),
    )


def _write(
    result: ContrastResult,
    traits: Sequence[Wordable],
    trait_q: NDArray[np.float64],
    family_q: NDArray[np.float64],
    config: GateConfig,
) -> Rubric:
    aspects = [
        _aspect(result, i, traits[column], float(trait_q[i]), config)
        for i, column in enumerate(result.traits)
        if result.p[i] <= NOTABLE_P
    ]
    proven = {a.family for a in aspects if a.status == "approved"}
    aspects += [
        _family_aspect(result, f, traits, float(family_q[f]))
        for f, name in enumerate(result.families)
        if family_q[f] <= config.max_q and name not in proven
    ]
    aspects.sort(key=lambda a: (a.status != "approved", _p_of(a), a.name))
    return Rubric(
        intent=result.intent,
        contrast=ContrastModel(group=result.contrast.group, other=result.contrast.other),
        version=0,
        aspects=tuple(aspects),
    )


def _p_of(aspect: Aspect) -> float:
    return aspect.evidence.p_value if aspect.evidence is not None else 1.0


def _evidence(result: ContrastResult, i: int, *, p: float, q: float) -> Evidence:
    names, (people, turns) = tuple(result.contrast), result.support[i]
    low, high = (float(x) for x in result.interval[i])
    return Evidence(
        effect=float(result.effect[i]),
        interval=(low, high),
        p_value=p,
        q_value=q,
        hedges_g=float(result.g[i]),
        withstands=float(result.withstands[i]),
        people=dict(zip(names, people, strict=True)),
        turns=dict(zip(names, turns, strict=True)),
        preferences={n: list(ids) for n, ids in zip(names, result.preferences[i], strict=True)},
    )


def _aspect(
    result: ContrastResult, i: int, trait: Wordable, q: float, config: GateConfig
) -> Aspect:
    effect, slopes = float(result.effect[i]), result.slopes[:, i]
    rating = rating_of(effect)
    guidance = guidance_for(trait, result.contrast, effect, slopes)
    evidence = _evidence(result, i, p=float(result.p[i]), q=q)
    reason = refusal(
        evidence, rating=rating, guidance=guidance, protected=trait.protected, config=config
    )
    return Aspect(
        name=trait.name,
        rating=rating,
        interpretation=interpretation_of(trait, result.contrast, effect, slopes),
        guidance=guidance,
        status="candidate" if reason else "approved",
        reason=reason,
        family=trait.family,
        evidence=evidence,
    )


def _family_aspect(result: ContrastResult, f: int, traits: Sequence[Wordable], q: float) -> Aspect:
    """A family that differs though no trait of it can be named: shown, never served."""
    name = result.families[f]
    members = [i for i, c in enumerate(result.traits) if traits[c].family == name]
    strongest = min(members, key=lambda i: (result.p[i], -abs(result.effect[i])))
    column = result.traits[strongest]
    return Aspect(
        name=f"family:{name}",
        rating=rating_of(float(result.effect[strongest])),
        interpretation=(
            f"{result.contrast} differ somewhere in {name}; the clearest trait, "
            f"{traits[column].name}, is not proven on its own."
        ),
        guidance={},
        status="candidate",
        reason="the family differs, but no single trait of it is proven: nothing to ask for",
        family=name,
        evidence=_evidence(result, strongest, p=float(result.family_p[f]), q=q),
    )
