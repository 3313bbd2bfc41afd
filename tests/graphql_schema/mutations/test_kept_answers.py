"""Kept answers have an age, and then an end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from db.jobs import answered
from tests.graph import Graph
from tests.jobs import done

CREATE = """
mutation ($key: String!) {
  createModel(input: {name: "m", idempotencyKey: $key}) { created userErrors { message } }
}
"""


async def test_only_old_answers_are_forgotten(graphql: Graph) -> None:
    for key in ("old", "new"):
        await graphql.change(CREATE, key=key)
    now = datetime.now(UTC)
    async with graphql.database.connection() as connection:
        age = "UPDATE idempotency_record SET created_at = $1 WHERE key = 'old'"
        await connection.execute(age, now - answered.KEPT - timedelta(seconds=1))
        assert await done(answered.find, answered.forget, graphql.database, now) == 1
        assert await done(answered.find, answered.forget, graphql.database, now) == 0
        assert await connection.fetchval("SELECT key FROM idempotency_record") == "new"
    # The answer is gone, so it is done anew: the model is there already.
    assert (await graphql.change(CREATE, key="old"))["created"] is False
    assert (await graphql.change(CREATE, key="new"))["created"] is False
