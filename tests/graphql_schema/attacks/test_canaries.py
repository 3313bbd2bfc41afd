"""A caller of one namespace asks for everything there is: nothing of other namespaces or tenants comes along.

All that is hidden is named `canary`, and linked with what is the caller's in every way that links allow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    Undefined,
    get_named_type,
    is_composite_type,
)

from graphql_schema.schema import graphql_schema
from tests.graph import Callers, Graph

ENTITIES = ("Namespace", "Model", "ModelVersion", "Experiment", "Checkpoint", "Dataset", "DatasetUse")
PICKED = {
    ("Model", "version"): 'version: "1"',
    ("Model", "versionByTag"): 'tag: "prod"',
    ("Experiment", "bestCheckpoint"): 'metric: "loss"',
    **{(type_, "metric"): 'key: "loss"' for type_ in ENTITIES},
}
"""What fields are asked that cannot be asked for nothing."""


async def done(graph: Graph, name: str, payload: str, /, **given: Any) -> str:
    root = graphql_schema.mutation_type
    assert root is not None
    query = (
        f"mutation ($input: {root.fields[name].args['input'].type}) {{"
        f" {name}(input: $input) {{ {payload} {{ id }} userErrors {{ message }} }} }}"
    )
    found = (await graph.change(query, input=given))[payload]
    return str((found[0] if isinstance(found, list) else found)["id"])


@dataclass
class World:
    """One namespace, its objects by type."""

    graph: Graph
    path: str
    name: str
    ids: dict[str, str]

    @classmethod
    async def make(cls, graph: Graph, path: str, name: str) -> World:
        ids: dict[str, str] = {}
        ids["namespace"] = await done(graph, "createNamespace", "namespace", path=path, description=name)
        place = {"namespace": path, "name": name, "description": name, "metadata": {name: name}}
        ids["experiment"] = await done(
            graph, "createExperiment", "experiment", **place, externalId=name, owner=name, group=name,
            hyperparameters={"lr": 1, name: name}, environment={name: name}, labels=[name],
        )  # fmt: skip
        ids["checkpoint"] = await done(
            graph, "createCheckpoint", "checkpoint", experimentId=ids["experiment"], name=name, step=1
        )
        ids["model"] = await done(graph, "createModel", "model", **place, owner=name, task=name)
        ids["version"] = await done(
            graph, "createModelVersion", "modelVersion", modelId=ids["model"], description=name, uniqueTags=["prod"]
        )
        ids["dataset"] = await done(graph, "createDataset", "dataset", **place, uri=name, profile={name: name})
        ids["use"] = await done(
            graph, "useDataset", "datasetUse", objectId=ids["experiment"], datasetId=ids["dataset"], role=name
        )
        world = cls(graph, path, name, ids)
        for owner in [*ids.values()]:
            await world.fill(owner)
        return world

    async def fill(self, owner: str) -> None:
        """Metrics, files and events of an object."""
        points = [{"key": key, "value": 1.5} for key in ("loss", self.name)]
        await self.graph.change(
            "mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { pointCount userErrors { message } } }",
            input={"objectId": owner, "points": points},
        )
        files = [{"path": self.name, "uri": self.name}]
        artifacts = [{"name": self.name, "metadata": {"k": self.name}, "files": files}]
        self.ids[f"artifact of {owner}"] = await done(
            self.graph, "trackArtifacts", "artifacts", objectId=owner, artifacts=artifacts
        )
        events = [{"objectId": owner, "name": self.name, "source": self.name, "metadata": {"k": self.name}}]
        self.ids[f"event of {owner}"] = await done(self.graph, "logEvents", "events", events=events)


async def entangle(graph: Graph, mine: World, other: World) -> None:
    """Every link from one world to the other, and back."""
    for here, there in ((mine, other), (other, mine)):
        await done(
            graph, "createModelVersion", "modelVersion", modelId=here.ids["model"], version="linked",
            checkpointId=there.ids["checkpoint"], experimentId=there.ids["experiment"], name=here.name,
        )  # fmt: skip
        await done(
            graph, "createExperiment", "experiment", namespace=here.path, name=f"{here.name} below",
            parentId=there.ids["experiment"],
        )  # fmt: skip
        await done(
            graph, "useDataset", "datasetUse", objectId=here.ids["model"], datasetId=there.ids["dataset"],
            role=f"{here.name} of another",
        )  # fmt: skip


def called(type_: Any, name: str) -> str | None:
    """A field with what it must be asked; None when it cannot be asked for nothing in particular."""
    arguments = type_.fields[name].args
    given = PICKED.get((type_.name, name)) or ("first: 4" if "first" in arguments else "")
    needed = [a for a, d in arguments.items() if isinstance(d.type, GraphQLNonNull) and d.default_value is Undefined]
    if needed and not given:
        return None
    return f"{name}({given})" if given else name


def below(type_: Any, depth: int) -> str:
    """The selection of a type: its own fields, and those of what it links, so deep."""
    if type_.name.endswith("Connection"):
        return f"totalCount edges {{ cursor }} nodes {{ {below(get_named_type(type_.fields['nodes'].type), depth)} }}"
    if isinstance(type_, GraphQLInterfaceType):
        return "__typename id" if "id" in type_.fields else "__typename"
    parts = ["__typename"]
    for name, definition in type_.fields.items():
        call, inner = called(type_, name), get_named_type(definition.type)
        if call and not is_composite_type(inner):
            parts.append(call)
        elif call and depth > 0:
            parts.append(f"{call} {{ {below(inner, depth - 1)} }}")
    return " ".join(parts)


def questions(type_: Any) -> Iterator[str]:
    """Selections of a type, one for each thing that it links: that, and all that links, too."""
    for name, definition in type_.fields.items():
        call, inner = called(type_, name), get_named_type(definition.type)
        if call and is_composite_type(inner):
            yield f"__typename {call} {{ {below(inner, 1)} }}"


EVERYBODYS = ("users", "serviceAccounts")
"""Who acts in a tenant is known to all who do."""


def lists() -> Iterator[tuple[str, Any]]:
    """The root's lists, and the types of what they list."""
    assert graphql_schema.query_type is not None
    for name, definition in graphql_schema.query_type.fields.items():
        type_ = get_named_type(definition.type)
        if type_.name.endswith("Connection") and name not in EVERYBODYS:
            assert isinstance(type_, GraphQLObjectType)
            yield name, get_named_type(type_.fields["nodes"].type)


LISTS = dict(lists())
MEASURED = ("models", "modelVersions", "experiments", "checkpoints", "datasets")
IDS = re.compile(r"\b(?!usr|svc|grt)[a-z]{3}_[0-9a-f]{32}")


@dataclass
class Worlds:
    """What is the caller's, what is another's, and what is another tenant's."""

    caller: Graph
    mine: World
    hidden: tuple[World, World]

    @property
    def secrets(self) -> set[str]:
        return {id_ for world in self.hidden for id_ in world.ids.values()}

    async def require_clean(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = await self.caller(query, **variables)
        text = orjson.dumps(without_records(answer)).decode()
        assert "canary" not in text, query
        assert not self.secrets.intersection(IDS.findall(text)), query
        assert "canary" not in orjson.dumps(answer).decode(), query
        return answer


def without_records(value: Any) -> Any:
    """An answer without what audit records say of changes."""
    if isinstance(value, dict):
        return {key: without_records(item) for key, item in value.items() if key not in ("before", "after")}
    return [without_records(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
async def worlds(graphql: Graph, caller_with: Callers) -> Worlds:
    caller = graphql.by(await caller_with("ADMIN", "mine"))
    abroad = graphql.by(await caller_with("ADMIN", tenant="abroad"))
    mine, secret = [await World.make(graphql, path, name) for path, name in (("mine", "plain"), ("secret", "canary"))]
    foreign = await World.make(abroad, "mine", "canary")
    await entangle(graphql, mine, secret)
    return Worlds(caller, mine, (secret, foreign))


async def test_no_list_shows_what_is_hidden(worlds: Worlds) -> None:
    for name, type_ in LISTS.items():
        for question in questions(type_):
            answer = await worlds.require_clean(f"{{ {name}(first: 5) {{ totalCount nodes {{ {question} }} }} }}")
            assert answer[name]["nodes"]


async def test_no_object_leads_to_what_is_hidden(worlds: Worlds) -> None:
    for id_ in worlds.mine.ids.values():
        type_ = (await worlds.caller("query ($id: ID!) { node(id: $id) { __typename } }", id=id_))["node"]["__typename"]
        for question in questions(graphql_schema.type_map[type_]):
            query = f"query ($id: ID!) {{ node(id: $id) {{ ... on {type_} {{ {question} }} }} }}"
            assert (await worlds.require_clean(query, id=id_))["node"]


async def test_what_is_hidden_is_null_by_id(worlds: Worlds) -> None:
    for world in worlds.hidden:
        own = await world.graph(
            """{ auditEvents(first: 100, filter: {objectName: {contains: "canary"}}) { nodes { id } }
              artifacts { nodes { name files { nodes { id } } } }
              models(filter: {name: {eq: "canary"}}) { nodes { tagHistory { nodes { id } } } } }"""
        )
        ids = [*world.ids.values()]
        ids += [node["id"] for node in own["auditEvents"]["nodes"]]
        ids += [f["id"] for a in own["artifacts"]["nodes"] if a["name"] == "canary" for f in a["files"]["nodes"]]
        ids += [change["id"] for model in own["models"]["nodes"] for change in model["tagHistory"]["nodes"]]
        assert len({id_[:3] for id_ in ids}) == 12
        for start in range(0, len(ids), 100):
            part = ids[start : start + 100]
            answer = await worlds.caller("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=part)
            assert answer["nodes"] == [None] * len(part)
        for id_ in ids:
            assert (await worlds.caller("query ($id: ID!) { node(id: $id) { id } }", id=id_))["node"] is None


@pytest.mark.parametrize("order", ["", ', orderBy: [{metric: {key: "loss"}}]'])
async def test_counts_and_pages_hold_what_is_shown(worlds: Worlds, graphql: Graph, order: str) -> None:
    """Also behind a cursor that carries the keys of a hidden row."""
    for name in LISTS:
        if not order or name in MEASURED:
            await require_own_pages(worlds, graphql, name, order)


async def require_own_pages(worlds: Worlds, graphql: Graph, name: str, order: str) -> None:
    page = "{ totalCount edges { cursor node { id } } }"
    query = f"query ($after: Cursor) {{ {name}(first: 100, after: $after{order}) {page} }}"
    own = (await worlds.caller(query))[name]
    shown = [edge["node"]["id"] for edge in own["edges"]]
    assert own["totalCount"] == len(shown)
    for edge in (await graphql(query))[name]["edges"][::5]:
        behind = (await worlds.caller(query, after=edge["cursor"]))[name]
        assert {each["node"]["id"] for each in behind["edges"]} <= set(shown)


async def test_a_hidden_namespace_is_as_empty_as_one_that_is_not_there(worlds: Worlds) -> None:
    for name in [*MEASURED, "events", "artifacts", "auditEvents"]:
        order = ', orderBy: [{metric: {key: "loss"}}]' if name in MEASURED else ""
        query = f"query ($path: String!) {{ {name}(namespace: $path{order}) {{ totalCount nodes {{ id }} }} }}"
        answers = [(await worlds.caller(query, path=path))[name] for path in ("secret", "nowhere")]
        assert answers == [{"totalCount": 0, "nodes": []}] * 2
