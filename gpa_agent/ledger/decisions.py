"""What people decided about aspects: taken out (rejected or rolled back) until approved again.

A run of learning must not undo a person's decision, so decisions outlive runs and versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, select

from gpa_agent.ledger.opening import Store
from gpa_agent.ledger.tables import decisions
from gpa_agent.ledger.upserts import upsert

if TYPE_CHECKING:
    from collections.abc import Sequence


class Decisions(Store):
    """Aspects that a person has taken out of an (intent, contrast)."""

    def held(self, intent: str, group: str, other: str) -> frozenset[str]:
        """Names of the aspects that stay out whatever a run finds."""
        d = decisions.c
        statement = select(d.name).where(
            and_(d.intent == intent, d.group_name == group, d.other == other)
        )
        with self._read() as connection:
            return frozenset(connection.execute(statement).scalars())

    def hold(self, intent: str, group: str, other: str, *, names: Sequence[str]) -> None:
        """Take aspects out until they are released."""
        at = self._clock()
        rows = [
            {"intent": intent, "group_name": group, "other": other, "name": name, "at": at}
            for name in names
        ]
        with self._write() as connection:
            upsert(connection, decisions, rows)

    def release(self, intent: str, group: str, other: str, *, names: Sequence[str]) -> None:
        """Let aspects be served again."""
        d = decisions.c
        with self._write() as connection:
            connection.execute(
                delete(decisions).where(
                    d.intent == intent,
                    d.group_name == group,
                    d.other == other,
                    d.name.in_(list(names)),
                )
            )
