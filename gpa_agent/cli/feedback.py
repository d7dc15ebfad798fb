"""``gpa feedback``: an explicit judgment of one answer."""

from typing import Annotated

import typer

from gpa_agent.cli.running import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    emit,
    guarded,
    printable,
)
from gpa_agent.conversations.records import Judgment
from gpa_agent.errors import UsageError

_JUDGMENTS = {
    "sat": Judgment.SAT,
    "up": Judgment.SAT,
    "1": Judgment.SAT,
    "dsat": Judgment.DSAT,
    "down": Judgment.DSAT,
    "-1": Judgment.DSAT,
    "neither": Judgment.NEITHER,
    "0": Judgment.NEITHER,
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    # "-1" is a judgment, not an option.
    settings = {"ignore_unknown_options": True}
    app.command("feedback", epilog="Example: gpa feedback c1 0 up", context_settings=settings)(
        feedback
    )


@guarded
def feedback(
    *,
    conversation: Annotated[str, typer.Argument(metavar="CONVERSATION", help="Its id.")],
    turn: Annotated[int, typer.Argument(metavar="TURN", help="Number of the turn, from 0.")],
    judgment: Annotated[
        str, typer.Argument(metavar="JUDGMENT", help="up (sat, 1), down (dsat, -1), neither (0).")
    ],
    user: Annotated[str | None, typer.Option("--user", help="Who judges, in the host app.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Record a thumb: it wins over whatever is read from the words."""
    value = _JUDGMENTS.get(judgment.lower())
    if value is None:
        raise UsageError(f"{judgment!r} is not a judgment; say one of {', '.join(_JUDGMENTS)}")
    from gpa_agent.workspace import Workspace

    with Workspace.open(workspace, create=False) as ws:
        ws.feedback(conversation=conversation, turn=turn, judgment=value, user=user)
    if json_:
        emit({"conversation": conversation, "turn": turn, "judgment": int(value)})
    else:
        typer.echo(printable(f"recorded {value.name} for turn {turn} of {conversation}"))
