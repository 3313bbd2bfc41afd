"""The metrics of one experiment on their way: columns, a few steps in a call."""

from __future__ import annotations

import time
from typing import Any

from demo import mutations
from demo.connection import Connection

STEPS_A_CALL = 4


class MetricWriter:
    """Collects a few steps and sends them. The writer's name and the call's number make a retry safe, for ever."""

    def __init__(self, server: Connection, object_id: str, name: str) -> None:
        self._server = server
        self._object_id = object_id
        self._name = name
        self._sequence = 0
        self._rows: list[tuple[int, int, dict[str, float]]] = []

    def add(self, step: int, values: dict[str, float]) -> None:
        """Note what was measured at a step."""
        self._rows.append((step, time.time_ns() // 1_000, values))
        if len(self._rows) >= STEPS_A_CALL:
            self.flush()

    def flush(self) -> None:
        """Send what was noted."""
        if not self._rows:
            return
        call = {"objectId": self._object_id, "writer": self._name, "sequence": self._sequence}
        self._server.change(mutations.LOG_METRICS, {**call, "columns": _table(self._rows)})
        self._sequence += 1
        self._rows = []


def _table(rows: list[tuple[int, int, dict[str, float]]]) -> dict[str, Any]:
    """Rows as columns; null where a step has no value of a key."""
    steps, times, values = zip(*rows, strict=True)
    keys = dict.fromkeys(key for row in values for key in row)
    return {"steps": steps, "wallTimes": times, "values": {key: [row.get(key) for row in values] for key in keys}}
