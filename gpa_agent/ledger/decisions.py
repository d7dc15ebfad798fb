"""What people decided about aspects: kept out (rejected, rolled back) or in (restored).

A run of learning must not undo a person's decision, so decisions outlive runs and versions: what
is held stays out until it is approved again, what is pinned stays in until a person takes it out
or its served turns please less than the holdout's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sqlalchemy import ColumnElement, and_, delete, select

from gpa_agent.ledger.opening import Store
from gpa_agent.ledger.tables import decisions
from gpa_agent.ledger.upserts import upsert

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Connection

Verdict = Literal["in", "out"]


class Decisions(Store):
    """Aspects of an (intent, contrast) that a person has decided on."""

    def held(self, intent: str, group: str, other: str) -> frozenset[str]:
        """Names of the aspects that stay out whatever a run finds."""
        with self._read() as connection:
            return decided(connection, (intent, group, other), "out")

    def hold(self, intent: str, group: str, other: str, *, names: Collection[str]) -> None:
        """Take aspects out until they are released."""
        with self._write() as connection:
            decide(connection, (intent, group, other), names, "out", at=self._clock())

    def release(self, intent: str, group: str, other: str, *, names: Collection[str]) -> None:
        """Let runs decide about aspects again."""
        with self._write() as connection:
            undecide(connection, (intent, group, other), names)


def decided(connection: Connection, key: tuple[str, str, str], verdict: Verdict) -> frozenset[str]:
    """Names of a rubric's aspects that a person has so decided on.

    Args:
        connection: To read with.
        key: (intent, group, other) of the rubric.
        verdict: What was decided.
    """
    statement = select(decisions.c.name).where(_of(key), decisions.c.verdict == verdict)
    return frozenset(connection.execute(statement).scalars())


def decide(
    connection: Connection,
    key: tuple[str, str, str],
    names: Collection[str],
    verdict: Verdict,
    *,
    at: datetime,
) -> None:
    """Keep aspects in or out; what was decided about them before counts no more.

    Args:
        connection: In a write transaction.
        key: (intent, group, other) of the rubric.
        names: Of the aspects.
        verdict: What is decided.
        at: When.
    """
    place = dict(zip(("intent", "group_name", "other"), key, strict=True))
    rows = [place | {"name": name, "verdict": verdict, "at": at} for name in sorted(names)]
    upsert(connection, decisions, rows)


def undecide(connection: Connection, key: tuple[str, str, str], names: Collection[str]) -> None:
    """Take back what was decided about aspects; as `decide`."""
    connection.execute(delete(decisions).where(_of(key), decisions.c.name.in_(list(names))))


def _of(key: tuple[str, str, str]) -> ColumnElement[bool]:
    d = decisions.c
    intent, group, other = key
    return and_(d.intent == intent, d.group_name == group, d.other == other)
