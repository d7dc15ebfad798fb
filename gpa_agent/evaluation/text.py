"""The audit as plain text, for a terminal or a mail."""

from __future__ import annotations

from collections.abc import Sequence

from gpa_agent.evaluation.audit import Audit
from gpa_agent.evaluation.telling import period, sections

_INDENT = "  "


def as_text(told: Audit) -> str:
    """The whole report; names from logs are in it as they are.

    Args:
        told: The audit.
    """
    lines = [f"Audit: {period(told)}", *(f"Note: {note}" for note in told.notes)]
    for part in sections(told):
        lines += ["", part.title, *(_INDENT + said for said in part.says)]
        if part.rows:
            lines += [_INDENT + line for line in _table([part.columns, *part.rows])]
    return "\n".join(lines)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    rows = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
