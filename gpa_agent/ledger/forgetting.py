"""Forgetting a person: their rows go, and then their bytes.

``secure_delete`` overwrites what is deleted; the write-ahead log, which may still hold the
old pages, is emptied, and the file rewritten without its free pages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Text, and_, cast, delete, literal, or_, select, update

from gpa_agent.errors import StoreError
from gpa_agent.ledger.learned import bump
from gpa_agent.ledger.opening import Store, store_errors
from gpa_agent.ledger.tables import (
    aspects,
    conversations,
    judgments,
    labels,
    model_calls,
    pairs,
    preferences,
    rubric_versions,
    stage_results,
    turns,
)


class Forgetting(Store):
    """The one thing that deletes."""

    def forget(self, person: str) -> dict[str, int]:
        """Delete everything of a person.

        Args:
            person: Keyed hash of the person.

        Returns:
            Rows deleted by table; ``links`` to their preferences that were taken out of evidence;
            and ``compacted``: 1 where the file was rewritten too, 0 where other readers kept it
            busy (the rows are gone and overwritten all the same).
        """
        with self._write() as connection:
            receipt = _delete(connection, person)
            bump(connection)
        receipt["compacted"] = int(self._compact())
        return receipt

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
        a, v = aspects.c, rubric_versions.c
        here = (a.intent == intent, a.group_name == group, a.other == other)
        versions = select(v.version, v.body).where(
            v.intent == intent, v.group_name == group, v.other == other
        )
        with self._write() as connection:
            gone = connection.execute(delete(aspects).where(*here, a.name.in_(names))).rowcount
            for version, body in connection.execute(versions).all():
                left = [x for x in body["aspects"] if x["name"] not in names]
                if len(left) < len(body["aspects"]):
                    gone += len(body["aspects"]) - len(left)
                    connection.execute(
                        update(rubric_versions)
                        .where(v.intent == intent, v.group_name == group, v.other == other)
                        .where(v.version == version)
                        .values(body={**body, "aspects": left})
                    )
            bump(connection)
        self._compact()
        return gone

    def _compact(self) -> bool:
        if self._engine.dialect.name != "sqlite":
            return False
        with self._engine.connect() as connection:
            raw = connection.connection.driver_connection
            if not isinstance(raw, sqlite3.Connection):
                return False
            try:
                with store_errors(self._name):
                    raw.execute("VACUUM").close()
                    busy = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except StoreError:
                return False
            return not busy


def _unlink(connection: Connection, links: set[str]) -> int:
    """Take a person's preferences out of the evidence of every aspect, old versions included."""
    removed = 0
    if not links:
        return removed
    for table in (aspects, rubric_versions):
        key = list(table.primary_key.columns)
        for *place, body in connection.execute(select(*key, table.c.body)).all():
            cleaned = [_without(a, links) for a in body.get("aspects", [body])]
            count = sum(n for _, n in cleaned)
            if count:
                whole = "aspects" in body
                new = {**body, "aspects": [a for a, _ in cleaned]} if whole else cleaned[0][0]
                same_row = and_(*(c == v for c, v in zip(key, place, strict=True)))
                connection.execute(update(table).where(same_row).values(body=new))
                removed += count
    return removed


def _without(aspect: dict[str, Any], links: set[str]) -> tuple[dict[str, Any], int]:
    evidence = aspect.get("evidence") or {}
    linked: dict[str, list[str]] = evidence.get("preferences") or {}
    kept = {group: [i for i in ids if i not in links] for group, ids in linked.items()}
    count = sum(map(len, linked.values())) - sum(map(len, kept.values()))
    return {**aspect, "evidence": {**evidence, "preferences": kept}} if count else aspect, count


def _delete(connection: Connection, person: str) -> dict[str, int]:
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
    receipt["links"] = _unlink(connection, links)
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
    for name, statement in {
        "model_calls": delete(model_calls).where(about_them | about_many),
        "stage_results": delete(stage_results).where(stage_results.c.input_id.in_(their_inputs)),
        "judgments": delete(judgments).where(judgments.c.conversation_id.in_(theirs)),
        "turns": delete(turns).where(turns.c.conversation_id.in_(theirs)),
        "conversations": delete(conversations).where(conversations.c.person == person),
        "pairs": delete(pairs).where(pairs.c.person == person),
    }.items():
        receipt[name] = connection.execute(statement).rowcount
    return receipt
