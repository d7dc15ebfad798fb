"""Turns and feedback as they happen in the running app."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import Connection, and_, func, insert, select, update

from gpa_agent.conversations.messages import said_text
from gpa_agent.conversations.records import UNKNOWN, Judgment, Label
from gpa_agent.errors import DataError, UsageError
from gpa_agent.ledger.events import QUEUE_LIMIT, add_event
from gpa_agent.ledger.explanations import forget_explanations
from gpa_agent.ledger.opening import Store
from gpa_agent.ledger.pacing import Pace
from gpa_agent.ledger.pending import EARLIER, LIVE
from gpa_agent.ledger.rows import LabelKind, PendingTurn
from gpa_agent.ledger.tables import conversations, judgments, labels, turns
from gpa_agent.ledger.upserts import upsert

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

FEEDBACK: Final = "feedback"
"""Source of a judgment given after the fact."""

_STATED: Final = frozenset({"record", "context", "known"})


class _Judged(NamedTuple):
    """Whose answer is judged.

    Attributes:
        person: Keyed hash of the person, where known.
        judgment: What they said of it before, if they did.
    """

    person: str | None
    judgment: int | None


class Live(Store):
    """What a turn's end and a user's thumb write; durable when the call returns.

    Of one person `pacing.PER_HOUR` events an hour are waited for. The turns and thumbs beyond are
    stored all the same, and left to the next run over everything.
    """

    @cached_property
    def _pace(self) -> Pace:
        return Pace()

    def record_turn(
        self,
        *,
        conversation: str,
        key: str,
        user: str,
        assistant: str,
        person: str | None = None,
        group: Label | None = None,
        intent: Label | None = None,
        served: Mapping[str, Any] | None = None,
        at: datetime | None = None,
        queue_limit: int = QUEUE_LIMIT,
    ) -> int:
        """Append a turn to a conversation, making the conversation where it is new.

        Args:
            conversation: Id of the conversation in the app.
            key: Names this turn; recording it again changes nothing.
            user: What the user said.
            assistant: The answer they got.
            person: Keyed hash of the person.
            group: Stated ones (source ``record``, ``context`` or ``known``) become the
                conversation's own where it has none; others are kept as inferred labels.
            intent: As ``group``.
            served: The turn's trace; JSON.
            at: When it was answered; now where None.
            queue_limit: Events that may wait; above it the turn is stored, and nothing waits
                to learn from it.

        Returns:
            The turn's position in the conversation, from 0.

        Raises:
            DataError: The conversation belongs to another person: their turns must not mix.
        """
        moment = at or self._clock()
        with self._write(conversation) as connection:
            self._open(connection, conversation, person, moment)
            stored = connection.execute(
                select(turns.c.idx).where(
                    turns.c.conversation_id == conversation, turns.c.key == key
                )
            ).scalar()
            if stored is not None:
                return int(stored)
            idx = self._next_idx(connection, conversation)
            connection.execute(
                insert(turns),
                {
                    "conversation_id": conversation,
                    "idx": idx,
                    "key": key,
                    "user_text": said_text(user),
                    "assistant_text": said_text(assistant),
                    "at": moment,
                    "served": dict(served) if served else None,
                },
            )
            _label(connection, conversation, "group", group)
            _label(connection, conversation, "intent", intent)
            add_event(
                connection,
                conversation,
                idx,
                "turn",
                at=moment,
                limit=queue_limit,
                admitted=self._pace.admits(person, moment),
            )
            return idx

    def owner(self, conversation: str) -> str | None:
        """The person (keyed hash) a conversation belongs to; None where unknown or not there."""
        statement = select(conversations.c.person).where(conversations.c.id == conversation)
        with self._read() as connection:
            return connection.execute(statement).scalar()

    def add_explicit(
        self,
        conversation: str,
        idx: int,
        judgment: Judgment,
        *,
        at: datetime | None = None,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        """Store a user's own judgment of an answer; the latest one stands.

        Given once more it changes nothing, and nothing waits to learn from it.

        Args:
            conversation: Id of the conversation.
            idx: Position of the turn, from 0.
            judgment: SAT, DSAT, or NEITHER to take an earlier one back.
            at: When it was given; now where None.
            queue_limit: As for `record_turn`.

        Raises:
            UsageError: There is no such turn, or it has no answer.
        """
        with self._write(conversation) as connection:
            before = self._before(connection, conversation, idx)
            if before.judgment == judgment:
                return
            moment = at or self._clock()
            row = {
                "conversation_id": conversation,
                "idx": idx,
                "kind": "explicit",
                "judgment": int(judgment),
                "confidence": 1.0,
                "source": FEEDBACK,
                "version": "",
                "at": moment,
            }
            upsert(connection, judgments, [row])
            forget_explanations(connection, [(conversation, idx)])
            add_event(
                connection,
                conversation,
                idx,
                "feedback",
                at=moment,
                limit=queue_limit,
                admitted=self._pace.admits(before.person, moment),
            )

    def previous_turn(self, conversation: str, idx: int) -> PendingTurn | None:
        """The turn before, which the utterance at ``idx`` judges.

        Args:
            conversation: Id of the conversation.
            idx: Position of the turn whose utterance is the reply.

        Returns:
            None where there is no turn before, it has no answer, the utterance is empty, or the
            user judged it explicitly.
        """
        explicit = select(judgments.c.idx).where(
            judgments.c.conversation_id == conversation,
            judgments.c.idx == idx - 1,
            judgments.c.kind == "explicit",
        )
        said = (
            select(turns.c.idx, turns.c.user_text, turns.c.assistant_text)
            .where(turns.c.conversation_id == conversation, turns.c.idx <= idx)
            .order_by(turns.c.idx.desc())
            .limit(EARLIER + 2)
        )
        with self._read() as connection:
            rows = list(connection.execute(said))
            judged = connection.execute(explicit).first() is not None
        if judged or len(rows) < 2 or rows[0][0] != idx:
            return None
        (_, reply, _), (before, user, assistant), *earlier = rows
        if assistant is None or not reply:
            return None
        return PendingTurn(
            conversation=conversation,
            idx=before,
            user=user,
            assistant=assistant,
            reply=reply,
            earlier=tuple(text for _, text, _ in reversed(earlier) if text),
            last=False,
        )

    def _open(
        self, connection: Connection, conversation: str, person: str | None, at: datetime
    ) -> None:
        c = conversations.c
        found = connection.execute(select(c.person).where(c.id == conversation)).first()
        if found is None:
            connection.execute(
                insert(conversations),
                {
                    "id": conversation,
                    "person": person,
                    "source": LIVE,
                    "digest": LIVE,
                    "created_at": at,
                },
            )
        elif person is not None and found[0] is None:
            connection.execute(
                update(conversations).where(c.id == conversation).values(person=person)
            )
        elif person is not None and found[0] != person:
            raise DataError(
                f"conversation {conversation!r} belongs to another person; give each person's "
                "conversations their own ids (thread_id)"
            )

    def _before(self, connection: Connection, conversation: str, idx: int) -> _Judged:
        """What is known of a turn that is about to be judged explicitly."""
        stated = and_(
            judgments.c.conversation_id == turns.c.conversation_id,
            judgments.c.idx == turns.c.idx,
            judgments.c.kind == "explicit",
        )
        found = connection.execute(
            select(conversations.c.person, judgments.c.judgment)
            .select_from(turns)
            .join(conversations, conversations.c.id == turns.c.conversation_id)
            .outerjoin(judgments, stated)
            .where(
                turns.c.conversation_id == conversation,
                turns.c.idx == idx,
                turns.c.assistant_text.is_not(None),
            )
        ).first()
        if found is None:
            count = self._next_idx(connection, conversation)
            raise UsageError(
                f"conversation {conversation!r} has no answered turn {idx!r}: it has {count} "
                "turns, counted from 0; check the conversation's id and the turn's number"
            )
        return _Judged._make(found)

    @staticmethod
    def _next_idx(connection: Connection, conversation: str) -> int:
        last = connection.execute(
            select(func.max(turns.c.idx)).where(turns.c.conversation_id == conversation)
        ).scalar()
        return 0 if last is None else int(last) + 1


def _label(connection: Connection, conversation: str, kind: LabelKind, label: Label | None) -> None:
    if label is None or label.value == UNKNOWN:
        return
    column = conversations.c.group_name if kind == "group" else conversations.c.intent
    if label.source in _STATED:
        connection.execute(
            update(conversations)
            .where(conversations.c.id == conversation, column.is_(None))
            .values({column: label.value})
        )
        return
    row = {
        "subject": "conversation",
        "subject_id": conversation,
        "kind": kind,
        "value": label.value,
        "confidence": label.confidence,
        "source": label.source,
        "version": LIVE,
    }
    upsert(connection, labels, [row])
