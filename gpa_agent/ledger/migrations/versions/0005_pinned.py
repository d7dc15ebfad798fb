"""A person's decision keeps an aspect out, or keeps it in.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Say what was decided; until now nothing but to take out."""
    # By bytes, as every other column of text.
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("decisions", sa.Column("verdict", text, nullable=False, server_default="out"))


def downgrade() -> None:
    """Forget who was kept in: of what is left all is out."""
    op.execute("DELETE FROM decisions WHERE verdict <> 'out'")
    op.drop_column("decisions", "verdict")
