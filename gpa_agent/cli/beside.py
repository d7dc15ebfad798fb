"""Options that say nothing beside another one: refused, where they would be ignored."""

from collections.abc import Collection

import typer

from gpa_agent.errors import UsageError


def refuse_beside(context: typer.Context, option: str, *, why: str, but: Collection[str]) -> None:
    """Refuse what was given beside an option that takes no notice of it.

    Args:
        context: Of the command that runs.
        option: The option, as ``--export``.
        why: What it does, so that the others say nothing, as the end of "--export ...".
        but: The options that may stand beside it, as ``--workspace``.

    Raises:
        UsageError: Others were given on the command line; the message names them.
    """
    given = [
        max(parameter.opts, key=len)
        for parameter in context.command.params
        if _typed(context, parameter.name)
    ]
    ignored = [name for name in given if name != option and name not in but]
    if ignored:
        raise UsageError(f"{option} {why}: leave {', '.join(ignored)} out")


def _typed(context: typer.Context, name: str) -> bool:
    """Whether it stands on the command line, even with what it is without."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
