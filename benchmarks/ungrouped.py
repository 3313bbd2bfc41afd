"""`modelbox-server` that gives every log call a transaction of its own: what grouping is measured against.

Those transactions run at the same time, as many as the server has connections.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app import cli
from db.metrics import lane


class Alone(dict[Any, Any]):
    """The lanes of all databases, none of which a second call finds: each makes its own."""

    def setdefault(self, key: Any, default: Any = None) -> dict[UUID, lane.Lane]:
        """The lanes of a database."""
        del key, default
        return {}


if __name__ == "__main__":
    lane._lanes = Alone()  # type: ignore[assignment]  # noqa: SLF001
    cli.main()
