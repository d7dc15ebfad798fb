"""Which of a run's checkpoints is taken: the end where the gate takes it, else the best before.

Rolling back is what saves a run whose end collapsed; stopping early alone stops too late.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from gpa_agent.alignment.gating.verdict import Checkpoint, Verdict
from gpa_agent.alignment.tuning import checkpoints
from gpa_agent.alignment.tuning.curves import History, logged

Examine = Callable[[Path, Checkpoint], Verdict]
"""Asks the gate about a checkpoint's weights; told what to call them."""


class Chosen(NamedTuple):
    """The weights that are taken, and what the gate said of them.

    Attributes:
        checkpoint: Where they are.
        verdict: The gate's.
    """

    checkpoint: Path
    verdict: Verdict


def choose(candidates: Sequence[Path], history: History, examine: Examine) -> Chosen:
    """Find weights that the gate takes.

    Args:
        candidates: Whole checkpoints, oldest first; the last is the end of training.
        history: The trainer's log.
        examine: Asks the gate.

    Returns:
        The end of training, or the most promising earlier checkpoint that passed; where none did,
        the end with what speaks against it.
    """
    *earlier, end = candidates
    at_end = Chosen(end, examine(end, "final"))
    if at_end.verdict.passed:
        return at_end
    for checkpoint in by_promise(earlier, history):
        verdict = examine(checkpoint, checkpoints.step_of(checkpoint))
        if verdict.passed:
            return Chosen(checkpoint, verdict)
    return at_end


def by_promise(earlier: Sequence[Path], history: History) -> list[Path]:
    """Order checkpoints by how likely the gate is to take them.

    In a collapse the log-probability of the chosen answers rises, peaks and falls: the highest
    comes first. A method that does not log it is gone back through from the newest.

    Args:
        earlier: Checkpoints, oldest first.
        history: The trainer's log.
    """
    steps = [0, *(checkpoints.step_of(path) for path in earlier)]
    means = [_mean_of_chosen(history, after, until) for after, until in pairwise(steps)]
    ranked = sorted(
        zip(means, steps[1:], earlier, strict=True), key=lambda item: item[:2], reverse=True
    )
    return [path for _, _, path in ranked]


def _mean_of_chosen(history: History, after: int, until: int) -> float:
    within = [entry for entry in logged(history) if after < entry["step"] <= until]
    values = [entry["logps/chosen"] for entry in within if "logps/chosen" in entry]
    mean = sum(values) / len(values) if values else math.nan
    return -math.inf if math.isnan(mean) else mean
