"""``gpa finetune``: a model for each group, tuned offline on the pairs of ``gpa pairs``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpa_agent.cli.beside import refuse_beside
from gpa_agent.cli.running import (
    DEFAULT_WORKSPACE,
    JsonOption,
    QuietOption,
    WorkspaceOption,
    complain,
    emit,
    guarded,
    note,
    printable,
    progress_on_stderr,
    screen,
)
from gpa_agent.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from gpa_agent.alignment.config import TuningConfig
    from gpa_agent.alignment.tuning.outcomes import Outcome
    from gpa_agent.alignment.tuning.tuning import TuneReport
    from gpa_agent.rubrics.records import Rubric

_ELSEWHERE = "To run or serve it elsewhere"
_BESIDE_SERVE = ("--workspace", "--base", "--group", "--quiet", "--json")
_FIGURES = ("win", "loss", "coherent", "ended", "chosen_rise")


def register(app: typer.Typer) -> None:
    """Add the command."""
    example = "gpa finetune --base ./my-base --method dpo --dry-run"
    app.command("finetune", epilog=f"Example: {example}")(finetune)


@guarded
def finetune(
    context: typer.Context,
    *,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    base: Annotated[
        str | None,
        typer.Option(
            "--base", metavar="FOLDER|NAME", help="Model to tune: a folder, or a hub name."
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="dpo|kto|kto-augmented|sft|rs-sft|rs-dpo", help="How."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="YAML", help="All settings; see the recipes.")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option("--group", help="Only this group; may be repeated.")
    ] = None,
    epochs: Annotated[float | None, typer.Option("--epochs", help="Passes over the pairs.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Its peak.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of everything random.")] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="auto|cpu|cuda", help="What to train on.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Tune again what is finished on the same inputs.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    launch: Annotated[
        bool,
        typer.Option(
            "--launch-command",
            help="Print the line that runs it on several GPUs with accelerate (untested).",
            rich_help_panel=_ELSEWHERE,
        ),
    ] = False,
    serve: Annotated[
        bool,
        typer.Option(
            "--serve-command",
            help="Print the line that serves the finished models with vLLM.",
            rich_help_panel=_ELSEWHERE,
        ),
    ] = False,
    merge: Annotated[
        Path | None,
        typer.Option(
            "--merge",
            metavar="FOLDER",
            help="Write the model of --group merged into its base, for any server.",
            rich_help_panel=_ELSEWHERE,
        ),
    ] = None,
    quiet: QuietOption = False,
    json_: JsonOption = False,
) -> None:
    """Tune a model for each group; run again it goes on where it was stopped.

    A model that the gate refuses is kept for a look and never served; the command then exits
    with 4. Without a GPU it trains on the CPU, which suits small bases only.
    """
    rubrics = _rubrics(workspace)
    tunes_none = "is about models that are finished, and tunes none"
    if serve:
        refuse_beside(context, "--serve-command", why=tunes_none, but=_BESIDE_SERVE)
        return _print_serve_command(workspace, group, base, json_=json_)
    if merge is not None:
        refuse_beside(context, "--merge", why=tunes_none, but=_BESIDE_SERVE)
        return _merge(workspace, group, merge, base, json_=json_)
    from gpa_agent.alignment.config import tuning_config

    settings = tuning_config(
        config,
        base=base,
        method=method,
        epochs=epochs,
        learning_rate=learning_rate,
        seed=seed,
        device=device,
    )
    if launch:
        return _print_launch_command(workspace, settings, group, rubrics, force=force)
    from gpa_agent.alignment.tuning.job import Folders
    from gpa_agent.alignment.tuning.tuning import tune

    with progress_on_stderr(quiet=quiet) as progress:
        report = tune(
            Folders.of(workspace),
            settings,
            groups=group,
            rubrics=rubrics,
            force=force,
            dry_run=dry_run,
            progress=progress,
        )
    if json_:
        emit({**report.model_dump(mode="json"), "exit_code": report.exit_code})
    else:
        _show(report)
    _complain(report)
    raise typer.Exit(report.exit_code)


def _rubrics(workspace: Path) -> list[Rubric]:
    from gpa_agent.workspace import Workspace

    with Workspace.open(workspace, create=False) as ws:
        return ws.export_rubrics()


def _print_launch_command(
    workspace: Path,
    settings: TuningConfig,
    groups: Sequence[str] | None,
    rubrics: Sequence[Rubric],
    *,
    force: bool,
) -> None:
    from gpa_agent.alignment.tuning.job import Folders
    from gpa_agent.alignment.tuning.tuning import launch_command, make_job

    folders = Folders.of(workspace.absolute())
    job = make_job(folders, settings, groups=groups, rubrics=rubrics, force=force)
    typer.echo(launch_command(job))
    note("untested on several GPUs; run 'gpa finetune' after it to see what came out")


def _print_serve_command(
    workspace: Path, groups: Sequence[str] | None, base: str | None, *, json_: bool
) -> None:
    from gpa_agent.alignment.serving.exporting import serve_command

    launch = serve_command(workspace, groups=groups, base=base)
    if json_:
        emit(launch._asdict())
    else:
        typer.echo(launch.line)
    for name, reason in launch.refused.items():
        note(f"{name} is left out: {reason}")


def _merge(
    workspace: Path, groups: Sequence[str] | None, target: Path, base: str | None, *, json_: bool
) -> None:
    from gpa_agent.alignment.serving.exporting import merge_group

    if groups is None or len(groups) != 1:
        raise UsageError("--merge writes one group's model: name it with --group")
    folder = merge_group(workspace, groups[0], target, base=base)
    emit({"folder": str(folder)}) if json_ else typer.echo(str(folder))


def _show(report: TuneReport) -> None:
    console = screen()
    for outcome in report.groups:
        _show_group(console, outcome)
    if not report.dry_run:
        memory = f", at most {report.peak_bytes / 2**20:,.0f} MiB" if report.peak_bytes else ""
        console.print(
            printable(f"{report.method} on {report.base}: {report.seconds:.1f} s{memory}")
        )


def _show_group(console: Console, outcome: Outcome) -> None:
    console.print(printable(f"{outcome.group}: {_status(outcome)}"), style="bold")
    if outcome.pairs:
        console.print(
            f"  {outcome.pairs} pairs, {outcome.held_out} held out; {outcome.rows} rows, "
            f"{outcome.steps} steps" + (f", {outcome.seconds:.1f} s" if outcome.seconds else "")
        )
    for reason, count in outcome.counts.items():
        console.print(f"  left out: {count} {reason.replace('_', ' ')}")
    told = {name: outcome.figures.get(name) for name in _FIGURES}
    if any(value is not None for value in told.values()):
        figures = (f"{n.replace('_', ' ')} {v:.2f}" for n, v in told.items() if v is not None)
        console.print(f"  gate: {', '.join(figures)}")
    for line in outcome.notes:
        console.print(printable(f"  {line}"))
    if outcome.folder is not None:
        console.print(printable(f"  {outcome.folder}"))


def _status(outcome: Outcome) -> str:
    at = (
        "" if outcome.checkpoint in (None, "final") else f", as it was at step {outcome.checkpoint}"
    )
    return {
        "served": f"passed the gate{at}",
        "refused": "refused by the gate",
        "skipped": "was finished on the same inputs; --force tunes it again",
        "failed": "failed",
        "planned": "to be tuned",
    }[outcome.status]


def _complain(report: TuneReport) -> None:
    for outcome in report.groups:
        if outcome.status in ("refused", "failed"):
            said = "refused" if outcome.status == "refused" else "not tuned"
            complain(f"{outcome.group!r} is {said}: {'; '.join(outcome.reasons)}")
