"""The longest texts, the widest moments, the greatest numbers: kept, or refused with a type, and paged over."""

from __future__ import annotations

import random
from typing import Any

import pytest
from graphql import GraphQLNonNull, GraphQLObjectType

from db.read.column import table_column
from graphql_schema.errors import RequestErrors
from graphql_schema.fields import SOURCES, ColumnRead, snake_case
from graphql_schema.schema import graphql_schema, registry
from tests.graph import Graph


def wide(length: int) -> str:
    """Text whose characters take four bytes each, and which compresses badly: indexes keep it whole."""
    return "".join(random.Random(length).choices([chr(0x20000 + n) for n in range(40_000)], k=length))


DAWN, DUSK = "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"

LONGEST: dict[str, tuple[str, str, dict[str, Any]]] = {
    "names": (
        "createExperiment",
        "experiment { id }",
        {
            "name": wide(255),
            "externalId": wide(255),
            "group": wide(255),
            "labels": [f"{number:03}" + wide(252) for number in range(100)],
            "description": wide(65_536),
            "hyperparameters": {wide(250): wide(250), **{str(n): wide(250) for n in range(900)}},
            "startedAt": DAWN,
        },
    ),
    "a dataset": ("createDataset", "dataset { id }", {"name": wide(255), "uri": wide(4_096)}),
    "a path": ("createNamespace", "namespace { id }", {"path": "/".join([wide(24)] * 20)}),
    "a key": ("createModel", "model { id }", {"name": "m", "idempotencyKey": wide(255)}),
    "an account": ("createServiceAccount", "serviceAccount { id }", {"name": wide(255)}),
}
ON_IT: dict[str, tuple[str, dict[str, Any]]] = {
    "events": (
        "logEvents",
        {
            "events": [
                {"name": wide(255), "source": wide(255), "externalId": wide(255)},
                {"name": wide(255), "source": wide(255), "at": DAWN, "endedAt": DUSK},
                {"name": wide(255), "source": wide(255), "at": DUSK, "endedAt": DUSK},
            ]
        },
    ),
    "points": (
        "logMetrics",
        {
            "points": [
                {"key": wide(250), "value": 1.7976931348623157e308, "step": 2**53 - 1, "wallTime": DUSK},
                {"key": wide(250), "value": -1.7976931348623157e308, "step": 1 - 2**53, "wallTime": DAWN},
                {"key": wide(250), "value": 5e-324},
            ]
        },
    ),
    "files": (
        "trackArtifacts",
        {"artifacts": [{"name": wide(255), "files": [{"path": wide(256), "uri": "u" * 4_096}]}]},
    ),
}
SEEN = """
query ($id: ID!) {
  node(id: $id) {
    ... on Experiment {
      startedAt
      eventDurations { totalMs maxMs }
      timeline { edges { cursor node { at endedAt durationMs } } }
      metrics { edges { cursor node { min max mean firstStep lastStep firstAt lastAt } } }
      artifacts { edges { cursor node { files { edges { cursor } } } } }
    }
  }
}
"""
RUN = 'mutation { createExperiment(input: {name: "run"}) { experiment { id } userErrors { message } } }'
BY_TEXT = """
query ($after: Cursor) {
  datasets(orderBy: [{field: DESCRIPTION}, {field: URI}], after: $after, first: 1) {
    nodes { name } pageInfo { endCursor hasNextPage }
  }
}
"""
VERSION = """
mutation ($model: ID!, $version: String) {
  createModelVersion(input: {modelId: $model, version: $version}) { modelVersion { version } userErrors { message } }
}
"""


def document(name: str, payload: str) -> str:
    root = graphql_schema.mutation_type
    assert root is not None
    input_type = root.fields[name].args["input"].type
    return f"mutation ($input: {input_type}) {{ {name}(input: $input) {{ {payload} userErrors {{ code message }} }} }}"


@pytest.mark.parametrize("what", LONGEST)
async def test_the_longest_that_is_allowed_is_stored(graphql: Graph, what: str) -> None:
    name, payload, given = LONGEST[what]
    (found,) = (value for key, value in (await graphql.change(document(name, payload), input=given)).items() if value)
    assert found["id"]


async def test_the_widest_is_stored_and_read(graphql: Graph) -> None:
    run = (await graphql.change(RUN))["experiment"]["id"]
    for name, given in ON_IT.values():
        place = {"events": [{**each, "objectId": run} for each in given.get("events", ())]}
        await graphql.change(
            document(name, "__typename"), input=place if name == "logEvents" else {**given, "objectId": run}
        )
    seen = (await graphql(SEEN, id=run))["node"]
    assert seen["eventDurations"] == [{"totalMs": 315_537_897_600_000, "maxMs": 315_537_897_600_000}]
    (series,) = (edge["node"] for edge in seen["metrics"]["edges"])
    assert (series["firstAt"], series["lastAt"]) == (DAWN, DUSK)
    assert (series["min"], series["max"]) == (-1.7976931348623157e308, 1.7976931348623157e308)
    assert len(seen["artifacts"]["edges"][0]["node"]["files"]["edges"]) == 1


async def test_pages_go_on_behind_the_longest_texts(graphql: Graph) -> None:
    for name in "abc":
        given = {"name": name, "uri": wide(4_096), "description": wide(65_535) + name}
        await graphql.change(document("createDataset", "created"), input=given)
    names, after = [], None
    for _ in range(3):
        page = (await graphql(BY_TEXT, after=after))["datasets"]
        names += [node["name"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert (names, page["pageInfo"]["hasNextPage"]) == (["a", "b", "c"], False)


async def test_automatic_numbers_pass_over_those_that_do_not_count(graphql: Graph) -> None:
    model = (await graphql.change(document("createModel", "model { id }"), input={"name": "m"}))["model"]["id"]
    given = ["999999999999999", None, "1000000000000001", "1000000000000002", None]
    versions = [(await graphql.change(VERSION, model=model, version=each))["modelVersion"]["version"] for each in given]
    assert (versions[1], versions[4]) == ("1000000000000000", "1000000000000003")


@pytest.mark.parametrize("directive", ["include", "skip"])
async def test_a_directive_is_not_told_null(graphql: Graph, directive: str) -> None:
    query = f"query ($x: Boolean = true) {{ models @{directive}(if: $x) {{ totalCount }} }}"
    with pytest.raises(RequestErrors) as refusal:
        await graphql(query, x=None)
    assert refusal.value.errors[0].code == "BAD_USER_INPUT"


def test_what_can_be_null_in_a_table_can_be_null_in_the_schema() -> None:
    """One NULL in a field that may not be null would take the whole object with it."""
    for (type_name, field), read in registry.items():
        type_ = graphql_schema.type_map[type_name]
        if isinstance(read, ColumnRead) and type_name in SOURCES and isinstance(type_, GraphQLObjectType):
            column = table_column(SOURCES[type_name].table, read.name or snake_case(field))
            assert column.nullable != isinstance(type_.fields[field].type, GraphQLNonNull), (type_name, field)
