"""Events that wait to be learned from, and aspects that turned.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables; turns recorded before have no event, and are learned by a run."""
    op.create_table(
        "events",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True
        ),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("idx", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
        sa.UniqueConstraint(
            "conversation_id", "idx", "kind", name=op.f("uq_events_conversation_id_idx_kind")
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id", "idx"],
            ["turns.conversation_id", "turns.idx"],
            name=op.f("fk_events_turns"),
            ondelete="CASCADE",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_events_state_seq"), "events", ["state", "seq"], unique=False)
    op.create_table(
        "turned",
        sa.Column("intent", sa.Text(), nullable=False),
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("other", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "intent", "group_name", "other", "name", name=op.f("pk_turned")
        ),
    )


def downgrade() -> None:
    """Drop both; what waited is learned by a run over everything."""
    op.drop_table("turned")
    op.drop_table("events")
