"""What every command has around it: exit codes, output and progress.

Results go to stdout, everything else to stderr. An error raised on purpose ends the command
with its own exit code and one line; anything else is our bug, exit 1, with the traceback only
where ``GPA_DEBUG=1`` asks for it.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from gpa_agent.errors import GPAError, ServiceError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

P = ParamSpec("P")
R = TypeVar("R")

Progress = Callable[[str, int, int | None], None]
"""Called with (stage, done, total or None)."""

DEFAULT_WORKSPACE = Path("gpa-workspace")
INTERRUPTED = 130
"""What a shell reports for a command ended by Ctrl-C: 128 + SIGINT."""

WorkspaceOption = Annotated[
    Path,
    typer.Option(
        "--workspace", "-w", envvar="GPA_WORKSPACE", help="Folder that holds the deployment."
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Map whatever ends a command to the exit codes of the command line.

    Args:
        command: The command's function.

    Returns:
        The function, raising ``typer.Exit`` instead of errors.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except GPAError as error:
            complain(str(error))
            raise typer.Exit(error.exit_code) from error
        except BrokenPipeError as error:
            # Whoever read our output has gone (``gpa rubrics list | head``): nothing went wrong.
            # Python flushes stdout once more when it ends; that must not fail either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from error
        except OSError as error:
            complain(f"cannot write the output: {error.strerror or error}")
            raise typer.Exit(ServiceError.exit_code) from error
        except KeyboardInterrupt as error:
            complain("interrupted; what was done is kept, run it again to go on")
            raise typer.Exit(INTERRUPTED) from error
        except Exception as error:
            if isinstance(error, _OF_TYPER):
                raise
            if os.environ.get("GPA_DEBUG") == "1":
                traceback.print_exc()
            complain(
                f"this is our bug: {type(error).__name__}: {error} "
                "(GPA_DEBUG=1 shows where; please report it)"
            )
            raise typer.Exit(1) from error

    return run


_OF_TYPER: tuple[type[Exception], ...] = (typer.Exit, typer.Abort, typer.BadParameter)


def complain(message: str) -> None:
    """Print an error line on stderr."""
    typer.echo(f"error: {printable(message)}", err=True)


def note(message: str) -> None:
    """Print a line on stderr that is neither a result nor an error."""
    typer.echo(printable(message), err=True)


def emit(value: Any) -> None:  # noqa: ANN401 -- any JSON value
    """Print the one JSON object of ``--json``."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def printable(text: str) -> str:
    """A text without control characters: what comes from a log must not steer the terminal.

    Args:
        text: Any text; newlines and tabs stay.
    """
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def screen(*, err: bool = False) -> Console:
    """A console for results, or for progress with ``err``; 100 columns where it is no terminal."""
    from rich.console import Console

    class Plain(Console):
        """Leaves a broken pipe to `guarded`; rich would end the process with exit code 1."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    stream = sys.stderr if err else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else 100
    return Plain(stderr=err, width=width, highlight=False, markup=False, emoji=False)


@contextmanager
def progress_on_stderr(*, quiet: bool = False) -> Generator[Progress]:
    """Show stages: bars on a terminal, else a line per stage that takes a while.

    Args:
        quiet: Show nothing.

    Yields:
        The callback to hand to the workspace.
    """
    if quiet:
        yield lambda _stage, _done, _total: None
    elif sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _plain_lines(time.monotonic)


@contextmanager
def _bars() -> Generator[Progress]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, TimeElapsedColumn(), console=screen(err=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(printable(stage), total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


def _plain_lines(clock: Callable[[], float], every: float = 5.0) -> Progress:
    """A line at most every few seconds, so that a log file of a cron job stays short."""
    last = clock()

    def show(stage: str, done: int, total: int | None) -> None:
        nonlocal last
        if clock() - last >= every:
            last = clock()
            note(f"{stage}: {done}" + (f" of {total}" if total is not None else ""))

    return show


def names(text: str | None) -> list[str] | None:
    """Read a comma-separated list of names; None stays None.

    Args:
        text: For example ``novice,expert``.
    """
    if text is None:
        return None
    found = [" ".join(part.split()) for part in text.split(",")]
    if not all(found):
        raise UsageError(f"{text!r} is not a list of names; write them like novice,expert")
    return found
