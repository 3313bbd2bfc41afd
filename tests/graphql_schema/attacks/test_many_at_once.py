"""Sixteen callers at once, doing anything to the same few objects: what must always hold, held afterwards."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from db.identifiers import format_id
from db.jobs import stalled
from db.metrics.stream import stream_sql
from graphql_schema.schema import graphql_schema
from tests.graph import Graph
from tests.jobs import done
from tests.metric_model import stored

CALLERS = 16
SECONDS = 4.0
SEED = 20260301

INVARIANTS = {
    "the lineage of a namespace is its parent's and itself": """
        SELECT n.path FROM namespace n LEFT JOIN namespace p ON p.id = n.parent_id
        WHERE n.lineage <> coalesce(p.lineage, '{}') || n.id OR n.root_id <> n.lineage[1] OR n.namespace_id <> n.id
    """,
    "the path of a namespace is its parent's and its name": """
        SELECT n.path FROM namespace n LEFT JOIN namespace p ON p.id = n.parent_id
        WHERE n.path <> coalesce(p.path || '/', '') || n.name
    """,
    "a namespace is in sight unless it or one above is deleted": """
        SELECT n.path FROM namespace n WHERE n.visible = EXISTS (
            SELECT FROM namespace a WHERE a.id = ANY(n.lineage) AND a.deleted_at IS NOT NULL)
    """,
    "the numbers of a stream of changes are dense": """
        SELECT h.stream_id FROM stream_head h LEFT JOIN (
            SELECT stream_id, seq FROM audit_event UNION ALL SELECT stream_id, seq FROM event
        ) r ON r.stream_id = h.stream_id
        WHERE h.stream_id IN (SELECT id FROM namespace UNION SELECT id FROM tenant) GROUP BY h.stream_id, h.seq
        HAVING count(r.seq) <> h.seq OR count(DISTINCT r.seq) <> h.seq OR max(r.seq) <> h.seq
    """,
    "a batch of points has a number that its stream gave": f"""
        SELECT b.owner_id FROM metric_batch b LEFT JOIN stream_head h ON h.stream_id = {stream_sql("b.owner_id")}
        WHERE h.seq IS NULL OR b.seq NOT BETWEEN 1 AND h.seq
    """,
    "a record is in the stream of its namespace's root": """
        SELECT r.stream_id FROM audit_event r JOIN namespace n ON n.id = r.namespace_id
        WHERE n.root_id <> r.stream_id
    """,
    "a unique tag points to where it was moved last": """
        SELECT t.tag FROM unique_tag t FULL JOIN (
            SELECT DISTINCT ON (model_id, tag) model_id, tag, version_id FROM tag_change
            ORDER BY model_id, tag, at DESC, id DESC
        ) l ON l.model_id = t.model_id AND l.tag = t.tag
        WHERE t.version_id IS DISTINCT FROM l.version_id
    """,
    "each move of a tag begins where the last one ended": """
        SELECT tag FROM (
            SELECT tag, previous_version_id,
                lag(version_id) OVER (PARTITION BY model_id, tag ORDER BY at, id) AS expected
            FROM tag_change
        ) moves WHERE previous_version_id IS DISTINCT FROM expected
    """,
    "no unique tag points to a deleted version": """
        SELECT t.tag FROM unique_tag t JOIN model_version v ON v.id = t.version_id WHERE v.deleted_at IS NOT NULL
    """,
    "whole numbers of versions are never given twice": """
        SELECT model_id FROM model_version GROUP BY model_id, version HAVING count(*) > 1
    """,
    "the next number of a model is above all that were given": """
        SELECT m.name FROM model m JOIN model_version v ON v.model_id = m.id
        WHERE v.version ~ '^[0-9]+$' AND v.version::bigint >= m.next_version
    """,
    "an experiment ends exactly when it is finished": """
        SELECT name FROM experiment WHERE (ended_at IS NULL) <> (status IN ('RUNNING', 'STALLED'))
    """,
    "no idempotency record is left without a result": """
        SELECT key FROM idempotency_record WHERE result = 'null'
    """,
    "a revision is one more than the records of changes": """
        SELECT e.name FROM (
            SELECT id, name, revision FROM model UNION ALL SELECT id, name, revision FROM experiment
        ) e WHERE e.revision > (SELECT count(*) FROM audit_event a WHERE a.object_id = e.id)
    """,
    **{
        f"a deleted {table} is deleted as an object": f"""
            SELECT e.id FROM {table} e JOIN object o ON o.id = e.id
            WHERE e.deleted_at IS DISTINCT FROM o.deleted_at OR e.namespace_id <> o.namespace_id
        """
        for table in (
            "namespace", "model", "model_version", "experiment", "checkpoint", "dataset", "dataset_use",
        )
    },
}  # fmt: skip
"""Statements that find whatever breaks the rule."""

REFUSALS = {"NOT_FOUND", "INVALID", "CONFLICT", "NAME_TAKEN"}


@dataclass
class Crowd:
    """Callers that pick a mutation and an object by chance."""

    graph: Graph
    chance: random.Random
    ids: dict[str, list[str]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    async def call(self, name: str, kind: str | None, payload: str, /, **given: Any) -> None:
        root = graphql_schema.mutation_type
        assert root is not None
        input_type = root.fields[name].args["input"].type
        query = (
            f"mutation ($input: {input_type}) {{ {name}(input: $input) {{ {payload} userErrors {{ code message }} }} }}"
        )
        answer = (await self.graph(query, input=given))[name]
        for error in answer["userErrors"]:
            assert error["code"] in REFUSALS, error
        if not answer["userErrors"]:
            self.done[name] += 1
            found = answer.get(payload.split(maxsplit=1)[0]) if kind else None
            if kind and isinstance(found, dict):
                self.ids.setdefault(kind, []).append(found["id"])
                del self.ids[kind][:-12]

    def any(self, *kinds: str) -> str:
        known = [id_ for kind in kinds for id_ in self.ids.get(kind, ())]
        return self.chance.choice(known) if known else format_id("mod", self.graph.caller.actor_id)

    def path(self) -> str:
        return "/".join(self.chance.choices(("a", "b", "c"), k=self.chance.randint(1, 3)))

    def word(self) -> str:
        return self.chance.choice(("red", "green", "blue", "grey"))

    def owner(self) -> str:
        return self.any("model", "version", "experiment", "checkpoint", "namespace")

    async def run(self) -> None:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            await self.chance.choice(ACTIONS)(self)


def key(crowd: Crowd) -> dict[str, str]:
    return {"idempotencyKey": f"key-{crowd.chance.randrange(40)}"} if crowd.chance.random() < 0.2 else {}


def points(crowd: Crowd) -> list[dict[str, Any]]:
    keys = crowd.chance.sample(("loss", "accuracy", "rate", "z"), k=3)
    return [{"key": each, "value": crowd.chance.random(), "step": n} for each in keys for n in range(3)]


def events(crowd: Crowd) -> list[dict[str, Any]]:
    return [
        {"objectId": crowd.owner(), "name": crowd.word(), "source": "s", **({"externalId": crowd.word()} if n else {})}
        for n in range(3)
    ]


def simple(name: str, kind: str) -> Callable[[Crowd], Awaitable[None]]:
    return lambda c: c.call(name, None, "__typename", id=c.any(kind))


KINDS = ("Namespace", "Model", "ModelVersion", "Experiment", "Checkpoint", "Dataset", "DatasetUse")
KIND = {"ModelVersion": "version", "DatasetUse": "use"}
ACTIONS: list[Callable[[Crowd], Awaitable[None]]] = [
    *(simple(f"{verb}{kind}", KIND.get(kind, kind.lower())) for kind in KINDS for verb in ("delete", "restore")),
    *(
        [
            lambda c: c.call("createNamespace", "namespace", "namespace { id }", path=c.path()),
            lambda c: c.call(
                "updateNamespace", None, "__typename", id=c.any("namespace"), patch={"name": c.chance.choice("abcde")}
            ),
            lambda c: c.call("createModel", "model", "model { id }", name=c.word(), namespace=c.path(), **key(c)),
            lambda c: c.call("updateModel", None, "__typename", id=c.any("model"), patch={"name": c.word()}),
            lambda c: c.call(
                "createModelVersion", "version", "modelVersion { id }", modelId=c.any("model"), uniqueTags=[c.word()],
                **key(c),
            ),
            lambda c: c.call(
                "createModelVersion", "version", "modelVersion { id }", modelId=c.any("model"),
                version=str(c.chance.randrange(30)),
            ),
            lambda c: c.call("setUniqueTag", None, "__typename", versionId=c.any("version"), tag=c.word()),
            lambda c: c.call("removeUniqueTag", None, "__typename", modelId=c.any("model"), tag=c.word()),
            lambda c: c.call(
                "createExperiment", "experiment", "experiment { id }", name=c.word(), externalId=c.word(),
                namespace=c.path(), stallAfterSeconds=1, **key(c),
            ),
            lambda c: c.call(
                "updateExperiment", None, "__typename", id=c.any("experiment"),
                patch={"parentId": c.any("experiment"), "hyperparameters": {"lr": c.chance.random()}},
            ),
            lambda c: c.call("heartbeat", None, "__typename", id=c.any("experiment")),
            lambda c: c.call("finishExperiment", None, "__typename", id=c.any("experiment"), status="COMPLETED"),
            lambda c: c.call(
                "createCheckpoint", "checkpoint", "checkpoint { id }", experimentId=c.any("experiment"), step=1
            ),
            lambda c: c.call("createDataset", "dataset", "dataset { id }", name=c.word(), namespace=c.path()),
            lambda c: c.call(
                "useDataset", "use", "datasetUse { id }", objectId=c.any("experiment", "version", "model"),
                datasetId=c.any("dataset"), role=c.word(),
            ),
            lambda c: c.call("logMetrics", None, "pointCount", objectId=c.owner(), points=points(c), **key(c)),
            lambda c: c.call("logEvents", None, "created", events=events(c), **key(c)),
            lambda c: c.call("logMetadata", None, "__typename", objectId=c.owner(), metadata={c.word(): 1}),
            lambda c: c.call(
                "trackArtifacts", None, "created", objectId=c.owner(),
                artifacts=[{"name": c.word(), "files": [{"path": c.word()}, {"path": "same"}]}],
            ),
        ]
        * 2
    ),
]  # fmt: skip


async def sweeping(graph: Graph) -> None:
    """Experiments stall all the time, and wake at a sign of life."""
    while True:
        await done(stalled.find, stalled.mark, graph.database, datetime.now(UTC) + timedelta(seconds=1))
        await asyncio.sleep(0.05)


async def miscounted(graph: Graph) -> list[tuple[UUID, str]]:
    """The series that do not count their points."""
    async with graph.database.connection() as connection:
        series = await connection.fetch("SELECT owner_id, key, count FROM series")
    assert series
    points = {row["owner_id"]: await stored(graph.database, row["owner_id"].hex) for row in series}
    known = ((row["owner_id"], row["key"], row["count"]) for row in series)
    return [(owner, key) for owner, key, count in known if len(points[owner][key]) != count]


async def test_many_at_once_leave_nothing_out_of_joint(graphql: Graph) -> None:
    crowd = Crowd(graphql, random.Random(SEED))
    sweeper = asyncio.create_task(sweeping(graphql))
    try:
        await asyncio.gather(*(crowd.run() for _ in range(CALLERS)))
    finally:
        sweeper.cancel()
    await asyncio.gather(sweeper, return_exceptions=True)
    async with graphql.database.connection() as connection:
        broken = {rule: await connection.fetch(statement) for rule, statement in INVARIANTS.items()}
    assert {rule: rows for rule, rows in broken.items() if rows} == {}
    assert await miscounted(graphql) == []
    assert len(crowd.done) > 20  # most kinds of mutations were done, not only refused
