"""What the tuning process tells: JSON lines of how far it is, and of what became of each group."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from gpa_agent.alignment.manifest import Manifest
from gpa_agent.alignment.tuning.curves import PICTURE
from gpa_agent.errors import GPAError, ServiceError

Status = Literal["served", "refused", "skipped", "failed", "planned"]
ROWS: Final = "rows"
STEPS: Final = "steps"
REWARD_ACCURACY: Final = "reward_accuracy"


class Outcome(BaseModel):
    """What became of a group."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    status: Status
    """``skipped``: it was tuned on the same inputs before, and passed."""
    folder: Path | None = None
    """Of the finished run."""
    reasons: tuple[str, ...] = ()
    """Why it was refused or failed."""
    exit_code: int = 0
    """What a command exits with for it."""
    pairs: int = 0
    """Pairs trained on."""
    held_out: int = 0
    """Pairs kept for the gate."""
    rows: int = 0
    """Rows made of the pairs."""
    steps: int = 0
    """Steps of the optimizer."""
    counts: dict[str, int] = Field(default_factory=dict[str, int])
    """Rows left out, by reason."""
    notes: tuple[str, ...] = ()
    """What else a person should know."""
    checkpoint: int | Literal["final"] | None = None
    """The step whose weights were taken."""
    metrics: dict[str, float] = Field(default_factory=dict[str, float])
    """The manifest's."""
    figures: dict[str, float | None] = Field(default_factory=dict[str, float | None])
    """The gate's."""
    seconds: float = 0.0
    """Of this group alone, without loading the base."""


class Event(BaseModel):
    """One line from the tuning process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["stage", "outcome", "error", "end"]
    group: str | None = None
    """The group at work, where there is one."""
    stage: str = ""
    done: int = 0
    total: int | None = None
    outcome: Outcome | None = None
    error: str = ""
    """Class of an error that ends everything."""
    message: str = ""
    peak_bytes: int = 0
    """Most memory the process has had."""


def outcome_of(manifest: Manifest, folder: Path, *, again: bool) -> Outcome:
    """Tell of a finished run.

    Args:
        manifest: Its manifest.
        folder: Its folder.
        again: Whether it was there before.
    """
    verdict = manifest.verdict
    refused: Status = "refused"
    return Outcome(
        group=manifest.group,
        status=refused if not verdict.passed else "skipped" if again else "served",
        folder=folder,
        reasons=verdict.reasons,
        exit_code=0 if verdict.passed else ServiceError.exit_code,
        pairs=manifest.data.pairs,
        held_out=manifest.data.held_out,
        rows=manifest.counts.get(ROWS, 0),
        steps=manifest.counts.get(STEPS, 0),
        counts={k: v for k, v in manifest.counts.items() if k not in (ROWS, STEPS)},
        notes=tuple(_notes(manifest, folder, again=again)),
        checkpoint=verdict.checkpoint,
        metrics=manifest.metrics,
        figures=verdict.figures,
    )


def _notes(manifest: Manifest, folder: Path, *, again: bool) -> Iterator[str]:
    if again and not manifest.verdict.passed:
        yield "refused before, on the same inputs; --force tunes it again"
    if (accuracy := manifest.metrics.get(REWARD_ACCURACY)) is not None:
        yield (
            f"on people it had not seen the reward model prefers the chosen answer in "
            f"{accuracy:.0%} of the pairs; near half, its choice of pairs is chance"
        )
    if not (folder / PICTURE).exists():
        yield "no picture of the learning curve: matplotlib is not installed"


def failed(group: str, error: Exception) -> Outcome:
    """Tell of a group that was given up.

    Args:
        group: The group.
        error: Why.
    """
    reason = str(error) if isinstance(error, GPAError) else told(error)
    return Outcome(
        group=group,
        status="failed",
        reasons=(reason,),
        exit_code=error.exit_code if isinstance(error, GPAError) else 1,
    )


def told(error: Exception) -> str:
    """An error in one line: those of libraries run on."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:200]}"
