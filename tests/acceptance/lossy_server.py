"""The server, with a share of the hints between processes lost: `-m tests.acceptance.lossy_server 0.2 serve …`."""

from __future__ import annotations

import random
import sys

from app import cli, main
from db.feed.bus import Bus, Heard


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


if __name__ == "__main__":
    share = float(sys.argv.pop(1))
    whole = main.bus_of
    main.bus_of = lambda settings, database: Lossy(whole(settings, database), share)
    cli.main()
