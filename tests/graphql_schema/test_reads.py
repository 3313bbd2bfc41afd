"""Reads over rows that were written by mutations: counts, cursors while rows come and go, and the ends of time."""

from __future__ import annotations

from db.engine import Database
from tests.graph import Graph

MODEL = "mutation ($name: String!) { createModel(input: {name: $name}) { model { id } } }"
DELETE = "mutation ($id: ID!) { deleteModel(input: {id: $id}) { deletedId } }"
SERIES = """
    INSERT INTO series (tenant_id, owner_id, key, leg, namespace_id, kind, count, updated_at, id)
    SELECT tenant_id, id, 'loss ' || number, 0, namespace_id, 'FLOAT', 0, now(), number
    FROM object, generate_series($1::int, $2::int) number WHERE kind = 'MODEL'
"""


async def count(graphql: Graph) -> int | None:
    data = await graphql("{ models { nodes { metrics(first: 1) { totalCount } } } }")
    found: int | None = data["models"]["nodes"][0]["metrics"]["totalCount"]
    return found


async def test_counts_are_exact_up_to_ten_thousand(graphql: Graph, dsn: str) -> None:
    await graphql.change(MODEL, name="digits")
    owner = await Database.connect(dsn)
    async with owner.connection() as connection:
        await connection.execute(SERIES, 1, 10_000)
        exact = await count(graphql)
        await connection.execute(SERIES, 0, 0)
    await owner.close()
    assert (exact, await count(graphql)) == (10_000, None)


async def test_a_cursor_outlives_its_row_and_meets_no_newcomer(graphql: Graph) -> None:
    query = "query ($after: Cursor) { models(first: 2, after: $after) { nodes { name } pageInfo { endCursor } } }"
    models = {name: (await graphql.change(MODEL, name=name))["model"]["id"] for name in "abcd"}
    first = (await graphql(query))["models"]
    assert [node["name"] for node in first["nodes"]] == ["d", "c"]

    await graphql.change(DELETE, id=models["c"])
    await graphql.change(MODEL, name="e")

    second = (await graphql(query, after=first["pageInfo"]["endCursor"]))["models"]
    assert [node["name"] for node in second["nodes"]] == ["b", "a"]


async def test_the_first_and_the_last_moment_are_kept(graphql: Graph) -> None:
    """asyncpg by itself makes infinity of them, which reads back as NULL and swallows the whole response."""
    mutation = """
        mutation ($model: ID!, $first: DateTime!, $last: DateTime!) {
          logEvents(input: {events: [{objectId: $model, name: "eternity", at: $first, endedAt: $last}]}) {
            userErrors { message }
          }
        }
    """
    query = """
        query ($first: DateTime!, $last: DateTime!) {
          events(filter: {at: {eq: $first}, endedAt: {gte: $last}}) { nodes { at endedAt durationMs } }
        }
    """
    model = (await graphql.change(MODEL, name="digits"))["model"]["id"]
    first, last = "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"
    await graphql.change(mutation, model=model, first=first, last=last)
    data = await graphql(query, first=first, last=last)
    assert data["events"]["nodes"] == [{"at": first, "endedAt": last, "durationMs": 315537897599999.999}]
