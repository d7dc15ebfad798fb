"""Judged answers and preference pairs as they were said: what contrastive pairs are made from."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select

from gpa_agent.conversations.own_text import without_own_text
from gpa_agent.conversations.records import Judgment, Message
from gpa_agent.ledger.pending import Pending, effective, judged_turns, label_of, of_somebody
from gpa_agent.ledger.tables import conversations, labels, pairs, turns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class JudgedAnswer(NamedTuple):
    """A judged answer with all that was said before it, to make a preference pair of.

    Attributes:
        conversation: Id of the conversation.
        idx: Position of the turn in it, from 0.
        person: Keyed hash of the person, where known.
        group: The record's group, else the inferred one, else None.
        intent: The record's intent, else the inferred one, else None.
        judgment: SAT or DSAT.
        confidence: In [0, 1]; 1 for explicit judgments.
        explicit: Whether the user gave it, or the record carries it.
        said: The conversation up to and including the utterance that was answered, as it was
            said: messages of users and assistants, oldest first, none of them empty.
        asked: The utterance that was answered; empty where the assistant spoke first.
        answer: The answer.
        served: The turn's trace (`Plan.trace`), where it was answered through us.
    """

    conversation: str
    idx: int
    person: str | None
    group: str | None
    intent: str | None
    judgment: Judgment
    confidence: float
    explicit: bool
    said: tuple[Message, ...]
    asked: str
    answer: str
    served: Mapping[str, Any] | None


class RecordedPair(NamedTuple):
    """A preference pair of the log.

    Attributes:
        id: Its id.
        person: Keyed hash of the person, where known.
        group: The record's group, else the inferred one, else None.
        intent: The record's intent, else the inferred one, else None.
        prompt: The conversation up to and including the user's last message.
        chosen: The answer that was preferred.
        rejected: The answer that was not.
    """

    id: str
    person: str | None
    group: str | None
    intent: str | None
    prompt: tuple[Message, ...]
    chosen: str
    rejected: str


class Answers(Pending):
    """The iterators over what was said and how it was received."""

    def judged_answers(self, *, batch: int = 500) -> Iterator[list[JudgedAnswer]]:
        """Answers that pleased or displeased, with the conversations before them.

        Sentences of our own guidance that are repeated in them are left out.

        Args:
            batch: Turns a page.

        Yields:
            Turns in the order of (conversation, idx); those served to nobody known are left out.
        """
        own, judged, c = self.served_guidance(), judged_turns(), conversations
        groups, intents = labels.alias("groups"), labels.alias("intents")
        statement = (
            select(
                turns.c.conversation_id,
                turns.c.idx,
                c.c.person,
                effective(c, "group", groups),
                effective(c, "intent", intents),
                judged.judgment,
                judged.confidence,
                judged.explicit,
                turns.c.served,
            )
            .select_from(
                judged.source.join(c, c.c.id == turns.c.conversation_id)
                .outerjoin(groups, label_of(groups, "conversation", "group", c.c.id))
                .outerjoin(intents, label_of(intents, "conversation", "intent", c.c.id))
            )
            .where(turns.c.assistant_text.is_not(None), *of_somebody(judged))
        )
        for page in self._pages(statement, (turns.c.conversation_id, turns.c.idx), batch):
            said = self._exchanges(sorted({row[0] for row in page}), own)
            # Somebody may be forgotten between the two statements.
            here = [row for row in page if row[1] in said.get(row[0], {})]
            yield [_judged_answer(row, said[row[0]]) for row in here]

    def recorded_pairs(self, *, batch: int = 500) -> Iterator[list[RecordedPair]]:
        """Preference pairs of the log, in the order of their ids.

        Sentences of our own guidance that are repeated in them are left out.

        Args:
            batch: Pairs a page.
        """
        own = self.served_guidance()
        groups, intents = labels.alias("groups"), labels.alias("intents")
        statement = select(
            pairs.c.id,
            pairs.c.person,
            effective(pairs, "group", groups),
            effective(pairs, "intent", intents),
            pairs.c.prompt,
            pairs.c.chosen,
            pairs.c.rejected,
        ).select_from(
            pairs.outerjoin(groups, label_of(groups, "pair", "group", pairs.c.id)).outerjoin(
                intents, label_of(intents, "pair", "intent", pairs.c.id)
            )
        )
        for page in self._pages(statement, (pairs.c.id,), batch):
            yield [
                RecordedPair(
                    id_,
                    person,
                    group,
                    intent,
                    tuple(
                        Message(m["role"], less)
                        for m in prompt
                        if (less := without_own_text(m["content"], known=own))
                    ),
                    without_own_text(chosen, known=own),
                    without_own_text(rejected, known=own),
                )
                for id_, person, group, intent, prompt, chosen, rejected in page
            ]

    def _exchanges(
        self, ids: Sequence[str], own: frozenset[str]
    ) -> dict[str, dict[int, _Exchange]]:
        """All turns of conversations, by position."""
        statement = (
            select(turns.c.conversation_id, turns.c.idx, turns.c.user_text, turns.c.assistant_text)
            .where(turns.c.conversation_id.in_(ids))
            .order_by(turns.c.conversation_id, turns.c.idx)
        )
        with self._read() as connection:
            return {
                conversation: {
                    idx: _Exchange(
                        without_own_text(user, known=own),
                        without_own_text(assistant or "", known=own),
                    )
                    for _, idx, user, assistant in rows
                }
                for conversation, rows in groupby(connection.execute(statement), key=itemgetter(0))
            }


class _Exchange(NamedTuple):
    """A turn's texts; empty where nothing was said."""

    user: str
    assistant: str


def _judged_answer(row: Sequence[Any], exchanges: Mapping[int, _Exchange]) -> JudgedAnswer:
    conversation, idx, person, group, intent, judgment, confidence, explicit, served = row
    return JudgedAnswer(
        conversation,
        idx,
        person,
        group,
        intent,
        Judgment(judgment),
        confidence,
        bool(explicit),
        _messages(exchanges, idx),
        exchanges[idx].user,
        exchanges[idx].assistant,
        served,
    )


def _messages(turns_: Mapping[int, _Exchange], until: int) -> tuple[Message, ...]:
    """What was said up to and including the utterance of a turn."""
    messages = [
        message
        for idx, turn in turns_.items()
        if idx <= until
        for message in (Message("user", turn.user), Message("assistant", turn.assistant))
        if message.content
    ]
    return tuple(messages[:-1] if turns_[until].assistant else messages)
