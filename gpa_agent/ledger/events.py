"""The outbox: what happened in the running app and has not been learned from yet.

An event is written in the transaction that records its turn or feedback, so that neither is there
without the other. It names what to look at, never what to do: handling it means bringing the
stages' results for its conversation up to date, which may be done twice, late or in any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from zlib import crc32

from sqlalchemy import Connection, delete, func, insert, select, update

from gpa_agent.ledger.opening import Store
from gpa_agent.ledger.tables import events, meta, turned
from gpa_agent.ledger.upserts import upsert

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

EventKind = Literal["turn", "feedback"]

SHARDS: Final = 16
"""Parts that events are dealt into by conversation; several workers take a part each."""

QUEUE_LIMIT: Final = 10_000
"""Events that may wait, by default."""

_HANDLED: Final = "events_handled"
_REFINED: Final = "events_refined"
_REFINED_SEQ: Final = "events_refined_seq"


class EventRow(NamedTuple):
    """Something to learn from.

    Attributes:
        seq: Its number; later events have larger ones.
        conversation: Id of the conversation.
        idx: Position of the turn that was recorded or judged.
        kind: ``turn`` or ``feedback``.
        at: When it happened.
    """

    seq: int
    conversation: str
    idx: int
    kind: EventKind
    at: datetime


class Mark(NamedTuple):
    """How far events had come at some moment.

    Attributes:
        seq: Number of the newest event; 0 before the first.
        handled: Events that had been learned from.
    """

    seq: int
    handled: int


class Events(Store):
    """What waits, what is done, what failed, and what was left out because too much waited."""

    def waiting_events(
        self, limit: int = 500, *, shard: int | None = None, conversation: str | None = None
    ) -> list[EventRow]:
        """The oldest events that wait.

        Args:
            limit: How many at most.
            shard: Only those of one part, in [0, SHARDS).
            conversation: Only those of one conversation.
        """
        e = events.c
        statement = select(e.seq, e.conversation_id, e.idx, e.kind, e.at).where(
            e.state == "waiting"
        )
        if shard is not None:
            statement = statement.where(e.shard == shard)
        if conversation is not None:
            statement = statement.where(e.conversation_id == conversation)
        with self._read() as connection:
            rows = connection.execute(statement.order_by(e.seq).limit(limit))
            return [EventRow._make(row) for row in rows]

    def waiting_shards(self) -> list[int]:
        """The parts in which something waits."""
        e = events.c
        statement = select(e.shard).where(e.state == "waiting").distinct().order_by(e.shard)
        with self._read() as connection:
            return list(connection.execute(statement).scalars())

    def events_done(self, seqs: Sequence[int]) -> None:
        """Say that events were learned from; those that are gone or done already do not count."""
        e = events.c
        with self._write() as connection:
            done = connection.execute(
                update(events).where(e.seq.in_(seqs), e.state == "waiting").values(state="done")
            ).rowcount
            _add(connection, _HANDLED, done)

    def events_failed(self, seqs: Sequence[int]) -> None:
        """Say that nothing can be learned from events; they wait no more.

        Args:
            seqs: Their numbers; those that are gone or done already do not count.
        """
        e = events.c
        with self._write() as connection:
            connection.execute(
                update(events).where(e.seq.in_(seqs), e.state == "waiting").values(state="failed")
            )

    def retry_failed(self) -> None:
        """Let events wait again from which nothing could be learned."""
        failed = events.c.state == "failed"
        with self._read() as connection:
            if connection.execute(select(events.c.seq).where(failed).limit(1)).first() is None:
                return
        with self._write() as connection:
            connection.execute(update(events).where(failed).values(state="waiting"))

    def last_event(self) -> Mark:
        """How far events have come."""
        with self._read() as connection:
            newest = connection.execute(select(func.max(events.c.seq))).scalar()
            return Mark(int(newest or 0), _number(connection, _HANDLED))

    def events_learned(self, upto: Mark) -> None:
        """Say that a run over everything has learned from events, shed ones included.

        What was handled while it ran is news to it, and counts as such.

        Args:
            upto: `last_event` when the run began.
        """
        e = events.c
        left = (e.seq <= upto.seq, e.state.in_(("waiting", "shed")))
        with self._write() as connection:
            caught_up = connection.execute(update(events).where(*left).values(state="done"))
            _add(connection, _HANDLED, caught_up.rowcount)
            refined = str(upto.handled + caught_up.rowcount)
            upsert(connection, meta, [{"key": _REFINED, "value": refined}])
            upsert(connection, meta, [{"key": _REFINED_SEQ, "value": str(upto.seq)}])

    def events_since_refined(self) -> int:
        """Events learned from since what is served was last weighed; each turn's thumb is one."""
        with self._read() as connection:
            return _number(connection, _HANDLED) - _number(connection, _REFINED)

    def count_events(self) -> dict[str, int]:
        """Events by state: ``waiting``, ``done``, ``shed`` and ``failed``."""
        counts = dict.fromkeys(("waiting", "done", "shed", "failed"), 0)
        statement = select(events.c.state, func.count()).group_by(events.c.state)
        with self._read() as connection:
            return counts | {row[0]: row[1] for row in connection.execute(statement)}

    def count_waiting(self) -> int:
        """Events that wait; as quick as there are few, however many are done."""
        statement = select(func.count()).where(events.c.state == "waiting")
        with self._read() as connection:
            return int(connection.execute(statement).scalar_one())

    def oldest_waiting(self) -> datetime | None:
        """When the oldest event that waits happened; None where none waits."""
        e = events.c
        statement = select(e.at).where(e.state == "waiting").order_by(e.seq).limit(1)
        with self._read() as connection:
            return connection.execute(statement).scalar()

    def turned(self) -> dict[tuple[str, str, str], dict[str, datetime]]:
        """When aspects turned, by (intent, group, other) and name.

        What was judged before then speaks for a taste that is gone.
        """
        t = turned.c
        found: dict[tuple[str, str, str], dict[str, datetime]] = {}
        with self._read() as connection:
            for intent, group, other, name, at in connection.execute(
                select(t.intent, t.group_name, t.other, t.name, t.at)
            ):
                found.setdefault((intent, group, other), {})[name] = at
        return found


def add_event(
    connection: Connection,
    conversation: str,
    idx: int,
    kind: EventKind,
    *,
    at: datetime,
    limit: int,
    admitted: bool = True,
) -> None:
    """Write an event into the transaction of what it is about.

    Args:
        connection: The transaction.
        conversation: Id of the conversation.
        idx: Position of the turn.
        kind: What happened.
        at: When.
        limit: Events that may wait; above it this one is not waited for. Its turn is stored all
            the same, and a run over everything finds it.
        admitted: Whether the person may add to what waits; where not, it is as above the limit.
    """
    e = events.c
    # Feedback given again is a new event: what was concluded from the first stands no more.
    before = connection.execute(
        delete(events)
        .where(e.conversation_id == conversation, e.idx == idx, e.kind == kind)
        .returning(e.seq, e.state)
    ).first()
    waited = before is not None and before.state == "waiting"
    connection.execute(
        insert(events),
        {
            "conversation_id": conversation,
            "idx": idx,
            "kind": kind,
            "shard": crc32(conversation.encode()) % SHARDS,
            # In the place of one that waited it makes the queue no longer.
            "state": "waiting" if waited or (admitted and _room(connection, limit)) else "shed",
            "at": at,
        },
    )
    if before is not None and before.state == "done":
        _count_once(connection, before.seq)


def _room(connection: Connection, limit: int) -> bool:
    """Whether fewer events wait than may."""
    waiting = select(events.c.seq).where(events.c.state == "waiting")
    behind = waiting.offset(max(limit - 1, 0)).limit(1)
    return limit > 0 and connection.execute(behind).first() is None


def _count_once(connection: Connection, seq: int) -> None:
    """Take back that an event was handled since the last weighing: the one in its place counts."""
    if seq > _number(connection, _REFINED_SEQ):
        _add(connection, _HANDLED, -1)


def _number(connection: Connection, key: str) -> int:
    return int(connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar() or 0)


def _add(connection: Connection, key: str, amount: int) -> None:
    value = str(_number(connection, key) + amount)
    upsert(connection, meta, [{"key": key, "value": value}])
