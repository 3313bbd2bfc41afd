"""Several mutations in a request, of which a later one cannot be run."""

from __future__ import annotations

import pytest

from db import engine
from graphql_schema.errors import RequestErrors
from tests.graph import Graph

TWO = """
mutation {
  first: createModel(input: {name: "first"}) { created }
  second: logMetadata(input: {objectId: "%s", metadata: {a: 1}}) { userErrors { code } }
}
"""
CREATE = 'mutation { createModel(input: {name: "locked"}) { model { id } } }'
NAMES = "{ models { nodes { name } } }"


async def test_the_caller_is_told_what_is_done(graphql: Graph, dsn: str) -> None:
    locked = (await graphql.change(CREATE))["model"]["id"]
    async with graphql.database.transaction() as other:
        await other.execute("SELECT FROM model WHERE name = 'locked' FOR UPDATE")
        slow = await engine.Database.connect(dsn, statement_timeout=0.3)
        with pytest.raises(RequestErrors) as refusal:
            await Graph(slow, graphql.caller)(TWO % locked)
        await slow.close()
    (error,) = refusal.value.errors
    assert (error.code, error.extensions) == ("LIMIT_EXCEEDED", {"done": ["first"]})
    assert [node["name"] for node in (await graphql(NAMES))["models"]["nodes"]] == ["first", "locked"]
