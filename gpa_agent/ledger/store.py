"""The ledger: the record of everything observed and learned, in SQL.

One class over one database, put together from its parts: opening and errors
(:mod:`.opening`), writing records (:mod:`.ingesting`), what stages still have to do
(:mod:`.pending`) and what they found (:mod:`.results`), what pairs are made from
(:mod:`.answers`), calls to chat models (:mod:`.calls`),
what became of served turns (:mod:`.served`),
live turns (:mod:`.live`) and what waits to be learned from
(:mod:`.events`), runs and rubric versions (:mod:`.learned`), people's decisions
(:mod:`.decisions`), forgetting (:mod:`.forgetting`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpa_agent.ledger.answers import Answers
from gpa_agent.ledger.calls import Calls
from gpa_agent.ledger.decisions import Decisions
from gpa_agent.ledger.events import Events
from gpa_agent.ledger.exclusive import Exclusive
from gpa_agent.ledger.forgetting import Forgetting
from gpa_agent.ledger.ingesting import Ingest
from gpa_agent.ledger.keys import Keys
from gpa_agent.ledger.learned import Learned, bump
from gpa_agent.ledger.live import Live
from gpa_agent.ledger.results import Results
from gpa_agent.ledger.served import Served

if TYPE_CHECKING:
    from collections.abc import Generator


class Ledger(
    Served, Answers, Results, Calls, Live, Events, Learned, Decisions, Forgetting, Exclusive, Keys
):
    """Everything observed and learned; safe to use from several threads.

    Example:
        >>> import tempfile, pathlib
        >>> from gpa_agent.conversations import Conversation, Turn
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "ledger.db"
        ...     with Ledger.open(path, people_key=b"k" * 32) as ledger:
        ...         with ledger.ingesting("example") as ingest:
        ...             outcome = ingest.add(Conversation(id="c1", turns=(Turn(user="hi"),)))
        ...         outcome, ledger.counts()["conversations"]
        ('added', 1)
    """

    @contextmanager
    def ingesting(self, source: str) -> Generator[Ingest]:
        """Write the records of one source in one transaction.

        Args:
            source: Name of the log, kept with each record.

        Yields:
            What records are added to. An exception in the block undoes all of it.
        """
        with self._write() as connection:
            ingest = Ingest(connection, source, self.person, self._clock())
            yield ingest
            ingest.flush()
            if ingest.changed:
                bump(connection)
