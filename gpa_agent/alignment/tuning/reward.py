"""A reward model: how much a group would rather have one answer than another.

A Bradley-Terry head over frozen sentence embeddings: P(chosen over rejected) = sigma(w . (e(chosen)
- e(rejected))), with a ridge penalty on w (Bradley and Terry 1952, Biometrika 39, 324-345). What
the prompt adds to both answers cancels. It takes seconds on a CPU, and some hundred pairs are
enough, where a fine-tuned reward model wants thousands.

Every pair is judged by a head that saw nothing of its person (cross-fitting): a head that was
fitted to a wrong label would defend it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gpa_agent.embedding import TextEncoder

Floats = NDArray[np.float64]

FOLDS: Final = 10
_STRENGTH: Final = 1.0
"""Inverse of the ridge penalty (scikit-learn's C) on embeddings of length one."""


def embedding_differences(
    encoder: TextEncoder, chosen: Sequence[str], rejected: Sequence[str]
) -> Floats:
    """Embed two sides and subtract; every text is embedded once, however often it occurs.

    Args:
        encoder: The sentence encoder; MiniLM reads 256 tokens of an answer.
        chosen: n texts.
        rejected: n texts.

    Returns:
        (n, dim).
    """
    places = {text: place for place, text in enumerate(dict.fromkeys((*chosen, *rejected)))}
    vectors = encoder.encode(list(places)).astype(np.float64)
    sides = ([places[text] for text in side] for side in (chosen, rejected))
    first, second = (vectors[side] for side in sides)
    difference: Floats = first - second
    return difference


def fit_head(differences: Floats) -> Floats:
    """Fit a Bradley-Terry head.

    Args:
        differences: (n, F) embedding of the chosen answer less that of the rejected; n at least 1.

    Returns:
        (F,) weights; a pair's margin is its difference times them, in log-odds.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 -- 1 s, rejection only

    # scikit-learn wants two classes: every pair is shown both ways round.
    rows = np.concatenate([differences, -differences])
    way = np.repeat([1, 0], len(differences))
    model = LogisticRegression(C=_STRENGTH, fit_intercept=False, max_iter=500).fit(rows, way)
    weights: Floats = np.asarray(model.coef_, dtype=np.float64)[0]
    return weights


def cross_fitted_margins(differences: Floats, people: Sequence[str], *, seed: int) -> Floats:
    """The margin of every pair by a head that was fitted to other people's pairs.

    Args:
        differences: (n, F).
        people: n names; at least two people.
        seed: Of the people's order in the folds.

    Returns:
        (n,) log-odds that the chosen answer is the better one; below 0 where the head would
        rather have the rejected one.
    """
    names = sorted(set(people))
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of = {names[at]: place % min(FOLDS, len(names)) for place, at in enumerate(order)}
    fold = np.array([fold_of[person] for person in people])
    margins = np.empty(len(differences))
    for number in np.unique(fold):
        mine = fold == number
        margins[mine] = differences[mine] @ fit_head(differences[~mine])
    return margins
