"""How Alembic reaches the database: over the connection, and in the transaction, of `db.migrate`."""

from __future__ import annotations

from alembic import context

import db.tables  # noqa: F401 - its import declares the tables in the metadata
from db.tables.row import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
