"""Two mutations at the same time, in the one order that would hurt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from db.access import Role
from db.identifiers import parse_id
from db.transaction import Transaction
from db.verbs import namespaces
from tests.graph import Graph

NAMESPACE = """
mutation ($path: String!) {
  createNamespace(input: {path: $path}) { created namespace { id path } userErrors { message } }
}
"""
EXPERIMENT = """
mutation { createExperiment(input: {namespace: "lab", name: "run"}) { experiment { id } userErrors { message } } }
"""
EVENT = """
mutation ($id: ID!) {
  logEvents(input: {events: [{objectId: $id, name: "saved", source: "trainer"}]}) { created userErrors { message } }
}
"""
PATHS = """
    SELECT n.path, above.path AS above, n.visible,
        NOT EXISTS (SELECT FROM namespace a WHERE a.id = ANY(n.lineage) AND a.deleted_at IS NOT NULL) AS in_sight
    FROM namespace n JOIN namespace above ON above.id = n.parent_id
"""
WAITING = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"


@asynccontextmanager
async def uncommitted(graph: Graph) -> AsyncIterator[Transaction]:
    """A transaction that is committed when the block ends."""
    async with graph.database.transaction() as connection:
        tx = Transaction(connection, graph.caller, Role.ADMIN, "test-request")
        yield tx
        await tx.settle()


async def until_waiting(graph: Graph, task: asyncio.Task[Any]) -> None:
    """Until the task waits for a lock, or has not needed one."""
    async with asyncio.timeout(5), graph.database.connection() as connection:
        while not task.done() and not await connection.fetchval(WAITING):
            await asyncio.wait({task}, timeout=0.01)


async def require_paths(graph: Graph) -> None:
    async with graph.database.connection() as connection:
        for row in await connection.fetch(PATHS):
            assert row["path"].startswith(f"{row['above']}/")
            assert row["visible"] == row["in_sight"], row["path"]


@pytest.mark.parametrize("what", ["delete", "rename"])
async def test_a_child_named_while_its_parent_goes_is_not_left_behind(graphql: Graph, what: str) -> None:
    parent = (await graphql.change(NAMESPACE, path="lab"))["namespace"]["id"]
    async with uncommitted(graphql) as tx:
        if what == "delete":
            await namespaces.delete(tx, id=parent)
        else:
            await namespaces.update(tx, id=parent, patch={"name": "labs"})
        child = asyncio.create_task(graphql.change(NAMESPACE, path="lab/new"))
        await until_waiting(graphql, child)
    made = await child
    assert made["namespace"]["path"] == "lab/new"
    await require_paths(graphql)


async def test_events_take_their_numbers_last(graphql: Graph) -> None:
    """Whoever else notes the experiment's life and then takes a number must not meet them crosswise."""
    experiment = (await graphql.change(EXPERIMENT))["experiment"]["id"]
    async with graphql.database.connection() as connection:
        await connection.execute("UPDATE heartbeat SET at = at - interval '1 minute'")
    async with uncommitted(graphql) as tx:
        await tx.execute(
            "UPDATE heartbeat SET at = at WHERE tenant_id = $1 AND experiment_id = $2", parse_id(experiment, ("exp",))
        )
        event = asyncio.create_task(graphql.change(EVENT, id=experiment))
        await until_waiting(graphql, event)
        async with asyncio.timeout(0.5):  # PostgreSQL looks for deadlocks after a second
            await tx.execute("UPDATE stream_head SET seq = seq WHERE tenant_id = $1")
    assert (await event)["created"] == [True]
