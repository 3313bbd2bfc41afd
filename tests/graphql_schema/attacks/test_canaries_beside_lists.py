"""The other roots: what compares, counts, aggregates and follows shows nothing that is hidden, either.

Every field of `Query` and of `Subscription` is asked here, or by its neighbour for lists; a new one fails until it is.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any
from uuid import UUID

import orjson
import pytest
from graphql import get_named_type, is_composite_type

from db.metrics.stream import stream_of
from graphql_schema import cursor
from graphql_schema.errors import RequestErrors
from graphql_schema.schema import graphql_schema
from tests.graph import Callers, Graph
from tests.graphql_schema.attacks import test_canaries as canaries
from tests.graphql_schema.attacks.test_canaries import EVERYBODYS, LISTS, Worlds, below, questions
from tests.graphql_schema.following import frames

NEITHER = {"viewer", "server"}
"""What says who asks, and whom."""

ROOTS = {
    "node": "node(id: $hidden) { __typename }",
    "nodes": "nodes(ids: $all) { __typename id }",
    "feedCursor": "feedCursor(objectIds: $objects)",
    "namespace": 'namespace(by: {path: "secret"}) { id }',
    "model": 'model(by: {name: {namespace: "secret", name: "canary"}}) { id }',
    "modelVersion": "modelVersion(by: {id: $version}) { id }",
    "experiment": 'experiment(by: {name: {namespace: "secret", name: "canary"}}) { id }',
    "dataset": 'dataset(by: {name: {namespace: "secret", name: "canary"}}) { id }',
    "experimentFacets": "experimentFacets { %s }",
    "compare": "compare(experimentIds: $experiments) { %s }",
    "aggregateMetrics": 'aggregateMetrics(keys: ["loss", "canary"], groupBy: [["lr"], ["canary"]]) { %s }',
}
DECLARED = "$hidden: ID!, $all: [ID!]!, $objects: [ID!]!, $version: ID!, $experiments: [ID!]!"

FOLLOWED = {
    "changes": 'changes(namespace: "mine", after: $after) { cursor changes { %s } }',
    "events": 'events(namespace: "mine", after: $after) { cursor events { %s } }',
    "metricBatches": "metricBatches(objectIds: $ids, after: $after) { cursor series { objectId key } }",
    "experimentUpdates": 'experimentUpdates(namespace: "mine", after: $after) { cursor removed ids added { %s } }',
}
HIDDEN = {
    "changes": 'changes(namespace: "%s") { cursor }',
    "events": 'events(namespace: "%s") { cursor }',
    "events of one": "events(objectId: $id) { cursor }",
    "metricBatches": "metricBatches(objectIds: [$mine, $id]) { cursor }",
    "experimentUpdates": 'experimentUpdates(namespace: "%s") { cursor }',
}


@pytest.fixture
async def both(graphql: Graph, caller_with: Callers) -> Worlds:
    caller = graphql.by(await caller_with("ADMIN", "mine"))
    abroad = graphql.by(await caller_with("ADMIN", tenant="abroad"))
    mine, secret = [
        await canaries.World.make(graphql, path, name) for path, name in (("mine", "plain"), ("secret", "canary"))
    ]
    foreign = await canaries.World.make(abroad, "mine", "canary")
    await canaries.entangle(graphql, mine, secret)
    return Worlds(caller, mine, (secret, foreign))


def uuid_of(id_: str) -> UUID:
    return UUID(id_.partition("_")[2])


def test_every_root_is_asked() -> None:
    assert graphql_schema.query_type is not None
    assert graphql_schema.subscription_type is not None
    assert {*ROOTS, *LISTS, *EVERYBODYS, *NEITHER} == set(graphql_schema.query_type.fields)
    assert set(FOLLOWED) == set(graphql_schema.subscription_type.fields)
    assert set(FOLLOWED) == {name.partition(" ")[0] for name in HIDDEN}


async def test_no_root_shows_what_is_hidden(both: Worlds) -> None:
    assert graphql_schema.query_type is not None
    mine, (secret, foreign) = both.mine.ids, both.hidden
    variables = {
        "hidden": secret.ids["model"],
        "all": [*list(mine.values())[:20], *list(secret.ids.values())[:20], *list(foreign.ids.values())[:20]],
        "objects": [world[name] for world in (mine, secret.ids, foreign.ids) for name in ("model", "use", "namespace")],
        "version": secret.ids["version"],
        "experiments": [mine["experiment"], secret.ids["experiment"], foreign.ids["experiment"], mine["experiment"]],
    }
    for name, root in ROOTS.items():
        type_ = get_named_type(graphql_schema.query_type.fields[name].type)
        found: Any = None
        for call in [root % part for part in parts(type_)] if "%s" in root else [root]:
            used = ", ".join(one for one in DECLARED.split(", ") if one.partition(":")[0] in call)
            given = {key: value for key, value in variables.items() if f"${key}" in call}
            answer = (await both.caller(f"query ({used}) {{ {call} }}" if used else f"{{ {call} }}", **given))[name]
            found = {**found, **answer} if found else answer
            shown = orjson.dumps(answer).decode().replace('"key":"canary"', "").replace('["canary"]', "")
            assert "canary" not in shown, call
            ids = canaries.IDS.findall(orjson.dumps(canaries.without_records(answer)).decode())
            assert not both.secrets.intersection(ids), call
        require_own(name, found, both)


def parts(type_: Any) -> Iterator[str]:
    """The fields of a type, each with what is below it."""
    inner: Any
    for name, definition in type_.fields.items():
        inner = get_named_type(definition.type)
        yield (
            f"{name} {{ {below(inner, 1 if 'id' in getattr(inner, 'fields', ()) else 2)} }}"
            if is_composite_type(inner)
            else name
        )


def require_own(name: str, found: Any, both: Worlds) -> None:
    """What is the caller's own is there, so that nothing passes because all is empty."""
    mine = both.mine.ids
    if name == "nodes":
        assert [each and each["id"] for each in found] == [*list(mine.values())[:20], *[None] * 40]
    elif name == "feedCursor":
        _, _, pairs = cursor.decode(found)
        assert {stream for stream, _ in pairs} == {
            stream_of(uuid_of(mine[key])).hex for key in ("model", "use", "namespace")
        }
    elif name == "experimentFacets":
        assert found["experimentCount"] == 2
        assert {each["key"] for each in found["metricKeys"]} == {"loss", "plain"}
    elif name == "compare":
        assert [each is None for each in found["experiments"]] == [False, True, True, False]
        assert {each["key"] for each in found["metrics"]} == {"loss", "plain"}
        assert all(each["columns"]["values"][1] is None for each in found["metrics"])
    elif name == "aggregateMetrics":
        assert found["experimentCount"] == 2
    else:
        assert found is None


async def test_no_frame_shows_what_is_hidden(both: Worlds) -> None:
    assert graphql_schema.subscription_type is not None
    place = await both.caller('{ namespace(by: {path: "mine"}) { feedCursor } }')
    objects = [both.mine.ids[name] for name in ("experiment", "model", "use")]
    ends = await both.caller("query ($ids: [ID!]!) { feedCursor(objectIds: $ids) }", ids=objects)
    for name, text in FOLLOWED.items():
        frame_type = get_named_type(graphql_schema.subscription_type.fields[name].type)
        listed = next(
            value for key, value in frame_type.fields.items() if key in ("changes", "events", "added", "series")
        )
        for question in questions(get_named_type(listed.type)) if "%s" in text else [""]:
            of_objects = name == "metricBatches"
            declared = "$ids: [ID!]!, $after: Cursor" if of_objects else "$after: Cursor"
            call = text % question if question else text
            after = beginning(ends["feedCursor"] if of_objects else place["namespace"]["feedCursor"])
            variables = {"ids": objects} if of_objects else {}
            frame = await first_frame(
                both.caller, f"subscription ({declared}) {{ {call} }}", **variables,
                after=None if name == "experimentUpdates" else after,
            )  # fmt: skip
            shown = canaries.without_records(frame)
            assert "canary" not in orjson.dumps(shown).decode(), call
            assert not both.secrets.intersection(canaries.IDS.findall(orjson.dumps(shown).decode())), call
            assert any(value for key, value in frame.items() if isinstance(value, list)), call


async def test_a_cursor_of_somebody_else_leads_nowhere(both: Worlds) -> None:
    """Neither one of another namespace, nor one of another tenant's namespace of the same path."""
    for graph, path in ((both.hidden[0].graph, "secret"), (both.hidden[1].graph, "mine")):
        place = await graph("query ($path: String!) { namespace(by: {path: $path}) { feedCursor } }", path=path)
        after = place["namespace"]["feedCursor"]
        for name in ("changes", "events"):
            call = FOLLOWED[name] % "id"
            with pytest.raises(RequestErrors) as refusal:
                await first_frame(both.caller, f"subscription ($after: Cursor) {{ {call} }}", after=after)
            assert [error.code for error in refusal.value.errors] == ["BAD_USER_INPUT"]


async def test_what_is_hidden_is_followed_by_nobody(both: Worlds) -> None:
    """And is refused as what is not there."""
    hidden = [world.ids["experiment"] for world in both.hidden]
    for text in HIDDEN.values():
        refusals = set()
        for path, id_ in [("secret", hidden[0]), ("nowhere", hidden[1]), ("nowhere", "exp_" + 32 * "0")]:
            call = text % path if "%s" in text else text
            given = {"id": id_, "mine": both.mine.ids["experiment"]}
            given = {key: value for key, value in given.items() if f"${key}" in call}
            declared = ", ".join(f"${key}: ID!" for key in given)
            query = f"subscription ({declared}) {{ {call} }}" if declared else f"subscription {{ {call} }}"
            with pytest.raises(RequestErrors) as refusal:
                await first_frame(both.caller, query, **given)
            (error,) = refusal.value.errors
            refusals.add((error.code, error.message.replace(path, "…").replace(id_, "…")))
        ((code, _),) = refusals
        assert code == "NOT_FOUND"


def beginning(text: str) -> str:
    """The cursor at the beginning of the same streams."""
    kind, epoch, pairs = cursor.decode(text)
    return base64.urlsafe_b64encode(orjson.dumps([kind, epoch, [[stream, 0] for stream, _ in pairs]])).decode()


async def first_frame(graph: Graph, query: str, **variables: Any) -> dict[str, Any]:
    async with asyncio.timeout(20), aclosing(frames(graph, query, **variables)) as stream:
        return await anext(stream)
