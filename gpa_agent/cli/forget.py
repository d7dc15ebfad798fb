"""``gpa forget``: delete a person, and what rested on them."""

import sys
from typing import Annotated

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
    """Forget a person: their conversations go, and items that rested on them are weighed again."""
    from gpa_agent.workspace import Workspace

    with Workspace.open(workspace, create=False) as ws:
        if not yes:
            _ask(user)
        receipt = ws.forget(user)
    if json_:
        emit(receipt)
        return
    deleted = {table: n for table, n in receipt["deleted"].items() if n and table != "compacted"}
    rows = ", ".join(f"{n} {table.replace('_', ' ')}" for table, n in deleted.items())
    typer.echo(printable(f"deleted: {rows or 'nothing, this person is not known here'}"))
    for item in receipt["retired"]:
        typer.echo(printable(f"no longer served: {item['aspect']} ({item['intent']})"))


def _ask(user: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"forgetting {user!r} cannot be undone; add --yes to do it without asking")
    note(f"All conversations of {user!r} will be deleted. This cannot be undone.")
    typer.confirm("Go on?", abort=True, err=True)
