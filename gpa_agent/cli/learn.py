"""``gpa learn``: from logs to rubrics, with the evidence."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gpa_agent.cli.init import GroupsOption, IntentsOption, PublishOption
from gpa_agent.cli.render import NO_DIFFERENCE, print_rubric, versus
from gpa_agent.cli.running import (
    DEFAULT_WORKSPACE,
    JsonOption,
    QuietOption,
    WorkspaceOption,
    emit,
    guarded,
    names,
    note,
    printable,
    progress_on_stderr,
    screen,
)
from gpa_agent.cli.taxonomy import plain, read_intents
from gpa_agent.errors import UsageError

if TYPE_CHECKING:
    from gpa_agent.learning.report import IngestReport, LearnReport
    from gpa_agent.workspace import Workspace

_SHOWN_BAD_LINES = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    example = "gpa learn chats.jsonl.gz --groups novice,expert --intents intents.json"
    app.command("learn", epilog=f"Example: {example}")(learn)


@guarded
def learn(
    *,
    logs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LOG",
            help="Logs to read first, plain or gzip, '-' for stdin; none: what is there already.",
        ),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    groups: GroupsOption = None,
    intents: IntentsOption = None,
    publish: PublishOption = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="Log format; found by looking where not given.")
    ] = None,
    group_by: Annotated[
        str | None, typer.Option("--group-by", help="Field of the records that names the group.")
    ] = None,
    max_bad: Annotated[
        float, typer.Option("--max-bad", min=0, max=1, help="Share of bad lines to put up with.")
    ] = 0.01,
    null: Annotated[
        int,
        typer.Option("--null", min=0, metavar="N", help="Learn N times again on shuffled groups."),
    ] = 0,
    quiet: QuietOption = False,
    json_: JsonOption = False,
) -> None:
    """Learn where groups differ: read logs, judge answers, contrast groups, weigh the evidence.

    Running it again goes on where it stopped and takes in what was recorded since.
    """
    how = _publishing(publish)
    chosen = names(groups)
    taxonomy = plain(read_intents(intents))
    _check_files(logs or [])
    with (
        _opened(str(workspace), groups=chosen, intents=taxonomy, create=bool(logs)) as ws,
        progress_on_stderr(quiet=quiet) as progress,
    ):
        read = [
            ws.ingest(log, format=format_, max_bad=max_bad, group_by=group_by, progress=progress)
            for log in logs or []
        ]
        _check_groups(ws, chosen)
        report = ws.learn(publish=how, progress=progress)
        ws.keep_settings()
        shuffled = ws.learn_null(null, progress=progress) if null else None
    if json_:
        extra: dict[str, Any] = {} if shuffled is None else {"null": shuffled}
        emit(report.model_dump(mode="json") | extra)
        return
    for ingest in read:
        _say_bad_lines(ingest)
    print_report(report)
    if shuffled is not None:
        _print_null(report, shuffled)


def print_report(report: "LearnReport") -> None:
    """Print what a run of learning found, what it did not find, and what it could not test.

    Args:
        report: What ``Workspace.learn`` gave back.
    """
    console = screen()
    live = live_items(report)
    found = [r for r in report.rubrics if any(a.status in {"live", "approved"} for a in r.aspects)]
    for rubric in found:
        print_rubric(console, rubric)
    for rubric in report.rubrics:
        if rubric not in found:
            what = f"{rubric.intent}: {versus(rubric.contrast)}"
            console.print(printable(f"{what}: {NO_DIFFERENCE}, everybody gets the plain answer"))
    for left in report.untested:
        what = f"{left.intent}: {versus(left.contrast)}"
        console.print(printable(f"{what}: not tested, {left.reason}"))
    waiting = sum(a.status == "approved" for r in report.rubrics for a in r.aspects)
    console.print(
        f"\n{report.people} people, {report.tested} hypotheses tested and corrected together: "
        f"{live} live, {waiting} waiting for approval, {report.candidates} found but not served, "
        f"{report.rejected} without a sign of a difference. "
        f"{report.calls} model calls, {report.seconds:.1f} s, {report.encoder}."
    )
    for line in report.notes:
        console.print(printable(f"note: {line}"))
    if waiting:
        console.print("next: gpa rubrics show INTENT, then gpa rubrics approve INTENT")


def live_items(report: "LearnReport") -> int:
    """The number of live aspects in a report."""
    return sum(a.status == "live" for r in report.rubrics for a in r.aspects)


def _print_null(report: "LearnReport", shuffled: list[int]) -> None:
    clean = sum(n == 0 for n in shuffled)
    screen().print(
        f"items found with the groups as they are: {live_items(report)}; "
        f"with people shuffled between the groups: {', '.join(map(str, shuffled))} "
        f"({clean} of {len(shuffled)} runs found nothing, as they should)"
    )


def _say_bad_lines(ingest: "IngestReport") -> None:
    if not ingest.skipped:
        return
    note(f"{ingest.skipped} lines were skipped, for example:")
    for line in ingest.bad[:_SHOWN_BAD_LINES]:
        note(f"  {line.file}, line {line.line}: {line.reason}")


@contextmanager
def _opened(
    folder: str, *, groups: list[str] | None, intents: dict[str, Any] | None, create: bool
) -> "Generator[Workspace]":
    """Open a workspace that stays as it was where no log can be read.

    The caller keeps the settings once it has learned under them; a folder that was made here
    and never came to that is taken away again.
    """
    from gpa_agent.workspace import Workspace

    path = Path(folder).expanduser()
    is_new = not path.exists()
    try:
        with Workspace.open(path, groups=groups, intents=intents, create=create, store=False) as ws:
            yield ws
    finally:
        if is_new and not (path / "settings.json").exists():
            shutil.rmtree(path, ignore_errors=True)


def _check_groups(ws: "Workspace", named: list[str] | None) -> None:
    """Refuse groups that no record names: a typing error would quietly compare nobody."""
    known = ws.ledger.group_names()
    missing = [group for group in named or [] if group not in known]
    if missing and known:
        raise UsageError(
            f"no record names the group {', '.join(map(repr, missing))}; the records name: "
            f"{', '.join(map(repr, sorted(known)))}. The settings are as they were."
        )


def _publishing(word: str | None) -> Literal["auto", "review"] | None:
    if word == "auto":
        return "auto"
    if word == "review":
        return "review"
    if word is None:
        return None
    raise UsageError(f"--publish {word!r} is neither 'auto' nor 'review'")


def _check_files(logs: list[str]) -> None:
    """Say that a file is missing before a workspace is made for it."""
    for log in logs:
        if log != "-" and not Path(log).is_file():
            raise UsageError(f"{log!r} is not a file; name a log, or '-' for stdin")
