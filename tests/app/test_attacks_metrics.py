"""Attacks on logging and on reading metrics, as they come over the wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app import main
from app.settings import Settings
from db.engine import Database

LOG = "mutation ($i: LogMetricsInput!) { logMetrics(input: $i) { pointCount userErrors { code message path } } }"
BEGIN = "mutation { createExperiment(input: {}) { experiment { id } } }"


@pytest.fixture
async def client(kept_database: Database) -> AsyncIterator[httpx.AsyncClient]:
    app = main.create_app(Settings(), kept_database)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        yield client


@pytest.fixture
async def run(client: httpx.AsyncClient) -> str:
    answer = await client.post("/graphql", json={"query": BEGIN})
    id_: str = answer.json()["data"]["createExperiment"]["experiment"]["id"]
    return id_


SLOWLY = r', "writer": "\\u0000", "sequence": 0'
"""What looks like a NUL leads past the decoder that knows the types."""


async def log(client: httpx.AsyncClient, id_: str, columns: str, more: str = "") -> Any:
    """The answer to columns that are sent as they are written here."""
    given = f'{{"i": {{"objectId": "{id_}", "columns": {columns}{more}}}}}'
    body = f'{{"query": {json.dumps(LOG)}, "variables": {given}}}'
    answer = await client.post("/graphql", content=body, headers={"Content-Type": "application/json"})
    assert len(answer.content) < 4_096
    return answer.json()


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 310 + ".5", "9" * 5_000])
@pytest.mark.parametrize("key", ["loss", r"lo\u0073s"])
async def test_no_number_beyond_a_double_becomes_infinite(
    client: httpx.AsyncClient, run: str, number: str, key: str
) -> None:
    """An escape anywhere in the body leads to another decoder: it refuses the same."""
    answer = await log(client, run, f'{{"values": {{"{key}": [{number}]}}}}')

    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_REQUEST"]


@pytest.mark.parametrize(
    ("columns", "place"),
    [
        ('{"values": {"k": [%s]}}' % ("9" * 400), "values.k.0"),
        ('{"values": {"k": [true]}}', "values.k.0"),
        ('{"values": {"k": [1, "nan"]}}', "values.k.1"),
        ('{"values": {"k": [[1]]}}', "values.k.0"),
        ('{"steps": [9007199254740992], "values": {"k": [1]}}', "steps.0"),
        ('{"steps": [%s], "values": {"k": [1]}}' % ("9" * 400), "steps.0"),
        ('{"steps": [1.0], "values": {"k": [1]}}', "steps.0"),
        ('{"steps": [false], "values": {"k": [1]}}', "steps.0"),
        ('{"wallTimes": ["1"], "values": {"k": [1]}}', "wallTimes.0"),
        ('{"steps": [1, 2], "values": {"k": [1]}}', "steps"),
        ('{"values": {"k": [1], "l": [1, 2]}}', "values.l"),
        ('{"values": {"k": [1]}, "strings": {"k": ["x"]}}', "strings.k"),
        ('{"bytes": {"k": ["AB=="]}}', "bytes.k.0"),
        (r'{"values": {"a\nb": [1]}}', "values.a\nb"),
    ],
)
@pytest.mark.parametrize("more", ["", SLOWLY])
async def test_bad_cells_are_named_by_whichever_decoder_reads_them(
    client: httpx.AsyncClient, run: str, columns: str, place: str, more: str
) -> None:
    answer = await log(client, run, columns, more)

    (error,) = answer["data"]["logMetrics"]["userErrors"]
    assert (error["code"], ".".join(error["path"][2:])) == ("INVALID", place)


@pytest.mark.parametrize("more", ["", SLOWLY])
async def test_the_last_of_two_columns_of_one_key_counts(client: httpx.AsyncClient, run: str, more: str) -> None:
    for number, (sent, count) in enumerate(
        (
            ('{"values": {"k": [1], "k": [2, 3]}}', 2),
            ('{"values": {"k": ["x"], "k": [2, 3]}}', 2),
            (r'{"values": {"k": ["x"], "\u006b": [2, 3, 4]}}', 3),
            ('{"values": {"k": [1]}, "values": {"l": [1, 2]}}', 2),
        )
    ):
        assert (await log(client, run, sent, more.replace(": 0", f": {number}")))["data"]["logMetrics"] == {
            "pointCount": count,
            "userErrors": [],
        }


@pytest.mark.parametrize("rows", ["[]", "[1]", "[null]"])
async def test_half_a_million_keys_are_counted_and_not_looked_at(
    client: httpx.AsyncClient, run: str, rows: str
) -> None:
    """None of them is even made into a path for a refusal."""
    columns = ", ".join(f'"bad\\u0007{number}": {rows}' for number in range(2_000))

    answer = await log(client, run, f'{{"values": {{{columns}}}}}')

    (error,) = answer["data"]["logMetrics"]["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID", ["input", "columns"])
    assert "2000 keys" in error["message"]


async def test_what_stands_behind_too_many_points_is_not_read(client: httpx.AsyncClient, run: str) -> None:
    many = {"objectId": run, "columns": {"values": {"k": [1.0] * 10_001}}}
    bad = {"objectId": run.replace("exp_", "mod_"), "columns": {"values": {"k": ["bad"]}}}

    answer = await client.post("/graphql", json={"query": LOG, "variables": {"i": {"batches": [many, bad]}}})

    (error,) = answer.json()["data"]["logMetrics"]["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID", ["input", "batches"])
    assert "10001 points" in error["message"]
