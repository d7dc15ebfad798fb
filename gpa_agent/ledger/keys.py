"""Whether the key under which people are hashed is the one the ledger was written with."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select

from gpa_agent.errors import WorkspaceError
from gpa_agent.ledger.opening import Store
from gpa_agent.ledger.tables import meta
from gpa_agent.ledger.upserts import add_missing

_MARK: Final = "people_key"
"""Key in ``meta`` of a hash under the people key; it tells keys apart and nothing about them."""


class Keys(Store):
    """Another key would make everybody a stranger, and nobody's rows could be found again."""

    def check_people_key(self) -> None:
        """Go on only under the ledger's key; the first that is checked becomes it.

        Raises:
            WorkspaceError: The ledger was written under another key.
        """
        mark = self.person("of nobody: the mark of the people key")
        statement = select(meta.c.value).where(meta.c.key == _MARK)
        with self._read() as connection:
            found = connection.execute(statement).scalar()
        if found is None:
            with self._write() as connection:
                add_missing(connection, meta, [{"key": _MARK, "value": mark}])
                found = connection.execute(statement).scalar()
        if found != mark:
            raise WorkspaceError(
                f"the people in {self._name!r} were hashed under another key: nobody would be "
                "known again, nor could be forgotten; put back the workspace's people.key, or set "
                "GPA_PEOPLE_KEY to the key that was used"
            )
