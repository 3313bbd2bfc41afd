"""The server, with a share of the hints between its processes lost, and compaction that is never long in coming.

`LEDGER_LOST=0.2 python -m tests.acceptance.lossy_server serve …`; `LEDGER_LOOK=60` puts so many seconds between two
looks at all heads. What is changed is changed in workers, too: they import the module that began their parent.
"""

from __future__ import annotations

import os
import random
from datetime import timedelta
from typing import Final

from app import cli, main
from db.feed import feed
from db.feed.bus import Bus, Heard
from db.jobs import compaction, queue

LOST: Final = "LEDGER_LOST"
"""The variable that says which share of hints is lost."""

LOOK: Final = "LEDGER_LOOK"
"""The variable that says how often heads are looked at when no hint comes."""

TAIL_ROWS: Final = 8
"""A tail as long as this is compacted."""

CHANGED: Final = (
    (main, {"TICK": 1.0}),
    (compaction, {"ROWS": TAIL_ROWS}),
    (queue, {"LOST": timedelta(seconds=4)}),
    (feed, {"LOOK_INTERVAL": float(os.environ.get(LOOK, "1"))}),
)


class Lossy:
    """A bus that loses hints on their way out."""

    def __init__(self, bus: Bus, lost: float) -> None:
        self._bus = bus
        self._lost = lost

    async def send(self, text: str) -> None:
        """Let others hear it, or not."""
        if random.random() >= self._lost:
            await self._bus.send(text)

    async def hear(self, heard: Heard) -> None:
        """Hear what others send; only that which came through tells of anything."""
        await self._bus.hear(heard)


share = float(os.environ.get(LOST, "0"))
whole = main.bus_of
main.bus_of = lambda settings, database: Lossy(whole(settings, database), share)
for module, values in CHANGED:
    vars(module).update(values)

if __name__ == "__main__":
    cli.main()
