"""Simulated worlds with planted truth, at the level of measured traits.

A world deals correlated traits to answers, gives each of two groups its tastes, lets simulated
people judge and gets a share of the labels wrong. Because the divergent traits are known,
recall and false discoveries can be counted; with ``divergent=0`` or ``shuffled=True`` the truth is
that nothing differs. These are simulations: what they show is how the method behaves, not
what people want.

Example:
    >>> world = PlantedWorld(people=40, answers=3)
    >>> planted = world.sample(seed=1)
    >>> len(planted.observations), len(planted.divergent)
    (240, 12)
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from gpa_agent.rubrics.observations import Observations, standardise

GROUPS = ("novice", "expert")
INTENT = "simulated"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantedTrait:
    """A made-up trait, wordable like one of the catalogue."""

    name: str
    family: str
    phrase: str = "of a simulated trait"
    more: str = "Show more of the simulated trait."
    less: str = "Show less of the simulated trait."
    protected: bool = False


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A sample of a world with its truth."""

    observations: Observations
    traits: tuple[PlantedTrait, ...]
    divergent: frozenset[str]
    """Names of the traits in which the groups really differ."""


@dataclass(frozen=True, kw_only=True)
class PlantedWorld:
    """The parameters of a simulated world; defaults are those of the project's promise."""

    traits: int = 30
    """Number of traits, in families of five."""
    divergent: int = 12
    """Traits in which the two groups differ."""
    divergence: float = 0.7
    """Log-odds of SAT per standard deviation in each group, with opposite signs."""
    people: int = 200
    """People in each group."""
    answers: int = 5
    """Judged answers of each person."""
    wrong_labels: float = 0.2
    """Share of judgments that are flipped at random."""
    shared_taste: float = 0.3
    """Standard deviation of tastes both groups share."""
    own_taste: float = 0.0
    """Standard deviation of each person's own taste in each trait."""
    own_level: float = 0.5
    """Standard deviation of how easily a person is pleased, in log-odds."""
    factors: int = 3
    """Common factors behind the traits: the source of their correlation."""
    loading: float = 0.6
    """Standard deviation of a trait's loading on each factor (its own part has 1)."""
    shuffled: bool = False
    """Deal people to groups at random after they have judged: a null world."""

    def sample(self, *, seed: int) -> Planted:
        """Draw people, answers and judgments.

        Args:
            seed: The same seed gives the same world, tastes included.
        """
        rng = np.random.default_rng(seed)
        loadings = rng.normal(0.0, self.loading, (self.traits, self.factors))
        rows = 2 * self.people * self.answers
        values = rng.normal(size=(rows, self.factors)) @ loadings.T
        values += rng.normal(size=(rows, self.traits))
        values /= np.sqrt((loadings**2).sum(axis=1) + 1.0)

        differing = rng.choice(self.traits, self.divergent, replace=False)
        signs = rng.choice([-1.0, 1.0], self.divergent)
        tastes = np.tile(rng.normal(0.0, self.shared_taste, self.traits), (2, 1))
        tastes[0, differing] += self.divergence * signs
        tastes[1, differing] -= self.divergence * signs

        person = np.repeat(np.arange(2 * self.people), self.answers)
        group = (person >= self.people).astype(int)
        own = rng.normal(0.0, self.own_taste, (2 * self.people, self.traits))
        level = rng.normal(0.0, self.own_level, 2 * self.people)
        log_odds = (values * (tastes[group] + own[person])).sum(axis=1) + level[person]
        sat = rng.random(rows) < 1.0 / (1.0 + np.exp(-log_odds))
        sat ^= rng.random(rows) < self.wrong_labels
        if self.shuffled:
            group = rng.permutation(np.repeat([0, 1], self.people))[person]

        traits = tuple(
            PlantedTrait(name=f"trait_{i:02d}", family=f"family_{i // 5}")
            for i in range(self.traits)
        )
        unpaired = np.zeros(rows, dtype=bool)
        differ = frozenset() if self.shuffled else frozenset(traits[i].name for i in differing)
        return Planted(
            observations=Observations(
                values=standardise(values, np.zeros_like(values), unpaired),
                sat=sat,
                paired=unpaired,
                person=person.astype(np.int64),
                group=tuple(GROUPS[g] for g in group),
                intent=(INTENT,) * rows,
                ids=tuple(f"simulated-{i}" for i in range(rows)),
            ),
            traits=traits,
            divergent=differ,
        )


def recall_and_false_discoveries(
    found: Collection[str], divergent: Collection[str]
) -> tuple[float, float]:
    """Score what was found against the planted truth.

    Args:
        found: Names of what is live.
        divergent: Names of what was planted.

    Returns:
        Recall in [0, 1] (1 where nothing was planted) and the share of false discoveries in
        [0, 1] (0 where nothing was found).
    """
    hits = len(set(found) & set(divergent))
    recall = hits / len(divergent) if divergent else 1.0
    false = (len(found) - hits) / len(found) if found else 0.0
    return recall, false
