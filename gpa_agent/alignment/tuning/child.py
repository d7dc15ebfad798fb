"""The tuning process: groups one after the other on one loaded base.

Run by `alignment.tuning.tuning`, or under accelerate on several GPUs. A process of its own,
because a crash under torch (memory, a driver) then costs one group and never the caller, and
because all memory goes back with it. It reads a job file and prints one JSON line an event.

What is finished is told by the folders alone, so a process that is killed at any point is simply
run again: finished groups are skipped, a group that was at work goes on from its newest whole
checkpoint to the same weights.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from gpa_agent.alignment.bases import is_folder
from gpa_agent.alignment.tuning.job import Job
from gpa_agent.alignment.tuning.outcomes import Event, Outcome, failed, told
from gpa_agent.errors import GPAError, MissingDependency, StoreError, UsageError

NEXT = 75
"""Exit code of a process that gave one group up: another one is to go on (EX_TEMPFAIL)."""
OWNED = "--owned"
"""Says that whoever started the process holds its stdin, and that it must not outlive them."""


class Events:
    """Tells what happens, on the stream that was stdout.

    Args:
        out: Where to; None where another process of the same run tells it.
    """

    def __init__(self, out: TextIO | None) -> None:
        self._out = out

    def tell(self, event: Event) -> None:
        """Print an event."""
        if self._out is not None:
            self._out.write(event.model_dump_json(exclude_defaults=True) + "\n")
            self._out.flush()

    def stage(self, group: str | None, stage: str, done: int, total: int | None) -> None:
        """Tell how far a stage has come."""
        self.tell(Event(kind="stage", group=group, stage=stage, done=done, total=total))

    def outcome(self, outcome: Outcome) -> None:
        """Tell what became of a group."""
        self.tell(Event(kind="outcome", group=outcome.group, outcome=outcome))

    def end(self) -> None:
        """Tell that everything was done."""
        self.tell(Event(kind="end", peak_bytes=_peak_bytes()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Do a job.

    Args:
        arguments: The job's file, and `OWNED` where it applies.

    Returns:
        0 done, `NEXT` where a group was given up, else the error's exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    events = Events(_real_stdout() if is_first() else None)
    if OWNED in given:
        given.remove(OWNED)
        # Last, so that a judge is found there and nothing that lies about shadows a package.
        sys.path.append(str(Path.cwd()))
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        job = Job.model_validate_json(Path(given[0]).read_bytes())
        return do(job, events)
    except GPAError as error:
        events.tell(Event(kind="error", error=type(error).__name__, message=str(error)))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 -- told to whoever waits, and where in the log
        traceback.print_exc()
        events.tell(Event(kind="error", error="Exception", message=told(error)))
        return 1


def is_first() -> bool:
    """Whether this process writes and tells; of several under accelerate only one does."""
    return int(os.environ.get("RANK", "0")) == 0


def do(job: Job, events: Events) -> int:
    """Do a job in this process.

    Args:
        job: What to do.
        events: Told of everything.

    Returns:
        0, or `NEXT` where a group was given up and the process should be.

    Raises:
        GPAError: What the other groups would meet too.
    """
    from gpa_agent.alignment.deps import require  # noqa: PLC0415 -- before anything heavy
    from gpa_agent.alignment.faults import mapped  # noqa: PLC0415 -- as above

    require("tune group models", hub=not is_folder(job.config.base))
    from gpa_agent.alignment.tuning.runner import Runner  # noqa: PLC0415 -- loads torch

    with mapped("getting ready"):
        runner = Runner(job, events, first=is_first())
    with runner.alone():
        for plan in runner.to_do():
            started = time.monotonic()
            try:
                with mapped(f"tuning {plan.group!r}"):
                    outcome = runner.tune(plan)
            except (StoreError, UsageError, MissingDependency):
                raise  # the next group would meet the same
            except Exception as error:  # noqa: BLE001 -- costs this group alone
                traceback.print_exc()
                outcome = failed(plan.group, error)
            seconds = time.monotonic() - started
            events.outcome(outcome.model_copy(update={"seconds": seconds}))
            if outcome.status == "failed":
                return NEXT
    events.end()
    return 0


def _real_stdout() -> TextIO:
    """Stdout for events alone: whatever a library prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _end_with_stdin() -> None:
    """End when the one who started us has: a run that nobody waits for must not go on."""
    while os.read(0, 4096):
        pass
    os._exit(NEXT)


def _peak_bytes() -> int:
    if sys.platform == "win32":
        return 0
    import resource  # noqa: PLC0415 -- POSIX alone has it

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    raise SystemExit(main())
