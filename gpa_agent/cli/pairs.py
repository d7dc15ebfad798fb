"""``gpa pairs``: preference pairs for training each group's model, and other tools' formats."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpa_agent.cli.beside import refuse_beside
from gpa_agent.cli.model_calls import (
    WITH_A_MODEL,
    ConcurrencyOption,
    MaxCallsOption,
    MaxCostOption,
    PriceOption,
    asked_of,
    price_given,
    print_estimate,
)
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
from gpa_agent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpa_agent.alignment.pairs.exporting import Exported
    from gpa_agent.alignment.pairs.report import GroupPairs, PairsReport
    from gpa_agent.learning.estimate import Estimate

_FOR_OTHERS = "For other tools"
_BESIDE_EXPORT = ("--workspace", "--groups", "--out", "--quiet", "--json")


def register(app: typer.Typer) -> None:
    """Add the command."""
    example = "gpa pairs --model openai:gpt-4o-mini --max-cost 5"
    app.command("pairs", epilog=f"Example: {example}")(pairs)


@guarded
def pairs(
    context: typer.Context,
    *,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    groups: Annotated[
        str | None,
        typer.Option("--groups", help="Whose pairs, as novice,expert; none: of all compared."),
    ] = None,
    min_confidence: Annotated[
        float,
        typer.Option("--min-confidence", help="Confidence a judgment read from the text needs."),
    ] = 0.6,
    per_person: Annotated[
        int, typer.Option("--per-person", help="Pairs of one person in a group's, at most.")
    ] = 10,
    holdout: Annotated[
        float, typer.Option("--holdout", help="Share of people who are never trained on.")
    ] = 0.2,
    max_similarity: Annotated[
        float,
        typer.Option("--max-similarity", help="Likeness from which a twin is near-identical."),
    ] = 0.9,
    balance_lengths: Annotated[
        float | None,
        typer.Option(
            "--balance-lengths",
            metavar="BOUND",
            help="Leave out the most unequal pairs until the mean lengths of chosen and rejected "
            "answers differ by no more than this share.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Chat model that writes the twins, this time; else the one that learns.",
            rich_help_panel=WITH_A_MODEL,
        ),
    ] = None,
    max_calls: MaxCallsOption = None,
    max_cost: MaxCostOption = None,
    price: PriceOption = None,
    concurrency: ConcurrencyOption = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print what the twins would call and cost at most, and stop.",
            rich_help_panel=WITH_A_MODEL,
        ),
    ] = False,
    export: Annotated[
        str | None,
        typer.Option(
            "--export",
            metavar="FORMAT",
            help="Make nothing: write what was made for trl, llama-factory or axolotl.",
            rich_help_panel=_FOR_OTHERS,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where to.", rich_help_panel=_FOR_OTHERS),
    ] = None,
    quiet: QuietOption = False,
    json_: JsonOption = False,
) -> None:
    """Make preference pairs: judged answers, each with a twin in the manner of the other side.

    Running it again asks for no twin twice.
    """
    from gpa_agent.alignment.pairs.making import PairsConfig, estimate_pairs, make_pairs
    from gpa_agent.learning.spending import Spend
    from gpa_agent.workspace import Workspace

    chosen = names(groups) or []
    if export is not None or out is not None:
        why = "writes the pairs that 'gpa pairs' made before and makes none"
        refuse_beside(context, "--export", why=why, but=_BESIDE_EXPORT)
        _export(workspace, export, out, chosen, json_=json_)
        return
    config = PairsConfig(
        groups=tuple(chosen),
        min_confidence=min_confidence,
        per_person=per_person,
        holdout=holdout,
        max_similarity=max_similarity,
        balance_lengths=balance_lengths,
    )
    with (
        Workspace.open(
            workspace, create=False, store=False, **_given(model, price, concurrency)
        ) as ws,
        progress_on_stderr(quiet=quiet) as progress,
    ):
        if dry_run:
            _print_expected(estimate_pairs(ws, config=config), json_=json_)
            return
        spend = Spend(max_calls=max_calls, max_cost=max_cost)
        report = make_pairs(ws, config=config, spend=spend, progress=progress)
    if json_:
        emit(report.model_dump(mode="json"))
    else:
        _print(report)


def _print_expected(expected: "Estimate | None", *, json_: bool) -> None:
    if expected is None and not json_:
        screen().print(
            "no chat model is configured (--model openai:NAME): judged answers get no twin, and "
            "only preference pairs of the log, if there are any, become pairs"
        )
    else:
        print_estimate(expected, None, json_=json_)


def _given(model: str | None, price: str | None, concurrency: int | None) -> dict[str, Any]:
    """Settings of this run; the price that is stored is that of the model that is stored."""
    given = {"model": model, "price": price_given(price), "concurrency": concurrency}
    kept = {name for name, value in given.items() if value is not None}
    return {name: given[name] for name in kept | ({"price"} if model is not None else set())}


def _export(
    workspace: Path, to: str | None, out: Path | None, groups: list[str], *, json_: bool
) -> None:
    from gpa_agent.alignment.pairs.exporting import export_pairs
    from gpa_agent.alignment.pairs.formats import format_named
    from gpa_agent.workspace import Workspace

    if to is None or out is None:
        raise UsageError("--export FORMAT and --out DIR go together, as in --export trl --out data")
    with Workspace.open(workspace, create=False, store=False) as ws:
        exported = export_pairs(ws, format_named(to), out, groups=groups)
    if json_:
        emit(exported.model_dump(mode="json"))
    else:
        for line in _written(exported):
            typer.echo(printable(line))


def _written(exported: "Exported") -> "Iterator[str]":
    for file, rows in exported.files.items():
        yield f"{file}: {rows} pairs"
    if exported.datasets:
        yield f"dataset: {','.join(exported.datasets)}"
    if exported.left_out:
        yield f"{exported.left_out} left out: users and assistants do not take turns in them"


def _print(report: "PairsReport") -> None:
    console = screen()
    for group, figures in report.groups.items():
        console.print(printable(_of_group(group, figures)))
    console.print(
        f"\n{report.pairs} pairs of {report.judged} judged answers and {report.recorded} pairs of "
        f"the log, {report.seconds:.1f} s"
    )
    _print_reasons("made none", report.skipped)
    _print_reasons("twins not used", report.sifted)
    if report.model is not None:
        console.print(printable(asked_of(report.model)))
    for line in report.notes:
        note(f"note: {line}")


def _of_group(group: str, figures: "GroupPairs") -> str:
    lengths = figures.lengths
    words = lengths and (
        f"; mean words {lengths.chosen:.0f} chosen, {lengths.rejected:.0f} rejected, "
        f"{lengths.chosen_longer:.0%} of the chosen ones longer"
    )
    return (
        f"{group}: {figures.train} to train on, {figures.holdout} held out, of {figures.people} "
        f"people (at most {figures.largest_share:.0%} from one): {figures.pleased} answers that "
        f"pleased, {figures.displeased} that did not, {figures.recorded} pairs of the log"
        f"{words or ''}\n  {figures.file}"
    )


def _print_reasons(what: str, reasons: "Mapping[str, int]") -> None:
    if reasons:
        told = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in reasons.items())
        screen().print(f"{what}: {told}")
