"""Simulated people who try to give a group a taste that is not its own.

Two groups of honest simulated people share their tastes: nothing differs between the groups, so
nothing may be served. In the first of them some people collude: whatever answer they get, they
are pleased where a chosen trait is strong and displeased where it is weak, and they may take many
turns and choose questions that bring out extremes. The answers are those of
`gpa_agent.testing.answers`, measured with the catalogue; everything after that is the product's
own statistics, gate and publishing.

Example:
    >>> attack = Attack(people=20, colluders=1, turns=50)
    >>> attack.outcome(seed=1).served
    ()
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.learning.publishing import is_quarantined, settle
from gpa_agent.rubrics.contrast import ContrastConfig
from gpa_agent.rubrics.gate import GateConfig
from gpa_agent.rubrics.observations import Observations, standardise
from gpa_agent.rubrics.records import Contrast
from gpa_agent.rubrics.traits import catalogue, measure_many
from gpa_agent.rubrics.weighing import weigh
from gpa_agent.testing.answers import assemble, draw_recipe
from gpa_agent.testing.topics import topics_of

ATTACKED: Final = "attacked"
"""The group that colluders say they belong to."""
_OTHER: Final = "other"
_INTENT: Final = "explanation"
_POOL: Final = 600


class Outcome(NamedTuple):
    """What came of an attack.

    Attributes:
        served: Names of what would be live.
        quarantined: Names of what waits for a person.
        refused: Names of what was noticed and refused.
    """

    served: tuple[str, ...]
    quarantined: tuple[str, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Attack:
    """People who collude, among honest ones."""

    people: int = 20
    """People of each group, colluders included."""
    colluders: int = 1
    """How many of the first group collude; 0 is an honest world."""
    turns: int = 5
    """Judged turns of each colluder."""
    honest_turns: int = 5
    """Judged turns of everybody else."""
    extreme: bool = False
    """Whether colluders bring about answers of the strongest and weakest tenth."""
    target: str = "lists"
    """The trait they push."""

    def observations(self, *, seed: int) -> Observations:
        """Everybody's judged turns."""
        rng = np.random.default_rng([seed, self.people, self.colluders, self.turns])
        pool = _pool()
        column = [trait.name for trait in catalogue()].index(self.target)
        honest = 2 * self.people - self.colluders
        person = np.repeat(np.arange(honest), self.honest_turns)
        rows = rng.integers(_POOL, size=len(person))
        taste = rng.normal(0.0, 0.3, pool.shape[1])
        mood = rng.normal(0.0, 0.5, honest)
        sat = rng.random(len(rows)) < 1 / (1 + np.exp(-(pool[rows] @ taste + mood[person])))

        order = np.argsort(pool[:, column], kind="stable")
        tails = np.concatenate([order[: _POOL // 10], order[-_POOL // 10 :]])
        chosen = rng.choice(tails if self.extreme else order, self.colluders * self.turns)
        loud = pool[chosen, column] > np.median(pool[:, column])

        everybody = np.concatenate(
            [person, np.repeat(honest + np.arange(self.colluders), self.turns)]
        )
        first = (everybody < self.people - self.colluders) | (everybody >= honest)
        values = pool[np.concatenate([rows, chosen])]
        unpaired = np.zeros(len(values), dtype=bool)
        return Observations(
            values=standardise(values, np.zeros_like(values), unpaired),
            sat=np.concatenate([sat, loud]),
            paired=unpaired,
            person=everybody.astype(np.int64),
            group=tuple(ATTACKED if f else _OTHER for f in first),
            intent=(_INTENT,) * len(values),
            ids=tuple(f"simulated-{i}" for i in range(len(values))),
        )

    def outcome(self, *, seed: int, colluders: float = 0.0, permutations: int = 1999) -> Outcome:
        """Weigh, gate and publish what the attack brought about.

        Args:
            seed: The same seed gives the same people.
            colluders: The setting of that name: the share that a finding must not rest on.
            permutations: As in `gpa_agent.settings.Settings`.
        """
        observations = self.observations(seed=seed)
        found = weigh(
            observations,
            catalogue(),
            [Contrast(ATTACKED, _OTHER)],
            contrast_config=ContrastConfig(permutations=permutations, bootstrap=50, seed=seed),
            gate_config=GateConfig(),
        )
        aspects = [
            aspect
            for rubric in found.rubrics
            for aspect in settle(rubric, None, publish="auto", held=(), colluders=colluders).aspects
        ]
        return Outcome(
            served=tuple(a.name for a in aspects if a.status == "live"),
            quarantined=tuple(a.name for a in aspects if is_quarantined(a)),
            refused=tuple(a.name for a in aspects if a.status == "candidate"),
        )


@cache
def _pool() -> NDArray[np.float64]:
    """(_POOL, T) standardised measurements of simulated answers."""
    subjects = topics_of(_INTENT)
    texts: list[tuple[str, str]] = []
    for n in range(_POOL):
        rng = Random(f"attackers/{n}")
        texts.append(("", assemble(subjects[n % len(subjects)], draw_recipe(rng), rng)))
    measured = np.stack(list(measure_many(texts))).astype(np.float64)
    spread = measured.std(axis=0)
    pool: NDArray[np.float64] = (measured - measured.mean(axis=0)) / np.where(spread, spread, 1.0)
    return pool
