"""Alembic's entry: migrates over the connection the ledger hands in, in its transaction."""

from __future__ import annotations

from alembic import context

from gpa_agent.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
