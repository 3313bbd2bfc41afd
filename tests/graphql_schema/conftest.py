"""The graph over a database of the test's own, as the local admin meets it, and others who meet less of it."""

from __future__ import annotations

import pytest

from db.access import local_caller
from db.engine import Database
from tests.graph import Callers, Graph


@pytest.fixture
async def graphql(database: Database) -> Graph:
    """`await graphql(query, **variables)` is the response's data; `.change` and `.refused` look into a payload."""
    return Graph(database, await local_caller(database))


@pytest.fixture
def caller_with(graphql: Graph) -> Callers:
    """`await caller_with("READER", "vision")` is a new user; `graphql.by(user)` acts as them."""
    return Callers(graphql)
