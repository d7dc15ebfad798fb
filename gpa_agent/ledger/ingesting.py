"""Writing records of a log: a whole source in one transaction, each record at most once.

A record with a known id is compared with what is stored. The same content changes nothing;
a conversation that has gone on is extended; anything else is a conflict, and what was stored
first stays. New rows are collected and inserted many at a time.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from gpa_agent.conversations.fields import DERIVED_PREFIX
from gpa_agent.conversations.records import (
    Conversation,
    Judgment,
    PreferencePair,
    Record,
    Turn,
)
from gpa_agent.ledger.explanations import forget_explanations
from gpa_agent.ledger.tables import conversations, judgments, labels, pairs, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from gpa_agent.ledger.rows import Outcome

BUFFERED_ROWS: Final = 2000
"""Rows held before they are written."""

BUFFERED_CHARS: Final = 4_000_000
"""Characters of text held before they are written."""

RECORD: Final = "record"
"""Source of a judgment that came with the log."""


class _Stored(NamedTuple):
    """What decides whether a record with a known id is news."""

    digest: str
    person: str | None
    group: str | None
    intent: str | None


class Ingest:
    """Adds records within one transaction; made by ``Ledger.ingesting``.

    Args:
        connection: In a write transaction.
        source: Name of the log, kept with each record.
        person: Hashes a raw user id.
        now: The time that stands where the log gives none.
    """

    def __init__(
        self, connection: Connection, source: str, person: Callable[[str], str], now: datetime
    ) -> None:
        self._connection = connection
        self._source = source
        self._person = person
        self._now = now
        self._fresh: dict[str, _Stored] = {}
        self._conversations: list[dict[str, Any]] = []
        self._turns: list[dict[str, Any]] = []
        self._judgments: list[dict[str, Any]] = []
        self._pairs: list[dict[str, Any]] = []
        self._chars = 0
        self.changed = False
        """Whether anything was added to what was stored."""

    def add(self, record: Record) -> Outcome:
        """Add one record; see :meth:`add_all`, which is faster for many."""
        return self.add_all((record,))[0]

    def add_all(self, records: Sequence[Record]) -> list[Outcome]:
        """Add records in order.

        Args:
            records: Conversations and pairs; a few hundred at a time is fast.

        Returns:
            For each: ``added``; ``unchanged`` where the same (or more of the same) is stored;
            ``extended`` where turns, judgments, a group or an intent were added to what is
            stored; ``conflict`` where something else is stored under its id.
        """
        people = [None if r.user is None else self._person(r.user) for r in records]
        ids = [_stored_id(r, p) for r, p in zip(records, people, strict=True)]
        known = self._known(ids, records)
        outcomes: list[Outcome] = [
            self._add(record, found, person, known)
            for record, found, person in zip(records, ids, people, strict=True)
        ]
        self.changed |= not {"added", "extended"}.isdisjoint(outcomes)
        if len(self._turns) + len(self._pairs) > BUFFERED_ROWS or self._chars > BUFFERED_CHARS:
            self.flush()
        return outcomes

    def flush(self) -> None:
        """Write what is held; ``Ledger.ingesting`` does so at its end."""
        for table, rows in (
            (conversations, self._conversations),
            (turns, self._turns),
            (judgments, self._judgments),
            (pairs, self._pairs),
        ):
            if rows:
                self._connection.execute(insert(table), rows)
                rows.clear()
        self._fresh.clear()
        self._chars = 0

    def _known(self, ids: Sequence[str], records: Sequence[Record]) -> dict[str, _Stored]:
        """What is stored under the ids, keyed with the kind of record before the id."""
        found: dict[str, _Stored] = {}
        for table, kind in ((conversations, Conversation), (pairs, PreferencePair)):
            wanted = [i for i, r in zip(ids, records, strict=True) if type(r) is kind]
            if not wanted:
                continue
            rows = self._connection.execute(
                select(
                    table.c.id,
                    table.c.digest,
                    table.c.person,
                    table.c.group_name,
                    table.c.intent,
                ).where(table.c.id.in_(wanted))
            )
            prefix = kind.__name__
            found.update((prefix + row[0], _Stored(*row[1:])) for row in rows)
        return found

    def _add(
        self, record: Record, record_id: str, person: str | None, known: dict[str, _Stored]
    ) -> Outcome:
        key = type(record).__name__ + record_id
        named = _Stored(digest_of(record, person), person, record.group, record.intent)
        stored = self._fresh.get(key) or known.get(key)
        if stored is None:
            self._fresh[key] = named
            self._insert(record, record_id, named)
            return "added"
        if stored.digest == named.digest:
            return "unchanged"
        if isinstance(record, PreferencePair):
            return "conflict"
        self.flush()
        outcome, known[key] = self._extend(record, record_id, stored, named)
        return outcome

    def _insert(self, record: Record, record_id: str, named: _Stored) -> None:
        row: dict[str, Any] = {
            "id": record_id,
            "person": named.person,
            "group_name": named.group,
            "intent": named.intent,
            "source": self._source,
            "digest": named.digest,
            "metadata": dict(record.metadata) or None,
            "created_at": self._now,
        }
        if isinstance(record, PreferencePair):
            row["prompt"] = [{"role": m.role, "content": m.content} for m in record.prompt]
            row["chosen"], row["rejected"] = record.chosen, record.rejected
            self._pairs.append(row)
            self._chars += len(record.chosen) + len(record.rejected)
            return
        row["created_at"] = record.turns[-1].at or self._now
        self._conversations.append(row)
        self._append_turns(record_id, record.turns, 0)

    def _append_turns(self, record_id: str, new: Iterable[Turn], start: int) -> None:
        for idx, turn in enumerate(new, start=start):
            self._chars += len(turn.user) + len(turn.assistant or "")
            self._turns.append(
                {
                    "conversation_id": record_id,
                    "idx": idx,
                    "key": f"#{idx}",
                    "user_text": turn.user,
                    "assistant_text": turn.assistant,
                    "at": turn.at,
                    "served": None,
                }
            )
            if turn.judgment is not None and turn.assistant is not None:
                self._judge(record_id, idx, turn.judgment, turn.at)

    def _judge(self, record_id: str, idx: int, judgment: Judgment, at: datetime | None) -> None:
        self._judgments.append(
            {
                "conversation_id": record_id,
                "idx": idx,
                "kind": "explicit",
                "judgment": int(judgment),
                "confidence": 1.0,
                "source": RECORD,
                "version": "",
                "at": at or self._now,
            }
        )

    def _extend(
        self, record: Conversation, record_id: str, stored: _Stored, named: _Stored
    ) -> tuple[Outcome, _Stored]:
        """Add to a stored conversation what the record has beyond it."""
        merged = _merged(stored, named)
        before = self._stored_turns(record_id)
        if merged is None or not _agrees(before, record.turns):
            return "conflict", stored
        explicit = self._explicit(record_id)
        late: dict[int, Turn] = {}
        for idx, turn in enumerate(record.turns[: len(before)]):
            if turn.judgment is None or turn.assistant is None:
                continue
            if idx not in explicit:
                late[idx] = turn
            elif explicit[idx] == (turn.judgment, RECORD) or explicit[idx][1] != RECORD:
                continue  # the same, or feedback given since: the later word stands
            else:
                return "conflict", stored
        completed = bool(before) and before[-1][1] is None and len(record.turns) >= len(before)
        completed = completed and record.turns[len(before) - 1].assistant is not None
        grown = record.turns[len(before) :]
        if not (late or completed or grown or merged[1:] != stored[1:]):
            return "unchanged", stored
        if completed:
            self._complete(record_id, len(before) - 1, record.turns[len(before) - 1])
        self._append_turns(record_id, grown, len(before))
        for idx, turn in late.items():
            self._judge(record_id, idx, turn.judgment or Judgment.NEITHER, turn.at)
        self._reopen(record_id, len(before))
        forget_explanations(self._connection, [(record_id, idx) for idx in late])
        at_least = len(record.turns) >= len(before)
        merged = merged if at_least else merged._replace(digest=stored.digest)
        self._connection.execute(
            update(conversations)
            .where(conversations.c.id == record_id)
            .values(
                digest=merged.digest,
                person=merged.person,
                group_name=merged.group,
                intent=merged.intent,
            )
        )
        self.flush()
        return "extended", merged

    def _stored_turns(self, record_id: str) -> list[tuple[str, str | None]]:
        rows = self._connection.execute(
            select(turns.c.user_text, turns.c.assistant_text)
            .where(turns.c.conversation_id == record_id)
            .order_by(turns.c.idx)
        )
        return [(user, answer) for user, answer in rows]

    def _explicit(self, record_id: str) -> dict[int, tuple[int, str]]:
        rows = self._connection.execute(
            select(judgments.c.idx, judgments.c.judgment, judgments.c.source).where(
                judgments.c.conversation_id == record_id, judgments.c.kind == "explicit"
            )
        )
        return {idx: (judgment, source) for idx, judgment, source in rows}

    def _complete(self, record_id: str, idx: int, turn: Turn) -> None:
        self._connection.execute(
            update(turns)
            .where(turns.c.conversation_id == bindparam("c"), turns.c.idx == bindparam("i"))
            .values(assistant_text=bindparam("a"), at=bindparam("t")),
            {"c": record_id, "i": idx, "a": turn.assistant, "t": turn.at},
        )

    def _reopen(self, record_id: str, length: int) -> None:
        """Let the stages look again at what the extension puts in another light.

        Labels rest on the whole conversation; the judgment before the old end rested on a
        reply that was the last and no longer is.
        """
        self._connection.execute(
            delete(labels).where(
                labels.c.subject == "conversation", labels.c.subject_id == record_id
            )
        )
        self._connection.execute(
            delete(judgments).where(
                judgments.c.conversation_id == record_id,
                judgments.c.kind == "reader",
                judgments.c.idx >= length - 2,
            )
        )


def digest_of(record: Record, person: str | None) -> str:
    """A hash of all that makes a record what it is, but its metadata and times."""
    parts: list[str | None] = [person, record.group, record.intent]
    if isinstance(record, PreferencePair):
        for message in record.prompt:
            parts += message
        parts += (record.chosen, record.rejected)
    else:
        for turn in record.turns:
            judged = None if turn.judgment is None else str(int(turn.judgment))
            parts += (turn.user, turn.assistant, judged)
    # Lengths before the texts: no two different lists are written alike.
    written = "".join("-" if p is None else f"{len(p)}:{p}" for p in parts)
    return blake2b(written.encode(), digest_size=16).hexdigest()


def _stored_id(record: Record, person: str | None) -> str:
    """The record's id; one derived from the content also tells people apart."""
    if person is None or not record.id.startswith(DERIVED_PREFIX):
        return record.id
    mixed = blake2b(f"{record.id}|{person}".encode(), digest_size=16).hexdigest()
    return DERIVED_PREFIX + mixed


def _merged(stored: _Stored, named: _Stored) -> _Stored | None:
    """Person, group and intent of both; None where they contradict each other."""
    both = [a or b for a, b in zip(stored[1:], named[1:], strict=True)]
    if any(a and b and a != b for a, b in zip(stored[1:], named[1:], strict=True)):
        return None
    return _Stored(named.digest, *both)


def _agrees(before: Sequence[tuple[str, str | None]], new: Sequence[Turn]) -> bool:
    """Whether one is the beginning of the other; a last answer may be missing in either."""
    shorter = min(len(before), len(new))
    for idx, (stored, turn) in enumerate(zip(before, new, strict=False)):
        if stored == (turn.user, turn.assistant):
            continue
        open_end = (stored[1] is None and idx == len(before) - 1) or (
            turn.assistant is None and idx == len(new) - 1
        )
        if stored[0] != turn.user or not open_end or idx != shorter - 1:
            return False
    return True
