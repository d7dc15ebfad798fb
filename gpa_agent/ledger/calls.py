"""What was asked of chat models and answered: every paid call, kept so that none is paid twice.

An answer is stored before it is used. A run that is stopped, at whatever moment, therefore
repeats at most the calls that were in flight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from gpa_agent.ledger.opening import Store
from gpa_agent.ledger.rows import CallRow
from gpa_agent.ledger.tables import model_calls
from gpa_agent.ledger.upserts import add_missing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_PAGE: Final = 500
"""How many keys one statement looks up: databases bound the parameters of a statement."""

_FIELDS: Final = tuple(model_calls.c[name] for name in CallRow._fields)


class Calls(Store):
    """The calls; the key of one holds everything that could change its answer."""

    def call(self, key: str) -> CallRow | None:
        """The call of a key, where it was made."""
        return self.calls([key]).get(key)

    def calls(self, keys: Sequence[str]) -> dict[str, CallRow]:
        """The calls of these keys that were made, by key."""
        found: dict[str, CallRow] = {}
        with self._read() as connection:
            for start in range(0, len(keys), _PAGE):
                page = select(*_FIELDS).where(model_calls.c.key.in_(keys[start : start + _PAGE]))
                found |= {row[0]: CallRow(*row) for row in connection.execute(page)}
        return found

    def add_calls(self, rows: Sequence[CallRow]) -> None:
        """Store calls in one transaction; a call that is there already stays as it is."""
        at = self._clock()
        with self._write() as connection:
            add_missing(connection, model_calls, [row._asdict() | {"at": at} for row in rows])

    def count_calls(self) -> int:
        """How many calls are stored."""
        with self._read() as connection:
            return connection.execute(select(func.count()).select_from(model_calls)).scalar_one()

    def spent_since(self, moment: datetime) -> tuple[int, float]:
        """Calls made since a moment, and what they cost in US dollars as far as that is known."""
        c = model_calls.c
        statement = select(func.count(), func.coalesce(func.sum(c.cost), 0.0)).where(c.at >= moment)
        with self._read() as connection:
            calls, cost = connection.execute(statement).one()
        return int(calls), float(cost)

    def spoken_tokens(self, model: str) -> list[tuple[str, int, int]]:
        """(prompt, calls, tokens of their answers) of a model's calls that tell their tokens."""
        c = model_calls.c
        statement = (
            select(c.prompt, func.count(), func.sum(c.output_tokens))
            .where(c.model == model, c.output_tokens > 0)
            .group_by(c.prompt)
        )
        with self._read() as connection:
            return [(row[0], row[1], int(row[2])) for row in connection.execute(statement)]

    def some_calls(self, model: str, prompt: str, version: str, *, limit: int) -> list[CallRow]:
        """Some calls of a prompt, at random but always the same: those with the smallest keys."""
        c = model_calls.c
        statement = (
            select(*_FIELDS)
            .where(c.model == model, c.prompt == prompt, c.version == version)
            .order_by(c.key)
            .limit(limit)
        )
        with self._read() as connection:
            return [CallRow(*row) for row in connection.execute(statement)]
