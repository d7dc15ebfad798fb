"""Order that no clock and no language decides.

Runs are numbered, so that the latest is the one saved last even where a clock was set back. On
PostgreSQL text is sorted by its bytes, as SQLite sorts it, so that both page and sample alike.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXT_COLUMNS = """
SELECT c.table_name, c.column_name FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = current_schema() AND c.data_type = 'text' AND t.table_type = 'BASE TABLE'
"""


def upgrade() -> None:
    """Number the runs in the order in which they finished, and sort by bytes."""
    op.add_column("runs", sa.Column("seq", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE runs SET seq = (SELECT count(*) FROM runs AS r WHERE r.finished < runs.finished "
        "OR (r.finished = runs.finished AND r.id <= runs.id))"
    )
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        for table, column in connection.execute(sa.text(_TEXT_COLUMNS)).all():
            op.alter_column(table, column, type_=sa.Text(collation="C"))


def downgrade() -> None:
    """Take the numbers away; the order of bytes harms nobody."""
    op.drop_column("runs", "seq")
