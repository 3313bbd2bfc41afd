"""Eight writers whose batches come twice, late, out of order, in overlapping calls, or whose callers have left:
what is stored is what a plain model says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.access import Caller, Role, local_caller
from db.engine import Database
from db.identifiers import new_id
from db.metrics import compact, lane
from db.metrics.batch import Point
from db.transaction import Call, run
from db.verbs import metrics
from tests.metric_model import stored

WRITERS = 8
OWNERS = 3
BATCHES = 6

NEW_OBJECT = """
    INSERT INTO object (tenant_id, id, kind, namespace_id, container_ids, name)
    VALUES ($1, $2, 'MODEL', $3, '{}', 'm')
"""
NEW_HOME = """
    INSERT INTO object (tenant_id, id, kind, namespace_id, container_ids, name)
    VALUES ($1, $2, 'NAMESPACE', $2, '{}', 'n')
"""
NEW_NAMESPACE = """
    INSERT INTO namespace (tenant_id, id, namespace_id, created_at, created_by, updated_at, root_id, name, path,
        lineage, visible)
    VALUES ($1, $2, $2, now(), $3, now(), $2, 'n', 'n', ARRAY[$2::uuid], true)
"""


@dataclass(frozen=True)
class Delivery:
    """A writer's batch, sent for some of the objects that it belongs to; `leaves`: the caller does not wait."""

    writer: int
    sequence: int
    owners: tuple[int, ...]
    leaves: bool


@st.composite
def schedules(draw: st.DrawFn) -> list[list[Delivery]]:
    """Rounds of deliveries that are sent at the same moment."""
    delivery = st.builds(
        Delivery,
        st.integers(0, WRITERS - 1),
        st.integers(0, BATCHES - 1),
        st.lists(st.integers(0, OWNERS - 1), min_size=1, max_size=OWNERS, unique=True).map(tuple),
        st.sampled_from([False, False, False, True]),
    )
    return draw(st.lists(st.lists(delivery, min_size=1, max_size=12), min_size=1, max_size=5))


def points_of(writer: int, sequence: int) -> list[Point]:
    """Values that say whose they are and which; as many as the batch's number plus one."""
    return [
        Point(key=f"k{n % 2}", step=n, value=float(writer * 10_000 + sequence * 100 + n)) for n in range(sequence + 1)
    ]


@dataclass
class World:
    """Objects of one example."""

    database: Database
    caller: Caller
    numbers: Any

    async def owners(self) -> list[str]:
        found = []
        async with self.database.transaction() as connection:
            home = await connection.fetchval("SELECT id FROM namespace WHERE path = 'n'")
            for _ in range(OWNERS):
                owner = new_id()
                await connection.execute(NEW_OBJECT, self.caller.tenant_id, owner, home)
                found.append(f"mod_{owner.hex}")
        return found

    async def deliver(self, owners: list[str], delivery: Delivery) -> int | None:
        """How many points the call says that it stored; None when its caller did not wait."""
        points = points_of(delivery.writer, delivery.sequence)
        arguments = {
            "batches": [{"object_id": owners[owner], "points": points} for owner in delivery.owners],
            "writer": f"w{delivery.writer}",
            "sequence": delivery.sequence,
        }
        call = Call("logMetrics", metrics.log, arguments, Role.WRITER, None, lane.log)
        work = asyncio.create_task(run(self.database, self.caller, "test", call, _answer))
        if delivery.leaves:
            await asyncio.sleep(0)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            return None
        return int(orjson.loads(await work))


def _answer(result: dict[str, Any]) -> str:
    return str(result["pointCount"])


@pytest.fixture
async def world(database: Database) -> World:
    caller = await local_caller(database)
    home = new_id()
    async with database.transaction() as connection:
        await connection.execute(NEW_HOME, caller.tenant_id, home)
        await connection.execute(NEW_NAMESPACE, caller.tenant_id, home, caller.actor_id)
    return World(database, caller, count())


@given(schedules(), st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_what_is_stored_is_what_the_model_says(world: World, schedule: list[list[Delivery]], tidy: bool) -> None:
    owners = await world.owners()
    counted = 0
    maybe: set[tuple[int, int, int]] = set()  # whose caller left: it may have come through, or not
    model: set[tuple[int, int, int]] = set()
    for round_ in schedule:
        counts = await asyncio.gather(*(world.deliver(owners, delivery) for delivery in round_))
        counted += sum(found for found in counts if found is not None)
        for delivery in round_:
            names = {(owner, delivery.writer, delivery.sequence) for owner in delivery.owners}
            (maybe if delivery.leaves else model).update(names)
        if tidy:
            await compact_all(world)
    # A retry at the end settles what became of those: after it, every one is there once.
    for owner, writer, sequence in sorted(maybe - model):
        await world.deliver(owners, Delivery(writer, sequence, (owner,), leaves=False))
    assert await found_in(world, owners) == model | maybe
    assert counted <= sum(sequence + 1 for _, _, sequence in model | maybe)


async def compact_all(world: World) -> None:
    async with world.database.connection() as connection:
        owners = await connection.fetch("SELECT DISTINCT owner_id FROM metric_batch")
    for row in owners:
        await compact.compact(world.database, world.caller.tenant_id, row["owner_id"])


async def found_in(world: World, owners: list[str]) -> set[tuple[int, int, int]]:
    """The batches that are stored; each once, whole, and with its points side by side and in order."""
    found: set[tuple[int, int, int]] = set()
    for number, owner in enumerate(owners):
        series = await stored(world.database, owner.partition("_")[2])
        whole: dict[tuple[int, int], list[int]] = {}
        for key, points in series.items():
            values = [int(point.number or 0) for point in points]
            starts = [n for n, value in enumerate(values) if n == 0 or value // 100 != values[n - 1] // 100]
            for batch in np.split(np.array(values), starts[1:]):
                name = divmod(int(batch[0]) // 100, 100)
                assert batch.tolist() == sorted(batch.tolist())
                assert all(value % 2 == int(key[1:]) for value in batch.tolist())
                whole.setdefault(name, []).extend(value % 100 for value in batch.tolist())
        for (writer, sequence), parts in whole.items():
            assert sorted(parts) == list(range(sequence + 1)), (writer, sequence)
            found.add((number, writer, sequence))
    return found
