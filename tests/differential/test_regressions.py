"""Documents that once differed, and the ends of what values can be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from graphql import OperationDefinitionNode, parse, print_ast

from graphql_schema.errors import RequestErrors
from tests.differential import words
from tests.differential.conftest import SEED, Pair
from tests.differential.equality import difference
from tests.differential.vocabulary import NOBODY, Vocabulary, written

VOCABULARY = Vocabulary(SEED)
IDS = {table: ids[0] for table, ids in VOCABULARY.ids.items()}

REQUESTS: Mapping[str, list[dict[str, Any]]] = {
    "IdsOfOtherTypesThanInTheFirstRequest": [
        {"ids": VOCABULARY.ids["model"]},
        {"ids": [*VOCABULARY.ids["experiment"], *VOCABULARY.ids["file"][:50], f"mod_{NOBODY}"]},
        {"ids": []},
    ],
    "TheSameIdTwice": [{"id": IDS["model"]}, {"id": IDS["event"]}],
    "PagesOfWhichNothingIsRead": [{"key": "loss", "by": {"metric": {"key": "acc"}}}, {"key": "loss"}],
    "ACountBesideAnOrderThatNeedsVariables": [{"key": "loss"}],
    "OneConditionInThePlaceOfAList": [{"name": "a"}, {"name": None}, {}],
    "OneKeyInThePlaceOfAnOrder": [{"by": "NAME", "to": "DESC"}, {"by": "OWNER", "to": "ASC"}],
    "ADefaultInThePlaceOfAnAbsentVariable": [{}, {"key": "acc"}],
    "WhatIsNoNumber": [{"n": n} for n in ("NaN", "Infinity", "-Infinity", 0, -0.0, 1.5, None)],
    "AMetricThatIsNotThere": [{"is": test} for test in ({"isNull": True}, {"isNull": False}, {"ne": 0.5}, {})],
    "AHyperparameterThatIsNotThere": [
        {"is": test} for test in ({"isNull": True}, {"isNull": False}, {"ne": "0.1"}, {}, None)
    ],
    "APathThroughAList": [
        {"at": path, "is": test}
        for path in (["list"], [], ["list", "0"], ["optimizer", "-1", "name"], ["optimizer", "nested", "deep", "0"])
        for test in (None, {"eq": 1}, {"isNull": True})
    ],
    "KeysOfMetadata": [{"keys": ["a/b", "it's", "z", "aa"]}, {"keys": []}, {"keys": None}, {}],
    "EveryMoment": [{"at": written(moment)} for moment in words.MOMENTS],
    "ATagAtAMoment": [*({"at": written(moment)} for moment in words.MOMENTS), {}, {"at": None}],
    "Globs": [
        {"glob": glob} for glob in (*words.NAMES, "*", "**", "?", "*\\*", "a?b", "*\n*", "", "*(*", "\\d", "[a-z]")
    ],
    "ObjectsWithoutFields": [{"no": False}, {"no": True}],
    "NothingAtAll": [{"no": False}],
}
DOCUMENTS = {
    found.name.value: print_ast(found)
    for found in parse((Path(__file__).parent / "regressions.graphql").read_text()).definitions
    if isinstance(found, OperationDefinitionNode) and found.name
}
SCOPES: Mapping[str, list[UUID] | None] = {"all": None, "one": [next(iter(SEED.lineages))], "none": []}


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("scope", SCOPES)
async def test_the_same(pair: Pair, name: str, scope: str) -> None:
    pair, text = pair.by(SCOPES[scope]), DOCUMENTS[name]
    for variables in REQUESTS.get(name, [{}]):
        found = difference(pair.expected(text, variables), await pair.actual(text, variables))
        assert found is None, f"{found}\n{variables}"


async def test_more_than_fifty_fields_with_long_names(pair: Pair) -> None:
    """`json_build_object` fails above 50 fields, and `row_to_json` cuts keys at 63 bytes."""
    names = [f"{'long' * 20}_{number}" for number in range(28)]
    keys = " ".join(f'{name}: metadata(keys: ["{number}"])' for number, name in enumerate(names))
    fields = "id createdAt updatedAt revision labels name description owner framework externalId status group startedAt"
    more = "hyperparameters environment endedAt heartbeatAt stallAfterSeconds feedCursor __typename metadata"
    edges = "parent namespace createdBy latestCheckpoint"
    objects = " ".join(f"{edge} {{ __typename }}" for edge in edges.split())
    text = f"query {{ experiments(first: 3) {{ nodes {{ {fields} {more} {objects} {keys} }} }} }}"

    data = await pair.actual(text, {})

    assert difference(pair.expected(text, {}), data) is None
    assert len(data["experiments"]["nodes"][0]) > 50
    assert set(names) <= set(data["experiments"]["nodes"][0])


async def test_all_kinds_of_numbers(pair: Pair) -> None:
    """The reference would agree with a server that had lost the sign of zero already when the rows were stored."""
    inside = "(first: 100) { nodes { metrics { nodes { points { nodes { value } } } } } }"
    data = await pair.actual(f"{{ experiments{inside} checkpoints{inside} modelVersions{inside} models{inside} }}", {})
    series = [one for page in data.values() for node in page["nodes"] for one in node["metrics"]["nodes"]]
    found = {repr(point["value"]) for one in series for point in one["points"]["nodes"]}
    assert {"-0.0", "0.0", "'NaN'", "'Infinity'", "'-Infinity'", "5e-324", "1.7976931348623157e+308"} <= found


ORDERED = "query ($by: [ExperimentOrder!], $after: Cursor) { experiments(first: 1, orderBy: $by, after: $after) %s }"
BY_LOSS = [{"metric": {"key": "loss"}}]
BY_ACCURACY = [{"metric": {"key": "acc"}}]


async def test_a_cursor_belongs_to_the_order_of_its_own_request(pair: Pair) -> None:
    """The plan is kept for both orders, which differ only by a value; what signs their cursors must not be."""
    text = ORDERED % "{ pageInfo { endCursor } }"
    loss = await pair.actual(text, {"by": BY_LOSS})
    accuracy = await pair.actual(text, {"by": BY_ACCURACY})
    cursor = accuracy["experiments"]["pageInfo"]["endCursor"]

    with pytest.raises(RequestErrors) as refused:
        await pair.actual(text, {"by": BY_LOSS, "after": cursor})
    assert refused.value.errors[0].extensions == {"argument": "after"}

    literal = '{ experiments(first: 1, orderBy: [{metric: {key: "acc"}}], after: "%s") { pageInfo { endCursor } } }'
    assert await pair.actual(literal % cursor, {}) == await pair.actual(text, {"by": BY_ACCURACY, "after": cursor})
    assert loss["experiments"]["pageInfo"]["endCursor"] != cursor


async def test_ids_are_counted_in_every_request(pair: Pair) -> None:
    text = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    await pair.actual(text, {"ids": [IDS["model"]] * 100})
    with pytest.raises(RequestErrors) as refused:
        await pair.actual(text, {"ids": [IDS["model"]] * 101})
    assert refused.value.errors[0].extensions == {"argument": "ids"}
