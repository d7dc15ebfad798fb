"""``gpa forget``: delete a person, and what rested on them."""

import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from gpa_agent.cli.running import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    emit,
    guarded,
    note,
    printable,
)
from gpa_agent.errors import UsageError
from gpa_agent.rubrics.records import EVERYBODY_ELSE


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("forget", epilog="Example: gpa forget user-17 --yes")(forget)


@guarded
def forget(
    *,
    user: Annotated[str, typer.Argument(metavar="USER", help="The person's id in the host app.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Forget a person: all that is theirs goes, and what rested on them is weighed again."""
    from gpa_agent.workspace import Workspace

    with Workspace.open(workspace, create=False) as ws:
        if not yes:
            _ask(user)
        receipt = ws.forget(user)
    if json_:
        emit(receipt)
        return
    for line in _told(user, receipt):
        typer.echo(printable(line))


def _told(user: str, receipt: Mapping[str, Any]) -> Iterator[str]:
    """The receipt as sentences, one a line."""
    rows = ", ".join(
        f"{n} {table.replace('_', ' ')}" for table, n in receipt["deleted"].items() if n
    )
    if rows:
        yield f"deleted: {rows}"
    else:
        yield (
            f"nothing of {user!r} was found, and nothing deleted: the id must be the one the app "
            "gives, letter for letter"
        )
    for item in receipt["retired"]:
        yield f"no longer served: {item['aspect']} ({item['intent']})"
    for rubric in receipt["recomputed"]:
        group, other = rubric["contrast"].values()
        against = "everybody else" if other == EVERYBODY_ELSE else other
        yield (
            f"weighed again: {rubric['intent']}, {group} against {against}: "
            f"version {rubric['version']}"
        )
    for file in receipt["files"]:
        lines = f" ({file['lines']} lines)" if file["lines"] else ""
        what = "not found, look where it went" if file["change"] == "missing" else file["change"]
        yield f"{what}: {file['path']}{lines}"
    for model in receipt["stale"]:
        yield f"stale, train it again: group model {model}"
    for left in receipt["pending"]:
        yield f"still to do: {left}"


def _ask(user: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"forgetting {user!r} cannot be undone; add --yes to do it without asking")
    note(f"All conversations of {user!r} will be deleted. This cannot be undone.")
    typer.confirm("Go on?", abort=True, err=True)
