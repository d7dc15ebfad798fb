"""Sentences that were ever served, so that they are not learned from where they come back."""

from __future__ import annotations

from sqlalchemy import select

from gpa_agent.ledger.opening import Store
from gpa_agent.ledger.tables import rubric_versions


class Guidance(Store):
    """The guidance of every version."""

    def served_guidance(self) -> frozenset[str]:
        """Every text of guidance in any version of any rubric."""
        with self._read() as connection:
            bodies = connection.execute(select(rubric_versions.c.body)).scalars()
            return frozenset(
                text
                for body in bodies
                for aspect in body.get("aspects", ())
                for text in aspect["guidance"].values()
            )
