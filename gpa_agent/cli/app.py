"""The ``gpa`` command: its subcommands, in the order of its help."""

from typing import Annotated

import typer

import gpa_agent
from gpa_agent.cli import (
    audit,
    chat,
    demo,
    doctor,
    feedback,
    finetune,
    forget,
    init,
    learn,
    pairs,
    rubrics,
    worker,
)

app = typer.Typer(
    name="gpa",
    help="Find where groups of your app's users provably differ, and tailor its answers to them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(gpa_agent.__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Read the options that belong to no command."""


for _module in (demo, init, learn, worker):
    _module.register(app)
app.add_typer(rubrics.app, name="rubrics")
for _module in (chat, feedback, audit, pairs, finetune, forget, doctor):
    _module.register(app)
