"""Learning curves: everything the trainer logged, as a table and, with matplotlib, a picture.

Read ``logps/chosen`` first. Accuracy and margin look perfect while a model collapses; the
log-probability of the answers it is meant to prefer falls.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

CURVE: Final = "curve.csv"
PICTURE: Final = "curve.png"
_PANELS: Final = {
    "loss": ("loss",),
    "log-probability a row": ("logps/chosen", "logps/rejected"),
    "reward": ("rewards/chosen", "rewards/rejected", "rewards/margins"),
    "share": ("rewards/accuracies", "mean_token_accuracy"),
}

History = Sequence[Mapping[str, Any]]
"""The trainer's log: one mapping a logged step, and a summary at the end."""


def logged(history: History) -> list[dict[str, float]]:
    """The logged steps alone.

    Args:
        history: The trainer's log.
    """
    return [
        {key: float(value) for key, value in entry.items()}
        for entry in history
        if "train_runtime" not in entry
    ]


def metrics_at(history: History, step: int) -> dict[str, float]:
    """What was logged last at or before a step, but what is not a number; empty where nothing was.

    Args:
        history: The trainer's log.
        step: The step.
    """
    before = [entry for entry in logged(history) if entry["step"] <= step]
    last = before[-1] if before else {}
    return {name: value for name, value in last.items() if math.isfinite(value)}


def as_csv(history: History) -> bytes:
    """The curve as a table: one row a logged step, a column for everything logged.

    Args:
        history: The trainer's log.
    """
    rows = logged(history)
    names = sorted({name for row in rows for name in row} - {"step", "epoch"})
    text = io.StringIO()
    writer = csv.DictWriter(text, ["step", "epoch", *names], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "step": int(row["step"])})
    return text.getvalue().encode()


def as_picture(history: History, title: str) -> bytes | None:
    """The curve as a PNG.

    Args:
        history: The trainer's log.
        title: Above it; set as plain text.

    Returns:
        The picture; None where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 -- may be missing
    except ImportError:
        return None
    rows = logged(history)
    there = {name for row in rows for name in row}
    panels = [(axis, [n for n in names if n in there]) for axis, names in _PANELS.items()]
    panels = [(axis, names) for axis, names in panels if names]
    figure = Figure(figsize=(4.0 * max(1, len(panels)), 3.2), layout="constrained")
    figure.suptitle(title, parse_math=False)
    for place, (axis, names) in enumerate(panels, start=1):
        drawn = figure.add_subplot(1, len(panels), place)
        for name in names:
            points = [(row["step"], row[name]) for row in rows if name in row]
            drawn.plot(*zip(*points, strict=True), label=name.rpartition("/")[2])
        drawn.set(xlabel="step", title=axis)
        if len(names) > 1:
            drawn.legend(frameon=False, fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    return picture.getvalue()
