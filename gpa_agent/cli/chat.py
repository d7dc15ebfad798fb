"""``gpa chat``: talk to a model through the middleware, as a user of a group."""

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpa_agent.cli.running import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    complain,
    emit,
    guarded,
    note,
    printable,
)
from gpa_agent.errors import ModelError

if TYPE_CHECKING:
    from gpa_agent.cli.answering import Answered, Talk

_HELP = "/why shows the exact system text that was sent, /quit ends"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("chat", epilog='Example: gpa chat --group novice "Why do I get a KeyError?"')(chat)


@guarded
def chat(
    *,
    message: Annotated[
        str | None, typer.Argument(metavar="[MESSAGE]", help="Ask this and stop; else a dialogue.")
    ] = None,
    group: Annotated[str | None, typer.Option("--group", help="The group you ask as.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="The user you ask as.")] = None,
    intent: Annotated[
        str | None, typer.Option("--intent", help="The intent; else it is found.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", envvar="GPA_MODEL", help="Name of the OpenAI model.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Talk through the wrapped app and see what each turn was given.

    Real answers with OPENAI_API_KEY set, else simulated ones. Turns are recorded in the
    workspace like those of any app, and learned from by the next gpa learn.
    """
    _check_workspace(workspace)
    from gpa_agent.cli.answering import Talk, find_answerer
    from gpa_agent.turn.middleware import GPAMiddleware
    from gpa_agent.workspace import Workspace

    answerer = find_answerer(model)
    with Workspace.open(workspace, create=False) as ws:
        graph: Any = GPAMiddleware(ws).wrap(answerer.model)
        thread = f"chat-{uuid.uuid4().hex}"
        talk = Talk(graph, thread=thread, user=user, group=group, intent=intent)
        note(answerer.about)
        lines = iter([message]) if message is not None else _typed()
        if json_:
            turns = [_turn(said, talk.say(said)) for line in lines if (said := line.strip())]
            emit({"conversation": thread, "simulated": answerer.simulated, "turns": turns})
        else:
            _dialogue(talk, lines)


def _dialogue(talk: "Talk", lines: Iterator[str]) -> None:
    from gpa_agent.cli.answering import trace_line

    last: Answered | None = None
    for line in lines:
        said = line.strip()
        if said in {"/quit", "/exit"}:
            break
        if said == "/why":
            typer.echo(_why(last))
        elif said.startswith("/"):
            note(_HELP)
        elif said:
            try:
                last = talk.say(said, token=lambda t: typer.echo(printable(t), nl=False))
            except ModelError as error:
                if not sys.stdin.isatty():
                    raise
                complain(f"{error}; say it again to try once more")
                continue
            typer.echo()
            note(f"[{trace_line(last.trace)}]")


def _why(last: "Answered | None") -> str:
    if last is None:
        return "nothing was asked yet"
    return printable(last.system) or "no system text was sent: the plain answer"


def _turn(said: str, answered: "Answered") -> dict[str, Any]:
    return {
        "user": said,
        "assistant": answered.text,
        "trace": dict(answered.trace),
        "system": answered.system,
    }


def _typed() -> Iterator[str]:
    """Lines of standard input, with a prompt on a terminal."""
    terminal = sys.stdin.isatty()
    if terminal:
        note(_HELP)
    while True:
        if terminal:
            typer.echo("\nyou> ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            return
        yield line


def _check_workspace(path: Path) -> None:
    """Fail before the model is loaded."""
    from gpa_agent.errors import UsageError

    if not path.exists():
        raise UsageError(f"there is no workspace at {str(path)!r}; make one with: gpa learn LOG")
