"""``gpa learn``: from logs to rubrics, with the evidence."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gpa_agent.cli.init import GroupsOption, IntentsOption, PublishOption
from gpa_agent.cli.model_calls import (
    WITH_A_MODEL,
    ConcurrencyOption,
    MaxCallsOption,
    MaxCostOption,
    PriceOption,
    asked_of,
    expectation,
    price_given,
    print_estimate,
)
from gpa_agent.cli.render import NO_DIFFERENCE, print_rubric, versus
from gpa_agent.cli.running import (
    DEFAULT_WORKSPACE,
    JsonOption,
    Progress,
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
from gpa_agent.errors import GPAError, UsageError

if TYPE_CHECKING:
    from gpa_agent.calls.batch import BatchWaiting
    from gpa_agent.learning.distilling import DistilReport
    from gpa_agent.learning.estimate import Estimate
    from gpa_agent.learning.report import IngestReport, LearnReport
    from gpa_agent.learning.spending import Spend
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
        typer.Option(
            "--null",
            min=0,
            metavar="N",
            help="Learn N times again on shuffled groups; with a model it calls it again.",
        ),
    ] = 0,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Chat model that learns, as openai:gpt-4o-mini (OPENAI_BASE_URL for other "
            "servers); kept. 'embedded' goes back to the engine that needs none.",
            rich_help_panel=WITH_A_MODEL,
        ),
    ] = None,
    max_calls: MaxCallsOption = None,
    max_cost: MaxCostOption = None,
    label_budget: Annotated[
        int | None,
        typer.Option(
            "--label-budget",
            min=0,
            metavar="N",
            help="Let the model label N of each kind; classifiers trained on that label the rest. "
            "Kept; 0: it labels everything.",
            rich_help_panel=WITH_A_MODEL,
        ),
    ] = None,
    price: PriceOption = None,
    concurrency: ConcurrencyOption = None,
    runner: Annotated[
        str,
        typer.Option(
            "--runner",
            help="What runs the calls: asyncio, daft or daft-ray.",
            rich_help_panel=WITH_A_MODEL,
        ),
    ] = "asyncio",
    batch: Annotated[
        Path | None,
        typer.Option(
            "--batch",
            metavar="DIR",
            help="Call nobody: write OpenAI batch files, read their results from there.",
            rich_help_panel=WITH_A_MODEL,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Read the logs, print what learning would call and cost, and stop.",
            rich_help_panel=WITH_A_MODEL,
        ),
    ] = False,
    quiet: QuietOption = False,
    json_: JsonOption = False,
) -> None:
    """Learn where groups differ: read logs, judge answers, contrast groups, weigh the evidence.

    Running it again goes on where it stopped and takes in what was recorded since.
    """
    from gpa_agent.calls.batch import BatchWaiting

    spend = _spend(max_calls, max_cost, runner, batch)
    if batch is not None and (null or max_calls is not None or max_cost is not None):
        raise UsageError(
            "--batch calls nobody: leave --null, --max-calls and --max-cost out, and run --null "
            "without --batch when all is learned"
        )
    given: dict[str, Any] = {
        "publish": _publishing(publish),
        "label_budget": label_budget,
        "price": price_given(price),
        "concurrency": concurrency,
    }
    chosen = names(groups)
    taxonomy = plain(read_intents(intents))
    _check_files(logs or [])
    with (
        _opened(
            str(workspace),
            create=bool(logs),
            groups=chosen,
            intents=taxonomy,
            model=model,
            **{name: value for name, value in given.items() if value is not None},
        ) as ws,
        progress_on_stderr(quiet=quiet) as progress,
    ):
        read = [
            ws.ingest(log, format=format_, max_bad=max_bad, group_by=group_by, progress=progress)
            for log in logs or []
        ]
        _check_groups(ws, chosen, group_by)
        cannot = _cannot_open(ws)
        if dry_run:
            expected = ws.estimate(spend) if ws.settings.model else None
            if logs and not (ws.path / "settings.json").exists():
                ws.keep_settings()  # what was read is there to go on from
            print_estimate(expected, cannot, json_=json_)
            return
        if cannot is not None and batch is None:
            raise cannot
        # From here on there is something to go on from, whatever ends the run.
        ws.keep_settings()
        expected = ws.estimate(spend) if ws.settings.model else None
        _say_engine(expected, quiet=quiet)
        try:
            report = ws.learn(spend=spend, progress=progress)
        except BatchWaiting as waiting:
            _print_waiting(waiting, json_=json_)
            return
        report = _beside(report, expected)
        if not json_:
            for ingest in read:
                _say_bad_lines(ingest)
            print_report(report)
        before = ws.ledger.count_calls()
        found, wrong = _shuffle(ws, null, spend.left(report.model), progress)
        calls = ws.ledger.count_calls() - before
    if json_:
        extra: dict[str, Any] = {"null": found, "null_calls": calls} if null else {}
        emit(report.model_dump(mode="json") | extra)
    elif found is not None:
        _print_null(report, found, calls)
    if wrong is not None:
        raise wrong


def _shuffle(
    ws: "Workspace", times: int, spend: "Spend", progress: Progress
) -> tuple[list[int] | None, GPAError | None]:
    """The null check, and what stopped it: what was learned is told all the same."""
    if not times:
        return None, None
    try:
        return ws.learn_null(times, spend=spend, progress=progress), None
    except GPAError as error:
        return None, error


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
    if report.model is not None:
        console.print(printable(asked_of(report.model)))
    for taught in report.distilled:
        console.print(printable(_taught(taught)))
    for line in report.notes:
        console.print(printable(f"note: {line}"))
    if waiting:
        console.print("next: gpa rubrics show INTENT, then gpa rubrics approve INTENT")


def _taught(report: "DistilReport") -> str:
    """What became of a local classifier that the model taught."""
    served = {"new": "kept", "old": "not kept", "none": "none came of it"}[report.kept]
    figures = ""
    if report.coverage is not None and report.cost is not None:
        low, high = report.cost_interval or (report.cost, report.cost)
        figures = (
            f"; sure of {report.coverage:.0%}, where it differs from the model on "
            f"{report.cost:.0%} [{low:.0%}, {high:.0%}]; {report.calls_saved:,} calls saved"
        )
    why = f", {report.reason}" if report.kept != "new" else ""
    return f"local {report.classifier} classifier: {served}{why}{figures}"


def live_items(report: "LearnReport") -> int:
    """The number of live aspects in a report."""
    return sum(a.status == "live" for r in report.rubrics for a in r.aspects)


def _print_null(report: "LearnReport", shuffled: list[int], calls: int) -> None:
    clean = sum(n == 0 for n in shuffled)
    screen().print(
        f"items found with the groups as they are: {live_items(report)}; "
        f"with people shuffled between the groups: {', '.join(map(str, shuffled))} "
        f"({clean} of {len(shuffled)} runs found nothing, as they should)"
        + (f"; {calls:,} more model calls" if calls else "")
    )


def _say_bad_lines(ingest: "IngestReport") -> None:
    if not ingest.skipped:
        return
    note(f"{ingest.skipped} lines were skipped, for example:")
    for line in ingest.bad[:_SHOWN_BAD_LINES]:
        note(f"  {line.file}, line {line.line}: {line.reason}")


@contextmanager
def _opened(
    folder: str,
    *,
    create: bool,
    **given: Any,  # noqa: ANN401 -- what `Workspace.open` takes
) -> "Generator[Workspace]":
    """Open a workspace that stays as it was where no log can be read.

    The caller keeps the settings once its logs are read; a folder that was made here
    and never came to that is taken away again.
    """
    from gpa_agent.workspace import Workspace

    path = Path(folder).expanduser()
    is_new = not path.exists()
    try:
        with Workspace.open(path, create=create, store=False, **given) as ws:
            yield ws
    finally:
        if is_new and not (path / "settings.json").exists():
            shutil.rmtree(path, ignore_errors=True)


def _check_groups(ws: "Workspace", named: list[str] | None, field: str | None) -> None:
    """Refuse groups that no record names: a typing error would quietly compare nobody."""
    known = ws.ledger.group_names()
    if field is not None and not known:
        raise UsageError(
            f"no record has a field {field!r} that names its group; --group-by takes a field at "
            "the top of each record, beside its messages"
        )
    missing = [group for group in named or [] if group not in known]
    if missing and known:
        raise UsageError(
            f"no record names the group {', '.join(map(repr, missing))}; the records name: "
            f"{', '.join(map(repr, sorted(known)))}. The settings are as they were."
        )


def _cannot_open(ws: "Workspace") -> UsageError | None:
    """Why the model cannot be opened, before anything is kept or promised."""
    from gpa_agent.models import open_chat_model

    if ws.settings.model is None:
        return None
    try:
        open_chat_model(ws.settings.model, parameters=ws.settings.model_parameters)
    except UsageError as error:
        return error
    return None


def _beside(report: "LearnReport", expected: "Estimate | None") -> "LearnReport":
    """The report with what was expected beside what it came to."""
    if report.model is None or expected is None:
        return report
    told = report.model.model_copy(update={"estimate": expected.model_dump(mode="json")})
    return report.model_copy(update={"model": told})


def _spend(
    max_calls: int | None,
    max_cost: float | None,
    runner: str,
    batch: Path | None,
) -> "Spend":
    from gpa_agent.learning.spending import RUNNERS, Spend

    if runner not in RUNNERS:
        raise UsageError(f"--runner {runner!r} is none of {', '.join(RUNNERS)}")
    return Spend(
        max_calls=max_calls,
        max_cost=max_cost,
        runner=runner,
        batch=batch,
    )


def _say_engine(expected: "Estimate | None", *, quiet: bool) -> None:
    """Before anything is spent: what learns, and what it is expected to call and cost."""
    if quiet:
        return
    if expected is None:
        note(
            "no chat model is configured (--model openai:NAME): the embedded engine learns, "
            "without a key and without the network"
        )
    else:
        note(expectation(expected))


def _print_waiting(waiting: "BatchWaiting", *, json_: bool) -> None:
    if json_:
        files = [str(path) for path in waiting.files]
        figures = {"written": waiting.written, "waiting": waiting.waiting}
        emit({"batch": {"folder": str(waiting.folder), "files": files, **figures}})
    else:
        screen().print(printable(str(waiting)))


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
