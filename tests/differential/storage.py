"""Points as rows of the metric storage: calls in the tail, and the points of strings and bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import numpy as np

from db.metrics import tail
from db.metrics.columns import NONE, Columns

Row = dict[str, Any]

CALLS = 3
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stored(series: Sequence[Row], points: Mapping[int, Sequence[Row]], random: Random) -> Iterator[tuple[str, Row]]:
    """Rows of one object's storage, by table: its points as some calls may have brought them."""
    seq = 0
    for leg in sorted({one["leg"] for one in series}):
        ends = {one["id"]: _ends(len(points[one["id"]]), random) for one in series if one["leg"] == leg}
        for call in range(CALLS):
            seq += 1
            arrived = {id_: points[id_][found[call] : found[call + 1]] for id_, found in ends.items()}
            yield from _call([one for one in series if arrived.get(one["id"])], arrived, leg, seq)


def _ends(count: int, random: Random) -> list[int]:
    """How many points of a series there are after each call."""
    return [0, *sorted(random.randint(0, count) for _ in range(CALLS - 1)), count]


def _call(series: Sequence[Row], arrived: Mapping[int, Sequence[Row]], leg: int, seq: int) -> Iterator[tuple[str, Row]]:
    if not series:
        return
    owner = {"owner_id": series[0]["owner_id"], "leg": leg, "seq": seq}
    floats = [one["id"] for one in series if one["kind"] == "FLOAT"]
    points = [point for id_ in floats for point in arrived[id_]]
    counts = np.array([len(arrived[id_]) for id_ in floats], np.int64)
    yield (
        "metric_batch",
        {
            **owner,
            "recorded_at": EPOCH,
            "actor_id": UUID(int=0),
            "point_count": sum(map(len, arrived.values())),
            "data": tail.encode(np.array(floats, np.int64), counts, columns(points)),
        },
    )
    for one in series:
        if one["kind"] != "FLOAT":
            for point in arrived[one["id"]]:
                kept = {name: point[name] for name in ("position", "step", "wall_time", "string", "binary")}
                yield "opaque_point", {**owner, "series_id": one["id"], **kept}


def columns(points: Sequence[Row]) -> Columns:
    """Points in memory, as the server has them."""
    return Columns(
        np.array([NONE if point["step"] is None else point["step"] for point in points], np.int64),
        np.array(
            [NONE if point["wall_time"] is None else microseconds(point["wall_time"]) for point in points], np.int64
        ),
        np.array([point["number"] for point in points], np.float64),
    )


def microseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)
