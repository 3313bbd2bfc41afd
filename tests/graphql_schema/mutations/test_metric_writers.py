"""Eight writers at once: no point is lost or doubled, and the figures are those of all points."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.graph import Graph
from tests.metric_model import bits, defined, stored

CREATE = 'mutation { createModel(input: {name: "m"}) { model { id } userErrors { message } } }'
CREATE_EXPERIMENT = """
    mutation ($name: String!) { createExperiment(input: {name: $name}) { experiment { id } userErrors { message } } }
"""
LOG = """
    mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { pointCount userErrors { message } } }
"""
FINISH = """
    mutation ($id: ID!) {
      finishExperiment(input: {id: $id, status: FAILED}) { experiment { status } userErrors { message } }
    }
"""
SERIES = """
    query ($id: ID!) {
      node(id: $id) {
        ... on Entity {
          metrics(first: 100) {
            nodes {
              key count nonFiniteCount first last min minStep max maxStep mean firstStep lastStep firstAt lastAt
              points(first: 1) { nodes { position } }
            }
          }
        }
      }
    }
"""
SPOKEN = {float("inf"): "Infinity", float("-inf"): "-Infinity"}
START = datetime(2026, 3, 1, tzinfo=UTC)


def some_points(dice: random.Random, keys: list[str], writer: int) -> list[dict[str, Any]]:
    values = [0.0, -0.0, "NaN", "Infinity", "-Infinity", 5e-324, 1e308, dice.random(), dice.gauss(0, 1e6)]
    return [
        {
            "key": dice.choice([*keys, f"own/{writer}"]),
            "step": dice.choice([None, dice.randrange(-5, 50)]),
            "wallTime": dice.choice([None, (START + timedelta(seconds=dice.randrange(1000))).isoformat()]),
            "value": dice.choice(values),
        }
        for _ in range(dice.randrange(1, 60))
    ]


def shown(value: Any) -> float | None:
    return None if value is None else float(value)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_eight_writers_of_the_same_and_of_different_series(graphql: Graph, seed: int) -> None:
    dice = random.Random(seed)
    id_ = (await graphql.change(CREATE))["model"]["id"]
    keys = [f"shared/{n}" for n in range(6)]
    calls = [[some_points(dice, keys, writer) for _ in range(6)] for writer in range(8)]

    async def write(writer: int) -> int:
        answers = [await graphql.change(LOG, input={"objectId": id_, "points": points}) for points in calls[writer]]
        return sum(answer["pointCount"] for answer in answers)

    counts = await asyncio.gather(*(write(writer) for writer in range(8)))
    points = await stored(graphql.database, id_[4:])
    sent = [point for batches in calls for batch in batches for point in batch]
    assert sum(counts) == sum(map(len, points.values())) == len(sent)
    for series in (await graphql(SERIES, id=id_))["node"]["metrics"]["nodes"]:
        expected = defined(points.pop(series["key"]))
        assert series["count"] == expected.count
        assert series["nonFiniteCount"] == expected.non_finite_count
        steps = [series[name] for name in ("firstStep", "lastStep", "minStep", "maxStep")]
        assert steps == [expected.first_step, expected.last_step, expected.min_step, expected.max_step]
        values = [bits(shown(series[name])) for name in ("first", "last", "min", "max")]
        assert values == [bits(value) for value in (expected.first, expected.last, expected.min, expected.max)]
        assert shown(series["mean"]) == pytest.approx(expected.mean, rel=1e-12)
        for name, moment in (("firstAt", expected.first_at), ("lastAt", expected.last_at)):
            assert series[name] == (moment and f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z")
    assert not points


async def test_each_writer_finds_its_points_in_the_order_it_sent_them(graphql: Graph) -> None:
    id_ = (await graphql.change(CREATE))["model"]["id"]

    async def write(writer: int) -> None:
        for call in range(5):
            points = [{"key": "k", "step": writer, "value": call * 20 + n} for n in range(20)]
            await graphql.change(LOG, input={"objectId": id_, "points": points})

    await asyncio.gather(*(write(writer) for writer in range(8)))
    points = (await stored(graphql.database, id_[4:]))["k"]
    for writer in range(8):
        assert [point.number for point in points if point.step == writer] == list(range(100))


async def test_writers_of_many_experiments_do_not_meet(graphql: Graph) -> None:
    made = [await graphql.change(CREATE_EXPERIMENT, name=f"e{n}") for n in range(8)]
    ids = [answer["experiment"]["id"] for answer in made]
    points = [{"key": f"k{n}", "step": n, "value": n} for n in range(50)]
    inputs = [{"objectId": id_, "points": points} for id_ in ids for _ in range(5)]
    answers = await asyncio.gather(*(graphql.change(LOG, input=each) for each in inputs))
    assert [answer["pointCount"] for answer in answers] == [50] * 40
    for id_ in ids:
        nodes = (await graphql(SERIES, id=id_))["node"]["metrics"]["nodes"]
        assert [node["count"] for node in nodes] == [5] * 50


async def test_a_point_is_a_sign_of_life(graphql: Graph) -> None:
    id_ = (await graphql.change(CREATE_EXPERIMENT, name="e"))["experiment"]["id"]
    long_ago = "UPDATE heartbeat SET at = at - interval '1 day'"
    stalled = "UPDATE experiment SET status = 'STALLED'"
    async with graphql.database.connection() as connection:
        await connection.execute(long_ago)
        await connection.execute(stalled)
    log = f"""mutation {{
        logMetrics(input: {{objectId: "{id_}", points: [{{key: "k", value: 1}}]}}) {{
            object {{ ... on Experiment {{ status heartbeatAt updatedAt }} }}
            userErrors {{ message }}
        }}
    }}"""
    experiment = (await graphql.change(log))["object"]
    assert experiment["status"] == "RUNNING"
    assert experiment["heartbeatAt"] >= experiment["updatedAt"]


async def test_a_finished_experiment_still_takes_points(graphql: Graph) -> None:
    id_ = (await graphql.change(CREATE_EXPERIMENT, name="e"))["experiment"]["id"]
    await graphql.change(FINISH, id=id_)
    answer = await graphql.change(LOG, input={"objectId": id_, "points": [{"key": "k", "value": 1}]})
    assert answer["pointCount"] == 1
    assert (await graphql(f'{{ experiment(by: {{id: "{id_}"}}) {{ status }} }}'))["experiment"]["status"] == "FAILED"
