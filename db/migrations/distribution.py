"""Where tables live when the server is Citus; on a plain PostgreSQL there is nothing to do."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy import Connection

CITUS = sa.text("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')")
# Foreign keys to reference tables forbid the default, which works on many shards at once.
ONE_BY_ONE = sa.text("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
REFERENCE = sa.text("SELECT create_reference_table(CAST(:name AS regclass))")
DISTRIBUTED = sa.text("SELECT create_distributed_table(CAST(:name AS regclass), 'tenant_id')")


def distribute(connection: Connection, *, everywhere: Iterable[str], by_tenant: Iterable[str]) -> None:
    """Place new tables: a copy on every node, or each tenant's rows on one shard.

    Call it after the tables and before their foreign keys: Citus checks a foreign key against the
    places of both its tables.
    """
    if not connection.scalar(CITUS):
        return
    connection.execute(ONE_BY_ONE)
    for name in everywhere:
        connection.execute(REFERENCE, {"name": name})
    for name in by_tenant:
        connection.execute(DISTRIBUTED, {"name": name})
