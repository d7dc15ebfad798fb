"""Tuning a model for each group (Algorithm 3), from the caller's side.

The work is done in a process of its own, `alignment.tuning.child`. One that gives a group up,
or is killed in the middle of one, costs that group: another is started for the others.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from gpa_agent import errors
from gpa_agent.alignment.bases import is_folder
from gpa_agent.alignment.config import TuningConfig
from gpa_agent.alignment.deps import require
from gpa_agent.alignment.faults import mapped
from gpa_agent.alignment.tuning.child import NEXT, OWNED
from gpa_agent.alignment.tuning.job import WORK, Folders, Job
from gpa_agent.alignment.tuning.outcomes import Event, Outcome, failed
from gpa_agent.errors import DataError, GPAError, ModelError, UsageError
from gpa_agent.files import write_whole
from gpa_agent.ledger import Busy
from gpa_agent.rubrics.records import Rubric

if TYPE_CHECKING:
    from gpa_agent.workspace import Workspace

Progress = Callable[[str, int, int | None], None]
"""Called with (stage, done, total)."""
_MODULE: Final = "gpa_agent.alignment.tuning.child"
_JOB: Final = "job.json"
_LOG: Final = "finetune.log"
_GRACE_SECONDS: Final = 5.0
_WITH_IT: Final = (
    "the tuning process {died}; its checkpoints are kept, and running it again goes on from the "
    "newest (see {log!r})"
)


class TuneReport(BaseModel):
    """What a tuning did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str
    method: str
    dry_run: bool = False
    groups: tuple[Outcome, ...]
    seconds: float
    """With starting the process and loading the base."""
    peak_bytes: int = 0
    """Most memory a tuning process had, in bytes; GPU memory not counted."""

    @property
    def exit_code(self) -> int:
        """What a command exits with: that of what failed, else of what was refused, else 0."""
        failed = [o.exit_code for o in self.groups if o.status == "failed"]
        return max(failed, default=max((o.exit_code for o in self.groups), default=0))


def tune(
    place: Workspace | Folders,
    config: TuningConfig,
    *,
    groups: Sequence[str] | None = None,
    rubrics: Iterable[Rubric] | None = None,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress = lambda _stage, _done, _total: None,
) -> TuneReport:
    """Tune a model for each group, all on one base; run again it goes on where it was stopped.

    Example:
        ```python
        report = tune(ws, TuningConfig(base="./my-base"))
        [(one.group, one.status, one.reasons) for one in report.groups]
        ```

    Args:
        place: The workspace; or the folders alone, on a machine that has only those.
        config: How.
        groups: Which groups; None: all that have pairs, at least two.
        rubrics: What the judge goes by; None: what the workspace serves.
        force: Tune again what is finished on the same inputs.
        dry_run: Only say what would be done.
        progress: Called with (stage, done, total).

    Returns:
        What became of each group. A refused or failed one does not raise: see `exit_code`.

    Raises:
        UsageError: A group, the base or the hardware is not what it has to be.
        DataError: There are no pairs, or of one group alone.
        StoreError: Something cannot be written, or another process is tuning here.
        ModelError: The tuning process cannot be started.
    """
    started = time.monotonic()
    require("tune group models", hub=not is_folder(config.base))
    folders, served = (
        (place, [])
        if isinstance(place, Folders)
        else (Folders.of(place.path), place.export_rubrics())
    )
    rubrics = served if rubrics is None else rubrics
    job = make_job(folders, config, groups=groups, rubrics=rubrics, force=force, dry_run=dry_run)
    told = _Told(progress=progress)
    left = job.groups
    while left:
        _run(job.model_copy(update={"groups": left}), told)
        left = tuple(group for group in left if group not in told.outcomes)
    if all(outcome.status != "failed" for outcome in told.outcomes.values()):
        (folders.models / WORK / _LOG).unlink(missing_ok=True)
    return TuneReport(
        base=config.base,
        method=config.method,
        dry_run=dry_run,
        groups=tuple(told.outcomes[group] for group in job.groups),
        seconds=time.monotonic() - started,
        peak_bytes=told.peak_bytes,
    )


def make_job(
    folders: Folders,
    config: TuningConfig,
    *,
    groups: Sequence[str] | None = None,
    rubrics: Iterable[Rubric] = (),
    force: bool = False,
    dry_run: bool = False,
) -> Job:
    """Check what can be checked without the libraries, and say what is to be done.

    Args:
        folders: Where pairs are and models go.
        config: As for `tune`.
        groups: As for `tune`.
        rubrics: As for `tune`.
        force: As for `tune`.
        dry_run: As for `tune`.

    Raises:
        UsageError: A group has no pairs.
        DataError: There are no pairs, or of one group alone.
    """
    there = folders.groups()
    if not there:
        raise DataError(f"there are no pairs in {str(folders.pairs)!r}: make them with 'gpa pairs'")
    if groups is None and len(there) == 1:
        raise DataError(
            f"there are pairs of {there[0]!r} alone: whether its model pleases that group more "
            "than the others cannot be looked at. Make pairs of another group with 'gpa pairs', "
            f"or name it to tune it by itself: --group {there[0]!r}"
        )
    unknown = [group for group in groups or () if group not in there]
    if unknown:
        raise UsageError(
            f"there are no pairs of {', '.join(map(repr, unknown))}; there are of "
            f"{', '.join(map(repr, there))}"
        )
    return Job(
        folders=folders,
        config=config,
        groups=tuple(dict.fromkeys(groups or there)),
        rubrics=tuple(rubrics),
        force=force,
        dry_run=dry_run,
    )


def launch_command(job: Job, *, processes: int = 2) -> str:
    """Write the job's file and say how accelerate runs it on several GPUs.

    Written to accelerate's documentation and not tested. `tune` afterwards says what came out.

    Args:
        job: What to do.
        processes: How many GPUs.

    Raises:
        StoreError: The file cannot be written.
    """
    path = _written(job, _JOB)
    words = ["accelerate", "launch", "--num_processes", str(processes), "-m", _MODULE, str(path)]
    return shlex.join(words)


@dataclass(kw_only=True, slots=True)
class _Told:
    """What the tuning processes have told so far."""

    progress: Progress
    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    peak_bytes: int = 0
    at_work: str | None = None
    error: Event | None = None

    def hear(self, event: Event) -> None:
        """Take in one event."""
        if event.kind == "stage":
            self.at_work = event.group
            about = f"{event.group}: {event.stage}" if event.group else event.stage
            self.progress(about, event.done, event.total)
        elif event.outcome is not None:
            self.outcomes[event.outcome.group] = event.outcome
            self.at_work = None
        elif event.kind == "error":
            self.error = event
        self.peak_bytes = max(self.peak_bytes, event.peak_bytes)


def _run(job: Job, told: _Told) -> None:
    """Run one tuning process to its end, and put down what became of the group it died in."""
    # A name of its own: who starts a second tuning must not tell the first one what to do.
    path = _written(job, f"job-{os.getpid()}.json")
    log = path.with_name(_LOG)
    told.at_work = None
    try:
        with mapped("starting the tuning process"), log.open("ab") as err:
            log.chmod(0o600)
            code = _listen([sys.executable, "-P", "-m", _MODULE, str(path), OWNED], err, told)
    finally:
        path.unlink(missing_ok=True)
    if told.error is not None:
        raise _raised(told.error, log)
    if code in (0, NEXT) and told.outcomes.keys() & set(job.groups):
        return
    if told.at_work is None:
        raise ModelError(f"the tuning process {_died(code)} before it began; see {str(log)!r}")
    died = ModelError(_WITH_IT.format(died=_died(code), log=str(log)))
    told.outcomes[told.at_work] = failed(told.at_work, died)


def _listen(command: list[str], err: IO[bytes], told: _Told) -> int:
    """Start the process, hear it out, and never leave it behind."""
    with subprocess.Popen(  # noqa: S603 -- our own interpreter and module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, encoding="utf-8"
    ) as process:
        try:
            for line in process.stdout or ():
                _hear(line, told)
            return process.wait()
        except BaseException:
            _end(process)
            raise


def _hear(line: str, told: _Told) -> None:
    try:
        told.hear(Event.model_validate_json(line))
    except ValidationError as exc:  # cut off in the middle: the process was killed as it spoke
        if line.endswith("\n"):
            raise ModelError(f"the tuning process said {line[:80]!r}, which is no event") from exc


def _end(process: subprocess.Popen[str]) -> None:
    """Closing its stdin ends the process; what it was at is kept."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _written(job: Job, name: str) -> Path:
    path = job.folders.models / WORK / name
    write_whole(path, job.model_dump_json(indent=2).encode(), mode=0o600)
    return path


def _raised(event: Event, log: Path) -> Exception:
    """The error the process ended with, as if it had been raised here."""
    kind = getattr(errors, event.error, Busy if event.error == Busy.__name__ else None)
    if isinstance(kind, type) and issubclass(kind, GPAError):
        made = kind.__new__(kind)
        made.args = (event.message,)
        return made
    return RuntimeError(f"{event.message} (see {str(log)!r})")


def _died(code: int) -> str:
    if code == -signal.SIGKILL or code == 128 + signal.SIGKILL:
        return "was killed, as a system does that is out of memory"
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
