"""How much an old judgment still counts: half as much with every half-life.

Tastes move. What people wanted last year stands behind a rubric less than what they want now, so
every row weighs ``2 ** (-age / half-life)``. Ages are whole days, counted back from the day of
the newest row: a log that nobody adds to does not age, and within a day nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

OLDEST_HALF_LIVES = 30.0
"""Past this age a row weighs no less (1e-9): a weight is never 0."""


def age_weights(
    times: Sequence[datetime | None],
    *,
    half_life_days: float | None,
    now: datetime | None = None,
) -> NDArray[np.float64]:
    """The weight of every row by its age.

    Args:
        times: (n,) when each row was answered, timezone-aware; None where nobody knows.
        half_life_days: Days in which a row loses half its weight; None: rows do not age.
        now: The present: one row dated ten years ahead must not make all others old. None where
            every time is to be believed.

    Returns:
        (n,) in (0, 1]; 1 for rows of the newest day and later, and for rows without a time.
    """
    days = [None if t is None else t.astimezone(UTC).date().toordinal() for t in times]
    known = [day for day in days if day is not None]
    if half_life_days is None or not known:
        return np.ones(len(days))
    newest = max(known)
    if now is not None:
        newest = min(newest, now.astimezone(UTC).date().toordinal())
    age = np.array([0 if d is None else max(0, newest - d) for d in days], dtype=np.float64)
    weights: NDArray[np.float64] = 2.0 ** -np.minimum(age / half_life_days, OLDEST_HALF_LIVES)
    return weights
