"""A simulated app that serves while it is observed, at the level of measured traits.

Two groups judge answers; then most people of one are served a block that makes one trait frequent
(its correlates come with it) and pleases much. Unless told otherwise both groups want the same,
so that every difference that is found is false. These are simulations: what they show is how the
method behaves, not what people want.

Example:
    >>> rows = ServingWorld(people=10).sample(seed=1)
    >>> len(rows), int((rows.stratum > 0).sum()) == int(rows.masked.sum())
    (200, True)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpa_agent.rubrics.observations import Observations, standardise
from gpa_agent.testing.worlds import GROUPS, INTENT

TRAITS = 12
SERVED = 0
"""The trait that a block asks for."""
CORRELATES = (1, 2, 3)
"""Traits that come with it."""
CORRELATION = 0.6


@dataclass(frozen=True, kw_only=True)
class ServingWorld:
    """A simulated app of two groups with the same tastes, one of which is served a block."""

    people: int = 60
    """People in each group."""
    before: int = 4
    """Judged answers of each person before anything is served."""
    after: int = 6
    """Judged answers of each person afterwards."""
    holdout: float = 0.1
    """Share of people who are never served."""
    lift: float = 1.5
    """What the block adds to the log-odds of a pleased reaction."""
    push: float = 1.5
    """What the block adds to the trait, in standard deviations."""
    taste: float = 0.4
    """Standard deviation of the tastes that both groups share."""
    saturated: bool = False
    """Whether, once served, more of the trait pleases nobody more."""
    versions: int = 1
    """How many blocks follow one another, each with its own lift."""
    both: bool = False
    """Whether the other group is served a block of its own, with less of the trait."""
    divergent: float = 0.0
    """How far the groups really differ in the first correlate, log-odds each way."""
    half_life: float | None = None
    """Half-life of a row's weight, in answers of a person; None: rows do not age."""

    def sample(self, *, seed: int) -> Observations:
        """Draw answers and judgments, with what was served.

        Args:
            seed: The same seed gives the same world.
        """
        rng = np.random.default_rng(seed)
        answers = self.before + self.after
        n = 2 * self.people * answers
        person = np.repeat(np.arange(2 * self.people), answers)
        turn = np.tile(np.arange(answers), 2 * self.people)
        expert = person >= self.people
        held_out = (rng.random(2 * self.people) < self.holdout)[person]
        served = (turn >= self.before) & ~held_out & (~expert | self.both)
        version = (turn - self.before) * self.versions // max(self.after, 1)
        stratum = np.where(served, 1 + version + self.versions * expert, 0)

        values = _correlated(rng, n)
        way = np.where(expert, -self.push, self.push) * served
        values[:, SERVED] += way
        values[:, list(CORRELATES)] += CORRELATION * way[:, None]
        tastes = np.tile(rng.normal(0.0, self.taste, TRAITS), (n, 1))
        tastes[:, CORRELATES[0]] += np.where(expert, -self.divergent, self.divergent)
        if self.saturated:
            tastes[served, SERVED] = 0.0
        lifts = np.append(0.0, rng.uniform(0.5, 1.5, 2 * self.versions) * self.lift)
        level = rng.normal(0.0, 0.5, 2 * self.people)[person]
        log_odds = (values * tastes).sum(axis=1) + level + lifts[stratum]
        sat = rng.random(n) < 1.0 / (1.0 + np.exp(-log_odds))

        masked = np.zeros((n, TRAITS), dtype=bool)
        masked[served, SERVED] = True
        age = answers - 1 - turn
        unpaired = np.zeros(n, dtype=bool)
        return Observations(
            values=standardise(values, np.zeros_like(values), unpaired),
            sat=sat,
            paired=unpaired,
            person=person.astype(np.int64),
            group=tuple(GROUPS[int(e)] for e in expert),
            intent=(INTENT,) * n,
            ids=tuple(f"simulated-{i}" for i in range(n)),
            weight=2.0 ** -(age / self.half_life) if self.half_life else np.ones(n),
            stratum=stratum.astype(np.int64),
            masked=masked,
        )


def _correlated(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Traits of unit variance; the served one and its correlates share a factor, others another."""
    factors = rng.normal(size=(n, 2))
    of_trait = np.repeat([0, 1], [1 + len(CORRELATES), TRAITS - 1 - len(CORRELATES)])
    own = rng.normal(size=(n, TRAITS))
    values: NDArray[np.float64] = (
        np.sqrt(CORRELATION) * factors[:, of_trait] + np.sqrt(1 - CORRELATION) * own
    )
    return values
