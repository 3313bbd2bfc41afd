"""${message}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    # Tables first, then distribution.distribute for them, then their foreign keys.
    ${upgrades if upgrades else "pass"}
