"""Doubles of every kind go in by HTTP, through compaction, and come back by each way of reading with all their bits.

`make test` takes two million of them, `make chaos` the ten.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import asyncpg
import httpx
import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from tests.acceptance.lossy_server import TAIL_ROWS
from tests.acceptance.nodes import Cluster, running
from tests.acceptance.server import PATIENCE
from tests.acceptance.streams import Reader

CREATE = "mutation ($name: String!) { createExperiment(input: {name: $name}) { experiment { id } } }"
LOG = "mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { pointCount userErrors { message } } }"
START = "query ($ids: [ID!]!) { feedCursor(objectIds: $ids) }"
COLUMNS = """
query ($id: ID!, $key: String!) {
  node(id: $id) { ... on Entity { metrics(keys: [$key]) { nodes { count columns { steps values } } } } }
}
"""
POINTS = """
query ($id: ID!, $key: String!, $after: Cursor) {
  node(id: $id) {
    ... on Entity {
      metrics(keys: [$key]) {
        nodes { points(first: 1000, after: $after) { nodes { step value } pageInfo { hasNextPage endCursor } } }
      }
    }
  }
}
"""
FOLLOW = """
subscription ($ids: [ID!]!, $keys: [String!], $after: Cursor) {
  feed: metricBatches(objectIds: $ids, keys: $keys, after: $after) {
    cursor catchingUp series { key columns { steps values } }
  }
}
"""
OBJECTS: Final = 4
KEYS: Final = ("train/loss", "train/accuracy", "gradient/norm", "learning rate", "λ")
ROWS: Final = 10_000 // len(KEYS)
EDGES: Final = [
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
    float("inf"),
    float("-inf"),
]
COMPACTED = """
    SELECT coalesce(max(rows) < $1, true) AND EXISTS (SELECT FROM metric_segment)
    FROM (SELECT count(*) AS rows FROM metric_batch GROUP BY tenant_id, owner_id) tails
"""

Floats = NDArray[np.float64]
Answer = dict[str, Any]


@dataclass
class Kept:
    """A series as it was sent. A point without a step has None."""

    steps: list[int | None]
    values: list[Floats]


def drawn(random: np.random.Generator, size: int) -> Floats:
    """Doubles of all bit patterns; of NaN there is only one, for JSON has no more."""
    values = random.integers(0, 2**64, size, np.uint64).view(np.float64)
    tiny = random.integers(0, size, size // 50)
    values[tiny] = (random.integers(0, 2**52, len(tiny), np.uint64)).view(np.float64)
    values[random.integers(0, size, len(EDGES))] = EDGES
    values[np.isnan(values)] = np.nan
    return values


def bits(values: Sequence[Any] | Floats) -> NDArray[np.uint64]:
    """For comparison; words stand for what JSON has no number for."""
    return np.array([float(value) for value in values], np.float64).view(np.uint64)


def column(values: Floats) -> list[Any]:
    """As it is sent."""
    cells: list[Any] = values.tolist()
    for place in np.flatnonzero(~np.isfinite(values)).tolist():
        cells[place] = {np.inf: "Infinity", -np.inf: "-Infinity"}.get(cells[place], "NaN")
    return cells


class Sent:
    """One object, and what was logged on it."""

    def __init__(self, client: httpx.AsyncClient, id_: str, seed: int) -> None:
        self._client = client
        self._random = np.random.default_rng(seed)
        self.id = id_
        self.series = {key: Kept([], []) for key in KEYS}

    async def log(self, calls: int) -> None:
        """Log 10 000 points a call."""
        for number in range(calls):
            steps = [None if gap else number * ROWS + row for row, gap in enumerate(self._random.random(ROWS) < 0.1)]
            table: dict[str, Any] = {"steps": steps, "values": {}}
            for key, kept in self.series.items():
                values = drawn(self._random, ROWS)
                table["values"][key] = column(values)
                kept.steps += steps
                kept.values.append(values)
            input_ = {"objectId": self.id, "columns": table, "writer": "one", "sequence": number}
            payload = (await ask(self._client, LOG, input=input_))["logMetrics"]
            assert payload == {"pointCount": ROWS * len(KEYS), "userErrors": []}

    def check(self, key: str, steps: Sequence[int | None], values: Sequence[Any]) -> None:
        """Raises AssertionError when it is not what was sent."""
        assert steps == self.series[key].steps
        assert np.array_equal(bits(values), np.concatenate(self.series[key].values).view(np.uint64))


async def ask(client: httpx.AsyncClient, query: str, **variables: Any) -> Answer:
    body = orjson.dumps({"query": query, "variables": variables})
    headers = {"Content-Type": "application/json"}
    answer = orjson.loads((await client.post("/graphql", content=body, headers=headers)).content)
    assert "errors" not in answer, answer["errors"]
    data: Answer = answer["data"]
    return data


async def compacted(dsn: str) -> None:
    """Return when no tail is due, and there are segments."""
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(PATIENCE):
            while not await connection.fetchval(COMPACTED, TAIL_ROWS):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.2)
    finally:
        await connection.close()


async def read_columns(client: httpx.AsyncClient, sent: Sent) -> None:
    for key in KEYS:
        (series,) = (await ask(client, COLUMNS, id=sent.id, key=key))["node"]["metrics"]["nodes"]
        assert series["count"] == len(series["columns"]["values"])
        sent.check(key, series["columns"]["steps"], series["columns"]["values"])


async def pages(client: httpx.AsyncClient, sent: Sent, key: str) -> AsyncIterator[list[Answer]]:
    after = None
    while True:
        (series,) = (await ask(client, POINTS, id=sent.id, key=key, after=after))["node"]["metrics"]["nodes"]
        yield series["points"]["nodes"]
        if not series["points"]["pageInfo"]["hasNextPage"]:
            return
        after = series["points"]["pageInfo"]["endCursor"]


async def read_points(client: httpx.AsyncClient, sent: Sent, key: str) -> None:
    found = [point async for page in pages(client, sent, key) for point in page]
    sent.check(key, [point["step"] for point in found], [point["value"] for point in found])


async def read_batches(cluster: Cluster, sent: Sent, keys: Sequence[str], after: str) -> None:
    variables = {"ids": [sent.id], "keys": list(keys)}
    found: dict[str, tuple[list[int | None], list[Any]]] = {key: ([], []) for key in keys}
    reader = Reader(cluster.nodes, Random(1), FOLLOW, variables, after=after)
    async with aclosing(reader.frames()) as frames, asyncio.timeout(PATIENCE):
        async for frame in frames:
            for series in frame["series"]:
                steps, values = found[series["key"]]
                steps += series["columns"]["steps"]
                values += series["columns"]["values"]
            if not frame["catchingUp"]:
                break
    for key, (steps, values) in found.items():
        sent.check(key, steps, values)


async def there_and_back(cluster: Cluster, millions: int) -> None:
    dice = Random(millions)
    (node,) = cluster.nodes
    await node.ready()
    async with httpx.AsyncClient(base_url=f"http://{node.address}", timeout=PATIENCE, trust_env=False) as client:
        made = [await ask(client, CREATE, name=f"run-{number}") for number in range(OBJECTS)]
        ids = [each["createExperiment"]["experiment"]["id"] for each in made]
        start = (await ask(client, START, ids=ids[:1]))["feedCursor"]
        sent = [Sent(client, id_, seed) for seed, id_ in enumerate(ids)]
        await asyncio.gather(*(each.log(millions * 100 // OBJECTS) for each in sent))
        await compacted(cluster.database.address)
        for each in sent:
            await read_columns(client, each)
        await read_points(client, dice.choice(sent), dice.choice(KEYS))
        await read_batches(cluster, sent[0], dice.sample(KEYS, 2), start)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running(tmp_path, [0.0]) as cluster:
        yield cluster


def test_two_million_doubles(cluster: Cluster) -> None:
    asyncio.run(there_and_back(cluster, 2))


@pytest.mark.chaos
def test_ten_million_doubles(cluster: Cluster) -> None:
    asyncio.run(there_and_back(cluster, 10))
