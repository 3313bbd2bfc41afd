"""`modelbox-server` that gives every log call a transaction of its own: what grouping is measured against.

Those transactions run at the same time, as many as the server has connections. 512 writers keep it so busy that it
would refuse some of them; here it lets them wait.
"""

from __future__ import annotations

from app import cli
from db import engine
from db.metrics import lane
from db.metrics.lane import Lane, Waiting

PATIENCE = 60.0


class Alone(Lane):
    """Where no two calls meet: each has a lane."""

    async def run(self, waiting: Waiting) -> str:
        """The answer to a call."""
        return await Lane(self._database, self._tenant_id).run(waiting)


if __name__ == "__main__":
    engine.PATIENCE = PATIENCE  # type: ignore[misc]
    lane.Lane = Alone  # type: ignore[misc]
    cli.main()
