"""What a stage still has to do: rows that lack its result, page by page.

Every iterator pages by primary key and holds no transaction between pages, so that results
are stored while it goes on, memory is that of a page, and a stopped run resumes where it
was. The judgment in effect is the explicit one where there is one, else the reader's.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from gpa_agent.conversations.own_text import without_own_text
from gpa_agent.conversations.records import UNKNOWN, Judgment
from gpa_agent.ledger.explanations import EXPLAIN
from gpa_agent.ledger.guidance import Guidance
from gpa_agent.ledger.rows import (
    AnswerText,
    HeardRow,
    JudgedBy,
    JudgedRow,
    JudgedText,
    LabelKind,
    LabelledText,
    PendingTurn,
    Subject,
    Unlabelled,
    chosen_input,
    rejected_input,
    turn_input,
)
from gpa_agent.ledger.tables import (
    conversations,
    judgments,
    labels,
    pairs,
    preferences,
    stage_results,
    turns,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

LIVE: Final = "live"
"""Source of conversations that were recorded turn by turn."""

EARLIER: Final = 20
"""How many earlier utterances come with a turn."""

Kind = Literal["explicit", "reader"]


class Judged(NamedTuple):
    """The join that tells the judgment in effect.

    Attributes:
        source: ``turns`` with both kinds of judgment.
        judgment: The judgment in effect.
        confidence: Its confidence.
        origin: Its source.
        explicit: Whether a user or a record gave it.
    """

    source: FromClause
    judgment: ColumnElement[int]
    confidence: ColumnElement[float]
    origin: ColumnElement[str]
    explicit: ColumnElement[bool]


def judged_turns() -> Judged:
    """Turns joined with the judgment in effect."""
    explicit, reader = _judgment("explicit"), _judgment("reader")
    joined = turns.outerjoin(explicit, _same_turn(explicit, "explicit"))
    joined = joined.outerjoin(reader, _same_turn(reader, "reader"))
    return Judged(
        joined,
        func.coalesce(explicit.c.judgment, reader.c.judgment),
        func.coalesce(explicit.c.confidence, reader.c.confidence),
        func.coalesce(explicit.c.source, reader.c.source),
        explicit.c.judgment.is_not(None),
    )


class Pending(Guidance):
    """The iterators over what stages have not done."""

    def turns_to_judge(
        self, *versions: str, batch: int = 1000, only: Collection[str] | None = None
    ) -> Iterator[list[PendingTurn]]:
        """Answered turns with a reply, without an explicit judgment or one of these versions.

        Args:
            versions: Versions of the satisfaction readers whose judgments stand.
            batch: Turns a page.
            only: Conversations to look at; None for all.
        """
        own = self.served_guidance()
        statement, explicit, reader = _replied()
        pending = statement.where(
            *_among(only),
            explicit.c.judgment.is_(None),
            or_(reader.c.version.is_(None), reader.c.version.not_in(versions)),
        )
        for page in self._pages(pending, (turns.c.conversation_id, turns.c.idx), batch):
            yield self._with_earlier(page, own)

    def turns_judged(self, version: str, *, batch: int = 1000) -> Iterator[list[JudgedBy]]:
        """Turns that a satisfaction reader has judged, to learn from.

        Args:
            version: The reader's version.
            batch: Turns a page.
        """
        own = self.served_guidance()
        statement, _, reader = _replied()
        c = conversations
        judged = (
            statement.add_columns(
                reader.c.judgment, reader.c.confidence, reader.c.source, c.c.person
            )
            .join(c, c.c.id == turns.c.conversation_id)
            .where(reader.c.version == version)
        )
        for page in self._pages(judged, (turns.c.conversation_id, turns.c.idx), batch):
            yield [
                JudgedBy(turn, Judgment(row[6]), row[7], row[8], row[9])
                for turn, row in zip(self._with_earlier(page, own), page, strict=True)
            ]

    def turns_to_explain(
        self, source: str, *, batch: int = 1000, only: Collection[str] | None = None
    ) -> Iterator[list[JudgedText]]:
        """Turns that pleased or displeased and that a source has not explained.

        Args:
            source: The preference reader's name and version.
            batch: Turns a page.
            only: Conversations to look at; None for all.
        """
        own = self.served_guidance()
        judged, reply, after = judged_turns(), turns.alias("reply"), turns.alias("after")
        goes_on = exists().where(
            after.c.conversation_id == turns.c.conversation_id, after.c.idx > turns.c.idx + 1
        )
        done = _stage_done(EXPLAIN, source, _turn_input())
        statement = (
            select(
                turns.c.conversation_id,
                turns.c.idx,
                turns.c.user_text,
                turns.c.assistant_text,
                func.coalesce(reply.c.user_text, ""),
                and_(reply.c.assistant_text.is_(None), ~goes_on),
                judged.judgment,
                judged.confidence,
                judged.origin,
            )
            .select_from(judged.source.outerjoin(reply, _next_turn(reply)))
            .where(*_among(only), turns.c.assistant_text.is_not(None), judged.judgment != 0, ~done)
        )
        for page in self._pages(statement, (turns.c.conversation_id, turns.c.idx), batch):
            yield [
                JudgedText(
                    turn_input(turn.conversation, turn.idx),
                    turn,
                    Judgment(row[6]),
                    row[7],
                    row[8],
                )
                for turn, row in zip(self._with_earlier(page, own), page, strict=True)
            ]

    def to_label(
        self,
        kind: LabelKind,
        *versions: str,
        batch: int = 1000,
        only: Collection[str] | None = None,
    ) -> Iterator[list[Unlabelled]]:
        """Conversations, then pairs, that name no intent (or group) and lack a label.

        Args:
            kind: ``intent`` or ``group``.
            versions: Versions of the classifiers whose labels stand; others do not count.
            batch: Subjects a page.
            only: Conversations to look at; None for all, and pairs.
        """
        subjects: tuple[Subject, ...] = ("conversation", "pair")
        for subject in subjects if only is None else subjects[:1]:
            table = conversations if subject == "conversation" else pairs
            label = labels.alias()
            statement = (
                select(table.c.id, table.c.person)
                .select_from(table.outerjoin(label, label_of(label, subject, kind, table.c.id)))
                .where(
                    _named(table, kind).is_(None),
                    *([] if only is None else [table.c.id.in_(only)]),
                    or_(label.c.version.is_(None), label.c.version.not_in(versions)),
                )
            )
            for page in self._pages(statement, (table.c.id,), batch):
                texts = self._user_texts(subject, [row[0] for row in page])
                yield [
                    Unlabelled(subject, row[0], texts[row[0]], row[1])
                    for row in page
                    if texts.get(row[0])
                ]

    def labelled_texts(
        self, kind: LabelKind, *versions: str, batch: int = 1000
    ) -> Iterator[LabelledText]:
        """What users said where the record names the intent (or group), or somebody trusted does.

        Args:
            kind: ``intent`` or ``group``.
            versions: Versions of classifiers whose labels count like the record's.
            batch: Records read at a time.
        """
        for subject in ("conversation", "pair"):
            table = conversations if subject == "conversation" else pairs
            told = labels.alias("told")
            trusted = case((told.c.version.in_(versions), func.nullif(told.c.value, UNKNOWN)))
            named = func.coalesce(_named(table, kind), trusted)
            statement = (
                select(table.c.id, named, table.c.person, table.c.intent)
                .select_from(table.outerjoin(told, label_of(told, subject, kind, table.c.id)))
                .where(named.is_not(None))
            )
            for page in self._pages(statement, (table.c.id,), batch):
                texts = self._user_texts(subject, [row[0] for row in page])
                for row in page:
                    if texts.get(row[0]):
                        yield LabelledText(texts[row[0]], *row[1:])

    def answers_to_measure(
        self, stage: str, key: str, *, batch: int = 1000, only: Collection[str] | None = None
    ) -> Iterator[list[AnswerText]]:
        """Judged answers, then both sides of pairs, that lack a result of a stage.

        Args:
            stage: Name of the stage.
            key: Its version.
            batch: Turns (or pairs, each two answers at most) a page.
            only: Conversations to look at; None for all, and pairs.
        """
        judged, own = judged_turns(), self.served_guidance()
        statement = (
            select(turns.c.conversation_id, turns.c.idx, turns.c.user_text, turns.c.assistant_text)
            .select_from(judged.source)
            .where(
                *_among(only),
                turns.c.assistant_text.is_not(None),
                judged.judgment != 0,
                ~_stage_done(stage, key, _turn_input()),
            )
        )
        for page in self._pages(statement, (turns.c.conversation_id, turns.c.idx), batch):
            yield [
                AnswerText(turn_input(row[0], row[1]), row[2], without_own_text(row[3], known=own))
                for row in page
            ]
        if only is not None:
            return
        chosen = _stage_done(stage, key, literal("c:") + pairs.c.id)
        rejected = _stage_done(stage, key, literal("r:") + pairs.c.id)
        sides = select(
            pairs.c.id, pairs.c.prompt, pairs.c.chosen, pairs.c.rejected, chosen, rejected
        ).where(or_(~chosen, ~rejected))
        for page in self._pages(sides, (pairs.c.id,), batch):
            answers: list[AnswerText] = []
            for pair, prompt, better, worse, has_better, has_worse in page:
                asked = (_said(prompt) or ("",))[-1]
                if not has_better:
                    said = without_own_text(better, known=own)
                    answers.append(AnswerText(chosen_input(pair), asked, said))
                if not has_worse:
                    said = without_own_text(worse, known=own)
                    answers.append(AnswerText(rejected_input(pair), asked, said))
            yield answers

    def judged_rows(self, stage: str, key: str, *, batch: int = 5000) -> Iterator[JudgedRow]:
        """Judged answers with their result of a stage, then pairs with both results.

        Args:
            stage: Name of the stage.
            key: Its version.
            batch: Rows read at a time.

        Yields:
            Turns in the order of (conversation, idx), then pairs in the order of their ids;
            those without a result are left out, and turns served to nobody known.
        """
        judged, result = judged_turns(), stage_results.alias("result")
        statement = _counted(judged, result, stage, key).add_columns(
            judged.confidence, result.c.value, turns.c.at, turns.c.served
        )
        for page in self._pages(statement, (turns.c.conversation_id, turns.c.idx), batch):
            for row in page:
                conversation, idx, person, group, intent, judgment, *rest = row
                confidence, value, at, served = rest
                yield JudgedRow(
                    "turn",
                    conversation,
                    idx,
                    person,
                    group,
                    intent,
                    Judgment(judgment),
                    confidence,
                    value,
                    None,
                    at,
                    served,
                )
        yield from self._judged_pairs(stage, key, batch)

    def heard(self, source: str, *, batch: int = 2000) -> Iterator[HeardRow]:
        """Judged turns that a source has explained, with the preference it read, if any.

        Args:
            source: The preference reader's name and version.
            batch: Rows read at a time.

        Yields:
            Turns in the order of (conversation, idx); those served to nobody known are left out.
        """
        explained, said = stage_results.alias("explained"), preferences
        counted = _counted(judged_turns(), explained, EXPLAIN, source)
        of_the_turn = and_(
            said.c.subject == "conversation",
            said.c.subject_id == turns.c.conversation_id,
            said.c.idx == turns.c.idx,
            said.c.source == source,
        )
        statement = counted.add_columns(
            said.c.id, said.c.expectation, said.c.reason, turns.c.at, turns.c.served
        ).outerjoin(said, of_the_turn)
        for page in self._pages(statement, (turns.c.conversation_id, turns.c.idx), batch):
            for conversation, idx, person, group, intent, judgment, *said_of_it in page:
                preference, expectation, reason, at, served = said_of_it
                yield HeardRow(
                    conversation,
                    idx,
                    person,
                    group,
                    intent,
                    Judgment(judgment),
                    preference,
                    expectation,
                    reason,
                    at,
                    served,
                )

    def earliest_conversations(self) -> dict[str, str]:
        """The id of the conversation each person was first seen in; ties go to the smaller id."""
        c = conversations.c
        rank = func.row_number().over(partition_by=c.person, order_by=(c.created_at, c.id))
        ranked = select(c.person, c.id, rank.label("rank")).where(c.person.is_not(None)).subquery()
        with self._read() as connection:
            rows = connection.execute(
                select(ranked.c.person, ranked.c.id).where(ranked.c.rank == 1)
            )
            return {row[0]: row[1] for row in rows}

    def _judged_pairs(self, stage: str, key: str, batch: int) -> Iterator[JudgedRow]:
        chosen, rejected = stage_results.alias("better"), stage_results.alias("worse")
        groups, intents = labels.alias("groups"), labels.alias("intents")
        statement = select(
            pairs.c.id,
            pairs.c.person,
            effective(pairs, "group", groups),
            effective(pairs, "intent", intents),
            chosen.c.value,
            rejected.c.value,
        ).select_from(
            pairs.join(chosen, _is_result(chosen, stage, key, literal("c:") + pairs.c.id))
            .join(rejected, _is_result(rejected, stage, key, literal("r:") + pairs.c.id))
            .outerjoin(groups, label_of(groups, "pair", "group", pairs.c.id))
            .outerjoin(intents, label_of(intents, "pair", "intent", pairs.c.id))
        )
        for page in self._pages(statement, (pairs.c.id,), batch):
            for pair, person, group, intent, better, worse in page:
                yield JudgedRow(
                    "pair", pair, 0, person, group, intent, Judgment.SAT, 1.0, better, worse
                )

    def _pages(
        self,
        statement: Any,  # noqa: ANN401 -- JSON, or a type that differs by SQLAlchemy release
        keys: Sequence[ColumnElement[Any]],
        batch: int,
    ) -> Iterator[list[Any]]:
        """Rows in the order of the keys, which are the first columns selected."""
        ordered = statement.order_by(*keys).limit(batch)
        page_statement = ordered
        while True:
            with self._read() as connection:
                page = list(connection.execute(page_statement))
            if page:
                yield page
            if len(page) < batch:
                return
            after = [literal(value) for value in page[-1][: len(keys)]]
            page_statement = ordered.where(tuple_(*keys) > tuple_(*after))

    def _with_earlier(self, page: Sequence[Any], own: frozenset[str]) -> list[PendingTurn]:
        """Rows of (conversation, idx, user, assistant, reply, last) with what came before.

        Sentences of our own guidance that are repeated in them are left out.
        """
        ids = sorted({row[0] for row in page if row[1] > 0})
        statement = (
            select(turns.c.conversation_id, turns.c.idx, turns.c.user_text)
            .where(turns.c.conversation_id.in_(ids), turns.c.user_text != "")
            .order_by(turns.c.conversation_id, turns.c.idx)
        )
        said: dict[str, list[tuple[int, str]]] = {}
        if ids:
            with self._read() as connection:
                for conversation, rows in groupby(connection.execute(statement), key=itemgetter(0)):
                    said[conversation] = [
                        (idx, less)
                        for _, idx, t in rows
                        if (less := without_own_text(t, known=own))
                    ]
        return [
            PendingTurn(
                row[0],
                row[1],
                without_own_text(row[2], known=own),
                without_own_text(row[3], known=own),
                without_own_text(row[4], known=own),
                tuple(text for idx, text in said.get(row[0], ()) if idx < row[1])[-EARLIER:],
                bool(row[5]),
            )
            for row in page
        ]

    def _user_texts(self, subject: Subject, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        if subject == "pair":
            prompts = select(pairs.c.id, pairs.c.prompt).where(pairs.c.id.in_(ids))
            with self._read() as connection:
                return {row[0]: _said(row[1]) for row in connection.execute(prompts)}
        statement = (
            select(turns.c.conversation_id, turns.c.user_text)
            .where(turns.c.conversation_id.in_(ids), turns.c.user_text != "")
            .order_by(turns.c.conversation_id, turns.c.idx)
        )
        with self._read() as connection:
            return {
                conversation: tuple(text for _, text in rows)
                for conversation, rows in groupby(connection.execute(statement), key=itemgetter(0))
            }


def of_somebody(judged: Judged) -> list[ColumnElement[bool]]:
    """Conditions of the judged turns that count."""
    # Anybody can open five anonymous threads: served turns count for known people only.
    return [
        judged.judgment != 0,
        or_(conversations.c.person.is_not(None), conversations.c.source != LIVE),
    ]


def _among(only: Collection[str] | None) -> list[ColumnElement[bool]]:
    return [] if only is None else [turns.c.conversation_id.in_(only)]


def _counted(judged: Judged, result: FromClause, stage: str, key: str) -> Any:  # noqa: ANN401 -- a type that differs by SQLAlchemy release
    """Judged turns that count and have a result of a stage.

    Columns: conversation, position, person, group, intent, judgment; more may be added.
    """
    groups, intents = labels.alias("groups"), labels.alias("intents")
    c = conversations
    return (
        select(
            turns.c.conversation_id,
            turns.c.idx,
            c.c.person,
            effective(c, "group", groups),
            effective(c, "intent", intents),
            judged.judgment,
        )
        .select_from(
            judged.source.join(c, c.c.id == turns.c.conversation_id)
            .join(result, _is_result(result, stage, key, _turn_input()))
            .outerjoin(groups, label_of(groups, "conversation", "group", c.c.id))
            .outerjoin(intents, label_of(intents, "conversation", "intent", c.c.id))
        )
        .where(*of_somebody(judged))
    )


class _Replied(NamedTuple):
    """Answered turns with the user's next utterance, and both kinds of judgment beside them."""

    statement: Any
    explicit: FromClause
    reader: FromClause


def _replied() -> _Replied:
    explicit, reader, reply = _judgment("explicit"), _judgment("reader"), turns.alias("reply")
    after = turns.alias("after")
    goes_on = exists().where(
        after.c.conversation_id == reply.c.conversation_id, after.c.idx > reply.c.idx
    )
    statement = (
        select(
            turns.c.conversation_id,
            turns.c.idx,
            turns.c.user_text,
            turns.c.assistant_text,
            reply.c.user_text,
            and_(reply.c.assistant_text.is_(None), ~goes_on),
        )
        .select_from(
            turns.join(reply, _next_turn(reply))
            .outerjoin(explicit, _same_turn(explicit, "explicit"))
            .outerjoin(reader, _same_turn(reader, "reader"))
        )
        .where(turns.c.assistant_text.is_not(None), reply.c.user_text != "")
    )
    return _Replied(statement, explicit, reader)


def _said(prompt: list[dict[str, str]]) -> tuple[str, ...]:
    return tuple(m["content"] for m in prompt if m["role"] == "user")


def _judgment(kind: Kind) -> FromClause:
    return judgments.alias(kind)


def _same_turn(alias: FromClause, kind: Kind) -> ColumnElement[bool]:
    return and_(
        alias.c.conversation_id == turns.c.conversation_id,
        alias.c.idx == turns.c.idx,
        alias.c.kind == kind,
    )


def _next_turn(reply: FromClause) -> ColumnElement[bool]:
    return and_(reply.c.conversation_id == turns.c.conversation_id, reply.c.idx == turns.c.idx + 1)


def _turn_input() -> ColumnElement[str]:
    return literal("t:") + turns.c.conversation_id + literal(":") + cast(turns.c.idx, Text)


def _is_result(
    alias: FromClause, stage: str, key: str, input_id: ColumnElement[str]
) -> ColumnElement[bool]:
    return and_(alias.c.stage == stage, alias.c.key == key, alias.c.input_id == input_id)


def _stage_done(stage: str, key: str, input_id: ColumnElement[str]) -> ColumnElement[bool]:
    result = stage_results.alias()
    return exists(select(1).select_from(result).where(_is_result(result, stage, key, input_id)))


def _named(table: FromClause, kind: LabelKind) -> ColumnElement[str | None]:
    return table.c.group_name if kind == "group" else table.c.intent


def label_of(
    label: FromClause, subject: Subject, kind: LabelKind, subject_id: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Whether a label is that of a conversation or pair."""
    return and_(label.c.subject == subject, label.c.subject_id == subject_id, label.c.kind == kind)


def effective(table: FromClause, kind: LabelKind, label: FromClause) -> ColumnElement[str | None]:
    """What the record names, else the inferred label, else NULL (also for ``unknown``)."""
    return func.coalesce(_named(table, kind), func.nullif(label.c.value, UNKNOWN))
