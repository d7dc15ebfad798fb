"""Randomness that gives the same numbers in every Python.

Of `random.Random` only seeding by text and ``random()`` are promised to stay the same between
versions, so the simulated worlds draw with these two alone: a log regenerates byte for byte.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

T = TypeVar("T")
_NORMAL = NormalDist()


def pick(rng: Random, options: Sequence[T]) -> T:
    """One of some options, each equally likely."""
    return options[int(rng.random() * len(options))]


def gauss(rng: Random) -> float:
    """A standard normal number."""
    return _NORMAL.inv_cdf(min(max(rng.random(), 1e-12), 1 - 1e-12))
