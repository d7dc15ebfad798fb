"""``gpa init``: make a workspace."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gpa_agent.cli.running import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    emit,
    guarded,
    names,
    printable,
)
from gpa_agent.cli.taxonomy import plain, read_intents

GroupsOption = Annotated[
    str | None, typer.Option("--groups", help="Groups to compare, such as novice,expert.")
]
IntentsOption = Annotated[
    Path | None,
    typer.Option("--intents", help="Taxonomy, JSON or TOML: name to description (and examples)."),
]
PublishOption = Annotated[
    str | None,
    typer.Option("--publish", metavar="auto|review", help="Make live what passes, or wait."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    example = "gpa init --groups novice,expert --intents intents.json"
    app.command("init", epilog=f"Example: {example}")(init)


@guarded
def init(
    *,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="The same as --workspace.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    groups: GroupsOption = None,
    intents: IntentsOption = None,
    publish: PublishOption = None,
    json_: JsonOption = False,
) -> None:
    """Make a workspace: the folder that holds a deployment's settings, ledger and rubrics."""
    from gpa_agent.workspace import Workspace

    taxonomy = plain(read_intents(intents))
    more: dict[str, Any] = {} if publish is None else {"publish": publish}
    with Workspace.open(folder or workspace, groups=names(groups), intents=taxonomy, **more) as ws:
        settings = ws.settings.model_dump(mode="json")
        path = str(ws.path)
    if json_:
        emit({"workspace": path, "settings": settings})
        return
    typer.echo(printable(f"workspace: {path}"))
    typer.echo(printable(f"groups:    {', '.join(settings['groups']) or 'those the log names'}"))
    typer.echo(printable(f"intents:   {', '.join(settings['intents']) or 'those the log names'}"))
    typer.echo(f"next:      gpa learn LOG --workspace {path}")
