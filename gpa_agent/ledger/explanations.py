"""Preferences rest on a judgment: when the judgment of a turn changes, they go.

That a turn was looked at is remembered as an (empty) result of the stage ``explain`` under
the source's name, since most turns voice no preference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, bindparam, delete, select

from gpa_agent.ledger.rows import turn_input
from gpa_agent.ledger.tables import preferences, stage_results

if TYPE_CHECKING:
    from collections.abc import Sequence

EXPLAIN: Final = "explain"
"""The stage whose results say which turns were looked at."""


def forget_explanations(connection: Connection, judged: Sequence[tuple[str, int]]) -> None:
    """Drop the preferences read from turns and let them be read again.

    Args:
        connection: In a write transaction.
        judged: (conversation, idx) of the turns whose judgment changed.
    """
    if not judged:
        return
    explained = select(stage_results.c.input_id).where(stage_results.c.stage == EXPLAIN).limit(1)
    if connection.execute(explained).first() is None:
        return
    connection.execute(
        delete(preferences).where(
            preferences.c.subject == "conversation",
            preferences.c.subject_id == bindparam("c"),
            preferences.c.idx == bindparam("i"),
        ),
        [{"c": conversation, "i": idx} for conversation, idx in judged],
    )
    connection.execute(
        delete(stage_results).where(
            stage_results.c.stage == EXPLAIN, stage_results.c.input_id == bindparam("t")
        ),
        [{"t": turn_input(conversation, idx)} for conversation, idx in judged],
    )
