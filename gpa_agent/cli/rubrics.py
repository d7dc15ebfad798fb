"""``gpa rubrics``: look at what was learned, and decide what is served."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpa_agent.cli.render import print_rubric, title, versus
from gpa_agent.cli.running import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    emit,
    guarded,
    note,
    printable,
    screen,
)
from gpa_agent.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpa_agent.learning.lives import Life
    from gpa_agent.rubrics.records import Aspect, Rubric
    from gpa_agent.workspace import Workspace

app = typer.Typer(
    help="List, show, compare, follow, approve, reject, roll back, export and import rubrics.",
    no_args_is_help=True,
)

_ALL = ("live", "approved", "candidate", "retired")

IntentArgument = Annotated[str, typer.Argument(metavar="INTENT", help="The rubric's intent.")]
GroupOption = Annotated[
    str | None,
    typer.Option("--group", help="First group of the contrast, where there are several."),
]


@app.command("list", epilog="Example: gpa rubrics list --json")
@guarded
def list_(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_: JsonOption = False) -> None:
    """List the newest version of every rubric."""
    with _open(workspace) as ws:
        rubrics = ws.rubrics()
    if json_:
        emit({"rubrics": _dumped(rubrics)})
        return
    if not rubrics:
        note("no rubrics yet; learn some with: gpa learn LOG")
    for rubric in rubrics:
        live = [a.name for a in rubric.aspects if a.status == "live"]
        others = {s: sum(a.status == s for a in rubric.aspects) for s in _ALL[1:]}
        rest = "".join(f", {n} {status}" for status, n in others.items() if n)
        typer.echo(f"{title(rubric)}: {printable(', '.join(live)) or 'nothing live'}{rest}")


@app.command("show", epilog="Example: gpa rubrics show debugging --group novice")
@guarded
def show(
    *,
    intent: IntentArgument,
    group: GroupOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Show an intent's rubrics with evidence, also what was found and is not served."""
    with _open(workspace) as ws:
        rubrics = _of(ws, intent, group)
    if json_:
        emit({"rubrics": _dumped(rubrics)})
        return
    for rubric in rubrics:
        print_rubric(screen(), rubric, statuses=_ALL)


@app.command("diff", epilog="Example: gpa rubrics diff debugging --from 1 --to 2")
@guarded
def diff(
    *,
    intent: IntentArgument,
    group: GroupOption = None,
    older: Annotated[int | None, typer.Option("--from", help="Default: the last but one.")] = None,
    newer: Annotated[int | None, typer.Option("--to", help="Default: the newest.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Show what changed between two versions of a rubric."""
    from gpa_agent.rubrics.records import Rubric

    with _open(workspace) as ws:
        _one(ws, intent, group)
        history = ws.history(intent=intent, group=group)
    by_version = {stored.version: Rubric.model_validate(stored.body) for stored in history}
    numbers = sorted(by_version)
    if len(numbers) < 2 and (older is None or newer is None):
        raise UsageError(f"intent {intent!r} has {len(numbers)} versions; a comparison needs two")
    a, b = (
        (older if older is not None else numbers[-2]),
        (newer if newer is not None else numbers[-1]),
    )
    for number in (a, b):
        if number not in by_version:
            raise UsageError(f"intent {intent!r} has no version {number!r}; it has {numbers!r}")
    changes = changed(by_version[a], by_version[b])
    if json_:
        emit({"intent": intent, "from": a, "to": b, **changes})
        return
    for what, lines in changes.items():
        for line in lines:
            typer.echo(printable(f"{what}: {line}"))
    if not any(changes.values()):
        typer.echo(f"nothing changed between versions {a} and {b}")


@app.command("history", epilog="Example: gpa rubrics history debugging steps")
@guarded
def history(
    *,
    intent: IntentArgument,
    name: Annotated[
        str | None, typer.Argument(metavar="[ASPECT]", help="One aspect; else all.")
    ] = None,
    group: GroupOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Tell when aspects were found, why they waited, and since when they are served or not."""
    from gpa_agent.learning.lives import lives

    with _open(workspace) as ws:
        told = lives(ws.ledger, intent=intent, name=name, group=group)
    if json_:
        emit({"history": [life.model_dump(mode="json") for life in told]})
        return
    for life in told:
        _tell(life)


@app.command("approve", epilog="Example: gpa rubrics approve debugging steps")
@guarded
def approve(
    *,
    intent: IntentArgument,
    name: Annotated[
        str | None, typer.Argument(metavar="[ASPECT]", help="One aspect; else all that wait.")
    ] = None,
    group: GroupOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Make live what passed the tests and waits for approval."""
    with _open(workspace) as ws:
        rubrics = ws.approve(intent=intent, name=name, group=group)
    _say(rubrics, json_=json_)


@app.command("reject", epilog="Example: gpa rubrics reject debugging steps")
@guarded
def reject(
    *,
    intent: IntentArgument,
    name: Annotated[str, typer.Argument(metavar="ASPECT", help="The aspect to take out.")],
    group: GroupOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Take an aspect out, whether it is live or waits."""
    with _open(workspace) as ws:
        rubrics = ws.reject(intent=intent, name=name, group=group)
    _say(rubrics, json_=json_)


@app.command("rollback", epilog="Example: gpa rubrics rollback debugging 1")
@guarded
def rollback(
    *,
    intent: IntentArgument,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The version to return to.")],
    group: GroupOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Serve an earlier version again; the history is kept."""
    with _open(workspace) as ws:
        rubric = ws.rollback(intent=intent, version=version, group=group)
    _say([rubric], json_=json_)


@app.command("export", epilog="Example: gpa rubrics export --out rubrics.json")
@guarded
def export(
    *,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; stdout where not given.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Write all rubrics as JSON, evidence included."""
    with _open(workspace) as ws:
        rubrics = ws.export_rubrics()
    content = {"rubrics": _dumped(rubrics)}
    if out is None:
        emit(content)
        return
    try:
        out.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{str(out)!r} cannot be written: {error.strerror}") from error
    if json_:
        emit({"out": str(out), "rubrics": len(rubrics)})
    else:
        note(f"wrote {len(rubrics)} rubrics to {out}")


@app.command("import", epilog="Example: gpa rubrics import rubrics.json")
@guarded
def import_(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What export wrote, or by hand.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Take in rubrics from a file; hand-written aspects are marked as having no evidence."""
    rubrics = _read(file)
    from gpa_agent.workspace import Workspace

    with Workspace.open(workspace) as ws:
        taken = ws.import_rubrics(rubrics)
    _say(taken, json_=json_)


def changed(older: "Rubric", newer: "Rubric") -> dict[str, list[str]]:
    """What two versions of a rubric serve differently.

    Args:
        older: The version compared with.
        newer: The version compared.

    Returns:
        Lines under ``added``, ``removed`` and ``changed``; only live aspects count.
    """
    was, now = (_served(rubric) for rubric in (older, newer))
    return {
        "added": [f"{n}: {_summary(now[n])}" for n in now if n not in was],
        "removed": [f"{n}: {_summary(was[n])}" for n in was if n not in now],
        "changed": [
            f"{n}: {_summary(was[n])} → {_summary(now[n])}"
            for n in now
            if n in was and was[n] != now[n]
        ],
    }


def _served(rubric: "Rubric") -> "dict[str, Aspect]":
    return {a.name: a for a in rubric.aspects if a.status in {"live", "retired"}}


def _summary(aspect: "Aspect") -> str:
    if aspect.evidence is None:
        return f"{aspect.rating}/5, hand-written"
    e = aspect.evidence
    turns = "/".join(str(n) for n in e.turns.values())
    return f"{aspect.rating}/5, effect {e.effect:+.2f}, q {e.q_value:.4f}, turns {turns}"


def _tell(life: "Life") -> None:
    typer.echo(printable(f"{life.name} ({life.intent}: {versus(life.contrast)})"))
    for moment in life.moments:
        version = "" if moment.version is None else f"version {moment.version}"
        why = ": ".join(part for part in (version, moment.reason) if part)
        typer.echo(printable(f"  {moment.at:%Y-%m-%d %H:%M} UTC  {moment.what:<9}  {why}".rstrip()))
    if life.held:
        typer.echo("  a person took it out: it stays out until somebody approves it")


def _read(file: Path) -> "list[Rubric]":
    from pydantic import TypeAdapter, ValidationError

    from gpa_agent.rubrics.records import Rubric

    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{str(file)!r} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{str(file)!r} is not JSON in UTF-8: {error}") from error
    try:
        return TypeAdapter(list[Rubric]).validate_python(
            raw["rubrics"] if isinstance(raw, dict) and "rubrics" in raw else raw
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{str(file)!r}: rubric {where}: {first['msg']}") from error


def _open(path: Path) -> "Workspace":
    from gpa_agent.workspace import Workspace

    return Workspace.open(path, create=False)


def _of(ws: "Workspace", intent: str, group: str | None) -> "list[Rubric]":
    from gpa_agent.learning.editing import rubrics_of

    return rubrics_of(ws.ledger, intent, group)


def _one(ws: "Workspace", intent: str, group: str | None) -> None:
    """Versions are counted per contrast, so one has to be named."""
    found = _of(ws, intent, group)
    if len(found) > 1:
        groups = [r.contrast.group for r in found]
        raise UsageError(f"intent {intent!r} has several contrasts; name one by --group {groups!r}")


def _say(rubrics: "Sequence[Rubric]", *, json_: bool) -> None:
    if json_:
        emit({"rubrics": _dumped(rubrics)})
        return
    for rubric in rubrics:
        print_rubric(screen(), rubric)


def _dumped(rubrics: "Sequence[Rubric]") -> list[dict[str, object]]:
    return [r.model_dump(mode="json") for r in rubrics]
