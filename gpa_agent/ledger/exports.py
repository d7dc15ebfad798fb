"""What was written outside the ledger and quotes users: where it lies, to be found again.

Rows of ``meta``, as they must be there exactly when the ledger is: a file beside it could be lost
alone. A path belongs to the machine it was written on; on another one it is not found, and
forgetting says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

from sqlalchemy import select

from gpa_agent.ledger.opening import Store
from gpa_agent.ledger.tables import meta
from gpa_agent.ledger.upserts import upsert

if TYPE_CHECKING:
    from os import PathLike

ExportKind = Literal["batch", "lines"]
"""``batch``: a folder of batch files. ``lines``: JSON Lines whose objects name what they are about
under ``subject``, in the call ledger's words (``t:<conversation>:<idx>``, ``pair:<id>``)."""

_EXPORT: Final = "export:"


class Export(NamedTuple):
    """Something that was written.

    Attributes:
        kind: What it is.
        path: Where; absolute.
    """

    kind: ExportKind
    path: Path


class Exports(Store):
    """The register of what was written outside."""

    def add_export(self, kind: ExportKind, path: str | PathLike[str]) -> None:
        """Note what is about to be written; before it is, so that a stop leaves nothing unknown.

        Args:
            kind: What it is.
            path: Where; noted again it stays one entry.
        """
        where = Path(path).absolute()
        row = {"key": f"{_EXPORT}{kind}:{where}", "value": self._clock().isoformat()}
        with self._write() as connection:
            upsert(connection, meta, [row])

    def exports(self) -> list[Export]:
        """Everything that was noted, by kind and path."""
        statement = select(meta.c.key).where(meta.c.key.startswith(_EXPORT)).order_by(meta.c.key)
        with self._read() as connection:
            keys = list(connection.execute(statement).scalars())
        parts = (key.removeprefix(_EXPORT).partition(":") for key in keys)
        return [Export(cast("ExportKind", kind), Path(path)) for kind, _, path in parts]
