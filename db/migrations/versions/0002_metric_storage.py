"""Metrics in a tail of batches and in segments, in the place of a row for each point.

The points that are there move into the tail, as if they had been logged just now in calls of ten thousand; who
logged them was not kept before.
"""

from __future__ import annotations

from alembic import op

from db.migrations import point_rows
from db.migrations.distribution import distribute
from db.migrations.steps import big, blob, create, index, instant, integer, ranges, text, uuid

revision = "0002"
down_revision = "0001"

EVERYWHERE = ()
BY_TENANT = ("metric_batch", "metric_segment", "opaque_point", "metric_writer", "metric_author")
DROPPED = ("point",)

OWNER = ("tenant_id", "owner_id")


def upgrade() -> None:
    create_tail()
    create_segments()
    create_opaque_points()
    create_writers()
    distribute(op.get_bind(), everywhere=EVERYWHERE, by_tenant=BY_TENANT)
    op.add_column("namespace", *integer("raw_metric_days?"))
    op.add_column("series", *big("id?"))
    point_rows.move(op.get_bind())
    op.alter_column("series", "id", nullable=False)
    op.drop_column("series", "sum")
    op.drop_table("point")


def create_tail() -> None:
    create(
        "metric_batch",
        *uuid(*OWNER),
        *big("seq"),
        *integer("leg", default=0),
        *instant("recorded_at"),
        *uuid("actor_id?"),
        *integer("point_count"),
        *blob("data"),
        key=[*OWNER, "seq"],
    )
    # Doubles do not shrink by PostgreSQL's compression: trying would cost more than storing them.
    op.execute("ALTER TABLE metric_batch ALTER COLUMN data SET STORAGE EXTERNAL")


def create_segments() -> None:
    create(
        "metric_segment",
        *uuid(*OWNER),
        *big("series_id", "position"),
        *integer("leg", default=0),
        *integer("count"),
        *big("first_seq", "last_seq", "min_step?", "max_step?", "min_time?", "max_time?"),
        *instant("recorded_until"),
        *blob("summary", "parts", "data?"),
        key=[*OWNER, "series_id", "position"],
    )
    index("metric_segment_seq", "metric_segment", "owner_id", "last_seq")
    index("metric_segment_raw", "metric_segment", "owner_id", "recorded_until", where="data IS NOT NULL")
    op.execute("ALTER TABLE metric_segment ALTER COLUMN data SET STORAGE EXTERNAL")


def create_opaque_points() -> None:
    create(
        "opaque_point",
        *uuid(*OWNER),
        *big("series_id", "position"),
        *integer("leg", default=0),
        *big("seq", "step?"),
        *instant("wall_time?"),
        *text("string?"),
        *blob("binary?"),
        key=[*OWNER, "series_id", "position"],
    )
    index("opaque_point_seq", "opaque_point", "owner_id", "seq")


def create_writers() -> None:
    create("metric_writer", *uuid(*OWNER), *text("writer"), *ranges("applied", "fresh"), key=[*OWNER, "writer"])
    create(
        "metric_author",
        *uuid(*OWNER, "actor_id"),
        *ranges("applied"),
        *instant("first_at", "last_at"),
        key=[*OWNER, "actor_id"],
    )
