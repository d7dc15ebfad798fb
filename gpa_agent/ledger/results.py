"""Storing what stages found, and counting what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, delete, func, select, union, union_all

from gpa_agent.conversations.records import UNKNOWN
from gpa_agent.ledger.explanations import EXPLAIN, forget_explanations
from gpa_agent.ledger.opening import Store
from gpa_agent.ledger.pending import judged_turns
from gpa_agent.ledger.rows import turn_input
from gpa_agent.ledger.subjects import gone
from gpa_agent.ledger.tables import (
    conversations,
    judgments,
    labels,
    pairs,
    preferences,
    rubric_versions,
    stage_results,
    turns,
)
from gpa_agent.ledger.upserts import upsert

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gpa_agent.ledger.rows import JudgmentRow, LabelKind, LabelRow, PreferenceRow


class Labelled(NamedTuple):
    """A number of labels.

    Attributes:
        known: Those that name something.
        unknown: Those that do not.
    """

    known: int
    unknown: int


class Results(Store):
    """What stages write; each call is one transaction, and repeating it changes nothing."""

    def add_judgments(self, rows: Sequence[JudgmentRow]) -> None:
        """Store a reader's judgments; preferences read under an earlier judgment go."""
        at = self._clock()
        with self._write() as connection:
            # A person who was forgotten meanwhile does not come back with what was read before.
            lost = gone(connection, (turn_input(r.conversation, r.idx) for r in rows))
            rows = [r for r in rows if turn_input(r.conversation, r.idx) not in lost]
            upsert(
                connection,
                judgments,
                [
                    {
                        "conversation_id": row.conversation,
                        "idx": row.idx,
                        "kind": "reader",
                        "judgment": int(row.judgment),
                        "confidence": row.confidence,
                        "source": row.source,
                        "version": row.version,
                        "at": at,
                    }
                    for row in rows
                ],
            )
            forget_explanations(connection, [(row.conversation, row.idx) for row in rows])

    def add_labels(self, rows: Sequence[LabelRow]) -> None:
        """Store inferred intents and groups, ``unknown`` included."""
        with self._write() as connection:
            lost = gone(connection, (f"{r.subject}:{r.subject_id}" for r in rows))
            here = [r for r in rows if f"{r.subject}:{r.subject_id}" not in lost]
            upsert(connection, labels, [row._asdict() for row in here])

    def add_stage_results(self, stage: str, key: str, rows: Sequence[tuple[str, bytes]]) -> None:
        """Store what a stage measured.

        Args:
            stage: Name of the stage.
            key: Its version.
            rows: (input id, value).
        """
        with self._write() as connection:
            _add_results(connection, stage, key, rows)

    def replace_stage_results(
        self, stage: str, key: str, rows: Sequence[tuple[str, bytes]]
    ) -> None:
        """Store what a stage found in the place of everything it found before.

        Args:
            stage: Name of the stage.
            key: Its version; results of other versions stay.
            rows: (input id, value).
        """
        c = stage_results.c
        with self._write() as connection:
            connection.execute(delete(stage_results).where(c.stage == stage, c.key == key))
            _add_results(connection, stage, key, rows)

    def drop_stage_results(self, stage: str, *, keys: Collection[str]) -> None:
        """Drop what a stage found under versions that nobody asks for any more.

        Args:
            stage: Name of the stage.
            keys: The versions.
        """
        c = stage_results.c
        with self._write() as connection:
            connection.execute(delete(stage_results).where(c.stage == stage, c.key.in_(keys)))

    def add_preferences(
        self, rows: Sequence[PreferenceRow], *, source: str, seen: Sequence[str]
    ) -> None:
        """Store preferences and which turns were looked at for them.

        Args:
            rows: What was read.
            source: As given to ``turns_to_explain``.
            seen: Input ids of every turn looked at, also of those that voiced nothing.
        """
        with self._write() as connection:
            lost = gone(connection, (f"{r.subject}:{r.subject_id}" for r in rows))
            upsert(
                connection,
                preferences,
                [
                    row._asdict() | {"cues": list(row.cues)}
                    for row in rows
                    if f"{row.subject}:{row.subject_id}" not in lost
                ],
            )
            _add_results(connection, EXPLAIN, source, [(input_id, b"") for input_id in seen])

    def stage_values(self, stage: str, key: str) -> dict[str, bytes]:
        """Everything a stage stored under one version, by input id.

        Args:
            stage: Name of the stage.
            key: Its version.
        """
        c = stage_results.c
        with self._read() as connection:
            rows = connection.execute(
                select(c.input_id, c.value).where(c.stage == stage, c.key == key)
            )
            return {row[0]: row[1] for row in rows}

    def count_labels(self, kind: LabelKind, version: str) -> Labelled:
        """How many labels of a version there are, and how many of them are ``unknown``."""
        c = labels.c
        statement = (
            select(c.value == UNKNOWN, func.count())
            .where(c.kind == kind, c.version == version)
            .group_by(c.value == UNKNOWN)
        )
        with self._read() as connection:
            counts = {bool(row[0]): row[1] for row in connection.execute(statement)}
        return Labelled(counts.get(False, 0), counts.get(True, 0))

    def people_groups(self) -> dict[str, str]:
        """The group each person's latest record names; people without one are left out."""
        rows = union_all(
            *(
                select(table.c.person, table.c.group_name, table.c.created_at, table.c.id).where(
                    table.c.person.is_not(None), table.c.group_name.is_not(None)
                )
                for table in (conversations, pairs)
            )
        ).subquery()
        rank = func.row_number().over(
            partition_by=rows.c.person, order_by=(rows.c.created_at.desc(), rows.c.id.desc())
        )
        ranked = select(rows.c.person, rows.c.group_name, rank.label("rank")).subquery()
        statement = select(ranked.c.person, ranked.c.group_name).where(ranked.c.rank == 1)
        with self._read() as connection:
            return {row[0]: row[1] for row in connection.execute(statement)}

    def group_names(self) -> frozenset[str]:
        """Every group that a record names."""
        statement = union(
            select(conversations.c.group_name).where(conversations.c.group_name.is_not(None)),
            select(pairs.c.group_name).where(pairs.c.group_name.is_not(None)),
        )
        with self._read() as connection:
            return frozenset(connection.execute(statement).scalars())

    def counts(self) -> dict[str, int]:
        """How much there is of everything.

        Returns:
            ``conversations``, ``turns``, ``pairs``, ``people`` (known ones), ``judgments`` (answers
            whose judgment in effect is SAT or DSAT; a pair is one of each),
            ``explicit_judgments``, ``preferences``, ``rubrics`` (live) and ``live_aspects``.
        """
        judged = judged_turns()
        people = union(
            select(conversations.c.person).where(conversations.c.person.is_not(None)),
            select(pairs.c.person).where(pairs.c.person.is_not(None)),
        ).subquery()
        statements: dict[str, Any] = {
            "conversations": select(func.count()).select_from(conversations),
            "turns": select(func.count()).select_from(turns),
            "pairs": select(func.count()).select_from(pairs),
            "people": select(func.count()).select_from(people),
            "judgments": select(func.count())
            .select_from(judged.source)
            .where(judged.judgment != 0, turns.c.assistant_text.is_not(None)),
            "explicit_judgments": select(func.count())
            .select_from(judgments)
            .where(judgments.c.kind == "explicit"),
            "preferences": select(func.count()).select_from(preferences),
        }
        live = select(rubric_versions.c.body).where(rubric_versions.c.status == "live")
        with self._read() as connection:
            found = {name: connection.execute(s).scalar_one() for name, s in statements.items()}
            bodies = [row[0] for row in connection.execute(live)]
        found["judgments"] += 2 * found["pairs"]
        aspects = [aspect for body in bodies for aspect in body.get("aspects", ())]
        found["rubrics"] = sum(bool(body.get("aspects")) for body in bodies)
        found["live_aspects"] = sum(aspect.get("status") == "live" for aspect in aspects)
        return found


def _add_results(
    connection: Connection, stage: str, key: str, rows: Sequence[tuple[str, bytes]]
) -> None:
    lost = gone(connection, (input_id for input_id, _ in rows))
    upsert(
        connection,
        stage_results,
        [
            {"stage": stage, "input_id": input_id, "key": key, "value": value}
            for input_id, value in rows
            if input_id not in lost
        ],
    )
