"""Forgetting a person: their rows go, and then their bytes.

Everything goes in one transaction, which also moves ``forget_epoch``: a run that began before
must not publish what it read. ``secure_delete`` overwrites what is deleted; the write-ahead log,
which may still hold the old pages, is emptied, and the file rewritten without its free pages.
While another connection has a transaction open this has to wait: until it ends, it may read the
old pages, and so they are there. PostgreSQL keeps dead rows until its own vacuum, and its log
until that is recycled; nothing here can hurry it.

What rests on a person without naming them (rubrics, trained classifiers, files) is recomputed
after, by :mod:`gpa_agent.learning.forgetting`; what is left of that is noted here too, so that
whoever works next does it where this process could not.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    Connection,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    func,
    literal,
    not_,
    or_,
    select,
    union_all,
    update,
)

from gpa_agent.conversations.records import GENERAL_INTENT
from gpa_agent.errors import StoreError
from gpa_agent.ledger.backing import Cell, cells_of, count_down
from gpa_agent.ledger.exports import Exports
from gpa_agent.ledger.learned import bump
from gpa_agent.ledger.opening import store_errors
from gpa_agent.ledger.subjects import gone
from gpa_agent.ledger.tables import (
    aspects,
    conversations,
    decisions,
    events,
    judgments,
    labels,
    meta,
    model_calls,
    pairs,
    preferences,
    rubric_versions,
    stage_results,
    turned,
    turns,
)
from gpa_agent.ledger.upserts import upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

CLAIMS: Final = "claims"
"""The stage that keeps a model's claims, with the preferences behind each."""

_LOOK_SECONDS: Final = 0.05
_ROOM: Final = 2
"""Times the file's size that must be free to rewrite it: once beside it, once in its log."""
_REST_SECONDS: Final = 3600.0
"""How long rewriting is left alone after it failed: every try writes as much as the file holds."""
_EPOCH: Final = "forget_epoch"
_SETTLED: Final = "forget_settled"
_COMPACTED: Final = "forget_compacted"
_ABOUT_ONE: Final = ("t:%", "c:%", "r:%", "pair:%", "conversation:%")


class Forgetting(Exports):
    """The one thing that deletes."""

    _rests_until = float("-inf")
    """On the monotonic clock; rewriting is left alone until then."""

    def forget(self, person: str, *, min_people: int = 0) -> dict[str, int]:
        """Delete every row of a person; `compact` then takes care of the bytes.

        Args:
            person: Keyed hash of the person.
            min_people: k: what is live and rested on so many people with this one is taken out
                of service in the same transaction; so is what past versions and runs found on
                the word of so few.

        Returns:
            Rows deleted by table, and ``links`` to their preferences that were taken out of
            evidence.
        """
        with self._write() as connection:
            cells = cells_of(connection, person)
            receipt = _delete(connection, person, cells, min_people)
            if any(receipt.values()):
                count_down(connection, cells, min_people=min_people, at=self._clock())
                _set(connection, _EPOCH, _number(connection, _EPOCH) + 1)
                bump(connection)
        return receipt

    def forget_epoch(self) -> int:
        """How often somebody was forgotten; what was read at another number is not published."""
        with self._read() as connection:
            return _number(connection, _EPOCH)

    def forgetting_settled(self) -> bool:
        """Whether all that rested on forgotten people was recomputed."""
        with self._read() as connection:
            return _number(connection, _SETTLED) >= _number(connection, _EPOCH)

    def settle_forgetting(self, epoch: int) -> None:
        """Say that what rested on forgotten people was recomputed.

        Args:
            epoch: `forget_epoch` when the recomputation began.
        """
        with self._write() as connection:
            _set(connection, _SETTLED, epoch)
            _set(connection, _COMPACTED, 0)  # what was dropped in the course of it has bytes too

    def forgetting_compacted(self) -> bool:
        """Whether no file of the ledger holds bytes of forgotten people, as far as we can tell."""
        if self._engine.dialect.name != "sqlite":
            return True  # the server's own affair
        with self._read() as connection:
            return _number(connection, _COMPACTED) >= _number(connection, _EPOCH)

    def compact(self, *, wait_seconds: float = 2.0) -> bool:
        """Rewrite the file without what was deleted, and empty the write-ahead log.

        While the file is rewritten nobody else can write, at some 100 MB a second; nobody is kept
        waiting before.

        Args:
            wait_seconds: How long to wait for a moment in which nobody reads or writes.

        Returns:
            Whether it was done; False where no such moment came, where the disk has no room for
            it, for an hour after it failed, and on PostgreSQL, which sees to it by itself.
        """
        epoch = self.forget_epoch()
        if self._engine.dialect.name != "sqlite" or time.monotonic() < self._rests_until:
            return False
        try:
            if not _has_room(self._name) or not self._rewritten(wait_seconds):
                return False
        except (OSError, StoreError):  # the rows are gone all the same
            self._rests_until = time.monotonic() + _REST_SECONDS
            return False
        with self._write() as connection:
            _set(connection, _COMPACTED, epoch)
        return True

    def forget_stray_calls(self) -> int:
        """Drop calls about what is not here any more, and those whose questions quoted many people.

        A run that began before somebody was forgotten stores what it is answered after.

        Returns:
            How many there were.
        """
        c = model_calls.c
        with self._write() as connection:
            subjects = connection.execute(
                select(c.subject).where(c.subject.is_not(None)).distinct()
            )
            lost = sorted(gone(connection, subjects.scalars().all()))
            dropped = connection.execute(delete(model_calls).where(c.subject.is_(None))).rowcount
            if lost:
                connection.execute(
                    delete(model_calls).where(c.subject == bindparam("lost")),
                    [{"lost": subject} for subject in lost],
                )
        return dropped + len(lost)

    def forget_claims(self, *, but: str | None) -> int:
        """Drop claims that no later run weighs again, words and all.

        Args:
            but: The source whose claims are weighed again; None where none is.

        Returns:
            How many contrasts had some.
        """
        c = stage_results.c
        stale = [c.stage == CLAIMS, *([] if but is None else [c.key != but])]
        with self._write() as connection:
            return connection.execute(delete(stage_results).where(*stale)).rowcount

    def gone(self, inputs: Collection[str]) -> set[str]:
        """Of input ids and subjects of calls, those that name what is not here any more."""
        with self._read() as connection:
            return gone(connection, inputs)

    def known_people(self, people: Collection[str]) -> set[str]:
        """Of keyed hashes, those of people who have something here."""
        found: set[str] = set()
        with self._read() as connection:
            for table in (conversations, pairs):
                everybody = select(table.c.person).where(table.c.person.is_not(None)).distinct()
                found |= set(connection.execute(everybody).scalars())
        return found & set(people)

    def forget_aspects(self, intent: str, group: str, other: str, *, names: Collection[str]) -> int:
        """Take aspects out of every run and every version of a rubric, words and all.

        Args:
            intent: The intent.
            group: First-named group.
            other: Second group or ``*``.
            names: Of the aspects.

        Returns:
            How often they were found.
        """
        if not names:
            return 0
        v = rubric_versions.c
        of_rubric = and_(v.intent == intent, v.group_name == group, v.other == other)
        versions = select(v.version, v.body).where(of_rubric)
        with self._write() as connection:
            found = 0
            for table in (aspects, decisions, turned):
                c = table.c
                named = and_(c.intent == intent, c.group_name == group, c.other == other)
                gone_here = delete(table).where(named, c.name.in_(names))
                found += connection.execute(gone_here).rowcount
            for version, body in connection.execute(versions).all():
                left = [x for x in body["aspects"] if x["name"] not in names]
                if len(left) < len(body["aspects"]):
                    found += len(body["aspects"]) - len(left)
                    same = update(rubric_versions).where(of_rubric, v.version == version)
                    connection.execute(same.values(body={**body, "aspects": left}))
            bump(connection)
        return found

    def _rewritten(self, wait_seconds: float) -> bool:
        with store_errors(self._name), self._engine.connect() as connection:
            raw = connection.connection.driver_connection
            if not isinstance(raw, sqlite3.Connection):
                return False
            connection.detach()  # it waits for nobody: no connection for others to use
            raw.execute("PRAGMA busy_timeout=0").close()
            # Where somebody reads for long, rewriting would only add to the log.
            steps = (_emptied, _vacuumed, _emptied)
            return all(_in_time(step, raw, wait_seconds) for step in steps)


def _has_room(name: str) -> bool:
    """Whether the disk has room to rewrite a ledger's file."""
    if name in {"", ":memory:"}:
        return True
    size = Path(name).stat().st_size
    return shutil.disk_usage(Path(name).parent).free >= _ROOM * size


def _in_time(
    step: Callable[[sqlite3.Connection], bool], raw: sqlite3.Connection, wait_seconds: float
) -> bool:
    until = time.monotonic() + wait_seconds
    while not step(raw):
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _emptied(raw: sqlite3.Connection) -> bool:
    """Bring the write-ahead log into the file and cut it to nothing; False where it is in use."""
    cursor = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    busy = bool(cursor.fetchone()[0])
    cursor.close()
    return not busy


def _vacuumed(raw: sqlite3.Connection) -> bool:
    try:
        raw.execute("VACUUM").close()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return False
        raise
    return True


def _number(connection: Connection, key: str) -> int:
    return int(connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar() or 0)


def _set(connection: Connection, key: str, value: int) -> None:
    upsert(connection, meta, [{"key": key, "value": str(value)}])


def _unlink(connection: Connection, links: set[str], min_people: int) -> int:
    """Take a person's preferences out of the evidence of every aspect, old versions included.

    Of past runs and versions nothing is weighed again: an aspect in them that fewer than k
    people are linked to now goes, words and all.
    """
    removed = 0
    if not links:
        return removed
    for table in (aspects, rubric_versions):
        key = list(table.primary_key.columns)
        rows = connection.execute(select(table.c.status, table.c.body, *key)).all()
        for status, body, *place in map(tuple[Any, ...], rows):
            whole = "aspects" in body
            cleaned = [_without(a, links) for a in body.get("aspects", [body])]
            count = sum(n for _, n in cleaned)
            if not count:
                continue
            removed += count
            served = whole and status == "live"
            left = [
                a
                for a, n in cleaned
                if served or not n or _linked_people(connection, a, links) >= min_people
            ]
            same_row = and_(*(c == v for c, v in zip(key, place, strict=True)))
            if whole:
                changed = update(table).values(body={**body, "aspects": left})
                connection.execute(changed.where(same_row))
            elif left:
                connection.execute(update(table).values(body=left[0]).where(same_row))
            else:
                connection.execute(delete(table).where(same_row))
    return removed


def _linked_people(connection: Connection, aspect: dict[str, Any], links: set[str]) -> int:
    """How many people the preferences linked to an aspect come from, without the forgotten one."""
    linked: dict[str, list[str]] = aspect["evidence"]["preferences"]
    ids = [i for some in linked.values() for i in some if i not in links]
    said, paired = preferences.c, pairs.c
    people = union_all(
        select(func.coalesce(conversations.c.person, conversations.c.id))
        .join_from(preferences, conversations, said.subject_id == conversations.c.id)
        .where(said.subject == "conversation", said.id.in_(ids)),
        select(func.coalesce(paired.person, paired.id)).where(
            paired.id.in_([i.removeprefix("c:") for i in ids if i.startswith("c:")])
        ),
    )
    return len(set(connection.execute(people).scalars()))


def _without(aspect: dict[str, Any], links: set[str]) -> tuple[dict[str, Any], int]:
    evidence = aspect.get("evidence") or {}
    linked: dict[str, list[str]] = evidence.get("preferences") or {}
    kept = {group: [i for i in ids if i not in links] for group, ids in linked.items()}
    count = sum(map(len, linked.values())) - sum(map(len, kept.values()))
    return {**aspect, "evidence": {**evidence, "preferences": kept}} if count else aspect, count


def _delete(
    connection: Connection, person: str, cells: Collection[Cell], min_people: int
) -> dict[str, int]:
    theirs = select(conversations.c.id).where(conversations.c.person == person)
    their_pairs = select(pairs.c.id).where(pairs.c.person == person)
    their_inputs = (
        select(literal("t:") + turns.c.conversation_id + literal(":") + cast(turns.c.idx, Text))
        .where(turns.c.conversation_id.in_(theirs))
        .union_all(
            select(literal("c:") + pairs.c.id).where(pairs.c.person == person),
            select(literal("r:") + pairs.c.id).where(pairs.c.person == person),
            select(literal("pair:") + pairs.c.id).where(pairs.c.person == person),
            select(literal("conversation:") + conversations.c.id).where(
                conversations.c.person == person
            ),
        )
    )
    receipt: dict[str, int] = {}
    links = set(
        connection.execute(
            select(preferences.c.id)
            .where(preferences.c.subject == "conversation", preferences.c.subject_id.in_(theirs))
            .union_all(select(literal("c:") + pairs.c.id).where(pairs.c.person == person))
        ).scalars()
    )
    receipt["links"] = _unlink(connection, links, min_people)
    for table in (preferences, labels):
        c = table.c
        gone = delete(table).where(
            ((c.subject == "conversation") & c.subject_id.in_(theirs))
            | ((c.subject == "pair") & c.subject_id.in_(their_pairs))
        )
        receipt[table.name] = connection.execute(gone).rowcount
    about_them = model_calls.c.subject.in_(their_inputs)
    # A call about nobody in particular had many people's preferences in its question, theirs
    # perhaps among them (also ones that a changed judgment has dropped since).
    answered = (
        select(turns.c.idx)
        .where(turns.c.conversation_id.in_(theirs), turns.c.assistant_text.is_not(None))
        .exists()
    )
    about_many = and_(model_calls.c.subject.is_(None), or_(literal(bool(links)), answered))
    theirs_among_many = _places(connection, cells)
    for name, statement in {
        "model_calls": delete(model_calls).where(about_them | about_many),
        "stage_results": delete(stage_results).where(
            stage_results.c.input_id.in_(their_inputs)
            | and_(stage_results.c.stage != CLAIMS, stage_results.c.input_id.in_(theirs_among_many))
        ),
        "events": delete(events).where(events.c.conversation_id.in_(theirs)),
        "judgments": delete(judgments).where(judgments.c.conversation_id.in_(theirs)),
        "turns": delete(turns).where(turns.c.conversation_id.in_(theirs)),
        "conversations": delete(conversations).where(conversations.c.person == person),
        "pairs": delete(pairs).where(pairs.c.person == person),
    }.items():
        receipt[name] = connection.execute(statement).rowcount
    return receipt


def _places(connection: Connection, cells: Collection[Cell]) -> list[str]:
    """Where stages keep what they computed from many people, of the intents a person spoke in.

    It is computed again; claims are weighed again instead, and lose what few stand behind.
    """
    intents = {cell.intent or GENERAL_INTENT for cell in cells}
    c = stage_results.c
    of_many = not_(or_(*(c.input_id.like(one) for one in _ABOUT_ONE)))
    found = connection.execute(select(c.input_id).where(of_many).distinct()).scalars()
    return [place for place in found if not intents.isdisjoint(_named(place))]


def _named(place: str) -> list[str]:
    """The names in a place: (intent, group, other) as JSON."""
    try:
        return [str(name) for name in json.loads(place)]
    except (ValueError, TypeError):
        return []
