"""`modelbox-server` that gives every log call a transaction of its own: what grouping is measured against.

Those transactions run at the same time, as many as the server has connections. 512 writers keep it so busy that it
would refuse some of them; here it lets them wait.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app import cli
from db import engine
from db.metrics import lane

PATIENCE = 60.0


class Alone(dict[Any, Any]):
    """The lanes of all databases, none of which a second call finds: each makes its own."""

    def setdefault(self, key: Any, default: Any = None) -> dict[UUID, lane.Lane]:
        """The lanes of a database."""
        del key, default
        return {}


if __name__ == "__main__":
    engine.PATIENCE = PATIENCE  # type: ignore[misc]
    lane._lanes = Alone()  # type: ignore[assignment]
    cli.main()
