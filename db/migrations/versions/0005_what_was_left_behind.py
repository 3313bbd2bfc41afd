"""Checkpoints know the leg that they were saved on; resumptions have a place in the stream of the points.

Of resumptions from before nobody knows their place: no follower is told of them, as none was.
"""

from __future__ import annotations

from alembic import op

from db.migrations.steps import big, integer

revision = "0005"
down_revision = "0004"

PLACE = """
    UPDATE checkpoint c SET leg = (
        SELECT coalesce(max(l.number), 0) FROM leg l
        WHERE l.tenant_id = c.tenant_id AND l.experiment_id = c.experiment_id AND l.started_at <= c.created_at
    ) WHERE EXISTS (SELECT FROM leg l WHERE l.tenant_id = c.tenant_id AND l.experiment_id = c.experiment_id)
"""


def upgrade() -> None:
    op.add_column("checkpoint", *integer("leg", default=0))
    op.add_column("leg", *big("seq?"))
    op.execute(PLACE)
