"""``gpa audit``: is it better? Satisfaction by arm, what was learned, and how the loop stands."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
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

_SPAN = re.compile(r"(\d{1,5})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit", epilog="Example: gpa audit --html audit.html")(audit)


@guarded
def audit(
    *,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Only what came since: 12h, 7d, 4w, or a date (2026-11-01)."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with charts there.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Tell whether serving pleases more than the plain answer, and what the loop did."""
    from gpa_agent import evaluation
    from gpa_agent.evaluation.page import as_page
    from gpa_agent.evaluation.text import as_text
    from gpa_agent.files import write_whole
    from gpa_agent.workspace import Workspace

    now = datetime.now(UTC)
    start = None if since is None else _start(since, now)
    with Workspace.open(workspace, create=False) as ws:
        told = evaluation.audit(ws, since=start, now=now)
    if html is not None:
        write_whole(html, as_page(told).encode())
        note(f"wrote {html}")
    if json_:
        emit(told.model_dump(mode="json"))
    elif told.empty:
        typer.echo("nothing to audit yet: no turn was served and nothing was learned")
        note("serve turns through GPAMiddleware, or learn from a log with: gpa learn LOG")
    else:
        typer.echo(printable(as_text(told)))


def _start(since: str, now: datetime) -> datetime:
    span = _SPAN.fullmatch(since)
    if span is not None:
        return now - timedelta(hours=int(span[1]) * _HOURS[span[2]])
    try:
        at = datetime.fromisoformat(since)
    except ValueError:
        raise UsageError(
            f"--since {since!r} is neither a span (12h, 7d, 4w) nor a date (2026-11-01)"
        ) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
