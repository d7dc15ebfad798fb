"""The ledger's tables, valid for SQLite and PostgreSQL alike.

What was observed (conversations, turns, pairs), what of it the running app still has to learn
from (events), what was concluded about it (judgments, labels, preferences, stage results), what
chat models were asked for it (model calls) and what was learned (runs, contrasts, aspects,
rubric versions, aspects that turned). Observations and rubric versions are
only ever added to; ``forget`` is the one thing that deletes. Alembic creates the tables
(``migrations/``); a test holds these definitions equal to what the migrations make.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

SCHEMA_REVISION: Final = "0005"
"""The migration these tables stand for."""


class Instant(TypeDecorator[datetime]):
    """A timezone-aware time, stored in UTC (SQLite keeps no zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC on the way in; a naive time is taken as UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Mark as UTC on the way out."""
        return self.process_bind_param(value, dialect)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person", Text),
    Column("group_name", Text),
    Column("intent", Text),
    Column("source", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("metadata", JSON(none_as_null=True)),
    Column("created_at", Instant, nullable=False),
    Index(None, "person"),
)

turns = Table(
    "turns",
    metadata,
    Column("conversation_id", Text, ForeignKey("conversations.id", ondelete="CASCADE")),
    Column("idx", Integer),
    Column("key", Text, nullable=False),
    Column("user_text", Text, nullable=False),
    Column("assistant_text", Text),
    Column("at", Instant),
    Column("served", JSON(none_as_null=True)),
    PrimaryKeyConstraint("conversation_id", "idx"),
    UniqueConstraint("conversation_id", "key"),
)

events = Table(
    "events",
    metadata,
    # SQLite numbers a column by itself only where its type is INTEGER.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("conversation_id", Text, nullable=False),
    Column("idx", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("shard", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("conversation_id", "idx", "kind"),
    ForeignKeyConstraint(
        ["conversation_id", "idx"], ["turns.conversation_id", "turns.idx"], ondelete="CASCADE"
    ),
    Index(None, "state", "seq"),
    sqlite_autoincrement=True,
)

pairs = Table(
    "pairs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person", Text),
    Column("group_name", Text),
    Column("intent", Text),
    Column("source", Text, nullable=False),
    Column("prompt", JSON(none_as_null=True), nullable=False),
    Column("chosen", Text, nullable=False),
    Column("rejected", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("metadata", JSON(none_as_null=True)),
    Column("created_at", Instant, nullable=False),
    Index(None, "person"),
)

judgments = Table(
    "judgments",
    metadata,
    Column("conversation_id", Text),
    Column("idx", Integer),
    Column("kind", Text),
    Column("judgment", Integer, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("source", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("conversation_id", "idx", "kind"),
    ForeignKeyConstraint(
        ["conversation_id", "idx"], ["turns.conversation_id", "turns.idx"], ondelete="CASCADE"
    ),
)

labels = Table(
    "labels",
    metadata,
    Column("subject", Text),
    Column("subject_id", Text),
    Column("kind", Text),
    Column("value", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("source", Text, nullable=False),
    Column("version", Text, nullable=False),
    PrimaryKeyConstraint("subject", "subject_id", "kind"),
)

preferences = Table(
    "preferences",
    metadata,
    Column("id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("idx", Integer, nullable=False),
    Column("polarity", Integer, nullable=False),
    Column("expectation", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("cues", JSON(none_as_null=True), nullable=False),
    Column("source", Text, nullable=False),
    Index(None, "subject_id", "idx"),
)

stage_results = Table(
    "stage_results",
    metadata,
    Column("stage", Text),
    Column("input_id", Text),
    Column("key", Text),
    Column("value", LargeBinary, nullable=False),
    PrimaryKeyConstraint("stage", "input_id", "key"),
)

model_calls = Table(
    "model_calls",
    metadata,
    Column("key", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("subject", Text),
    Column("answer", Text, nullable=False),
    Column("finish_reason", Text, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("cost", Float),
    Column("at", Instant, nullable=False),
    Index(None, "subject"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seq", Integer, nullable=False, server_default="0"),
    Column("started", Instant, nullable=False),
    Column("finished", Instant, nullable=False),
    Column("settings", JSON(none_as_null=True), nullable=False),
    Column("summary", JSON(none_as_null=True), nullable=False),
)

contrasts = Table(
    "contrasts",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE")),
    Column("intent", Text),
    Column("group_name", Text),
    Column("other", Text),
    Column("tested", Integer, nullable=False),
    Column("summary", JSON(none_as_null=True), nullable=False),
    PrimaryKeyConstraint("run_id", "intent", "group_name", "other"),
)

aspects = Table(
    "aspects",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE")),
    Column("intent", Text),
    Column("group_name", Text),
    Column("other", Text),
    Column("name", Text),
    Column("body", JSON(none_as_null=True), nullable=False),
    Column("status", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "intent", "group_name", "other", "name"),
)

rubric_versions = Table(
    "rubric_versions",
    metadata,
    Column("intent", Text),
    Column("group_name", Text),
    Column("other", Text),
    Column("version", Integer),
    Column("body", JSON(none_as_null=True), nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("intent", "group_name", "other", "version"),
)

turned = Table(
    "turned",
    metadata,
    Column("intent", Text, nullable=False),
    Column("group_name", Text, nullable=False),
    Column("other", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("intent", "group_name", "other", "name"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("intent", Text, nullable=False),
    Column("group_name", Text, nullable=False),
    Column("other", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("verdict", Text, nullable=False, server_default="out"),
    PrimaryKeyConstraint("intent", "group_name", "other", "name"),
)
