"""Checkpoints that no rule keeps are deleted, by one process; what is held stays; their files are forgotten in time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic.script import ScriptDirectory

from db import migrate
from db.access import local_caller
from db.engine import Database
from db.jobs import checkpoints, purge
from tests.blobs import stored_file
from tests.graph import Graph

MAKE = """mutation ($rules: CheckpointRetentionInput, $name: String! = "run") {
  createExperiment(input: {name: $name, checkpointRetention: $rules}) {
    experiment { id } userErrors { code message path } } }"""
SAVE = """mutation ($input: CreateCheckpointInput!) {
  createCheckpoint(input: $input) { checkpoint { id } userErrors { code message path } } }"""
LOG = """mutation ($id: ID!, $value: MetricValue!) {
  logMetrics(input: {objectId: $id, points: [{key: "loss", value: $value}]}) { userErrors { code message path } } }"""
UPDATE = """mutation ($input: UpdateExperimentInput!) {
  updateExperiment(input: $input) { experiment { id } userErrors { code message path } } }"""
PROMOTE = """mutation ($input: PromoteCheckpointInput!) {
  promoteCheckpoint(input: $input) { modelVersion { id } userErrors { code message path } } }"""
MODEL = 'mutation { createModel(input: {name: "m"}) { model { id } userErrors { code message path } } }'
RESTORE = """mutation ($id: ID!) {
  restoreCheckpoint(input: {id: $id}) { checkpoint { id isPinned } userErrors { code message path } } }"""
RESUME = """mutation ($id: ID!, $checkpoint: ID!) {
  resumeExperiment(input: {id: $id, checkpointId: $checkpoint}) {
    experiment { leg } userErrors { code message path } } }"""
LEFT = """query ($id: ID!) { node(id: $id) { ... on Experiment {
  checkpoints(first: 100, orderBy: [{field: STEP, direction: ASC}]) { nodes { step } }
  auditEvents(first: 1) { nodes { actorName } } } } }"""
AUDIT = """{ auditEvents(first: 50, filter: {action: {in: [DELETE]}}) { nodes { kind actorName before } } }"""


@pytest.fixture
async def graph(database: Database) -> Graph:
    return Graph(database, await local_caller(database))


async def run_with(
    graph: Graph, rules: dict[str, Any] | None, losses: list[float], name: str = "run", **pinned: bool
) -> list[str]:
    """An experiment whose checkpoints have these losses, at steps 0, 10, 20 …; its id, and theirs."""
    run = (await graph.change(MAKE, rules=rules, name=name))["experiment"]["id"]
    ids = [run]
    for number, loss in enumerate(losses):
        also = {"pinned": True} if f"p{number}" in pinned else {}
        given = {"experimentId": run, "step": 10 * number, **also}
        ids.append((await graph.change(SAVE, input=given))["checkpoint"]["id"])
        await graph.change(LOG, id=ids[-1], value=loss)
    return ids


async def retain(graph: Graph) -> int:
    """One look and all that it finds, by four processes at once; how many were dropped."""
    now = datetime.now(UTC)
    pieces = await checkpoints.find(graph.database, now)
    dropping = (checkpoints.drop(graph.database, piece, now) for piece in pieces for _ in range(4))
    return sum(await asyncio.gather(*dropping))


async def steps(graph: Graph, run: str) -> list[int]:
    nodes = (await graph(LEFT, id=run))["node"]["checkpoints"]["nodes"]
    return [node["step"] for node in nodes]


async def test_each_rule_keeps_its_own(graph: Graph) -> None:
    best = {"metric": "loss", "mode": "MIN", "count": 2}
    rules = {"keepLast": 2, "keepBest": best, "keepEvery": 40}
    run, *_ = await run_with(graph, rules, [9, 8, 0.1, 7, 6, 0.2, 5, 4, 3, 2])
    assert await retain(graph) == 4
    assert await steps(graph, run) == [0, 20, 40, 50, 80, 90]
    assert await retain(graph) == 0
    events = (await graph(AUDIT))["auditEvents"]["nodes"]
    assert [(event["kind"], event["actorName"]) for event in events] == [("CHECKPOINT", "modelbox")] * 4
    assert events[0]["before"]["checkpointRetention"]["keepLast"] == 2


async def test_what_is_held_stays(graph: Graph) -> None:
    run, *saved = await run_with(graph, {"keepLast": 1}, [1, 1, 1, 1], p0=True)
    model = (await graph.change(MODEL))["model"]["id"]
    await graph.change(PROMOTE, input={"checkpointId": saved[1], "modelId": model})
    assert await retain(graph) == 1
    assert await steps(graph, run) == [0, 10, 30]


async def test_rules_come_later_and_go(graph: Graph) -> None:
    run, *_ = await run_with(graph, None, [1, 1, 1])
    assert await retain(graph) == 0
    await graph.change(UPDATE, input={"id": run, "patch": {"checkpointRetention": {"keepLast": 1}}})
    assert await retain(graph) == 2
    await graph.change(UPDATE, input={"id": run, "patch": {"checkpointRetention": None}})
    assert await checkpoints.find(graph.database, datetime.now(UTC)) == []


async def test_what_was_dropped_comes_back_until_its_files_are_forgotten(graph: Graph) -> None:
    run, first, second, _ = await run_with(graph, {"keepLast": 1}, [1, 1, 1])
    for each in (first, second):
        await stored_file(graph.database, each)
    assert await retain(graph) == 2
    assert (await graph.change(RESTORE, id=first))["checkpoint"]["isPinned"]
    later = datetime.now(UTC) + timedelta(hours=25)
    ages = purge.Ages(deleted=timedelta(days=30), retired=timedelta(hours=24))
    for piece in await purge.find(graph.database, later, ages=ages):
        await purge.forget(graph.database, piece, later, ages=ages)
    assert (await graph.refused(RESTORE, id=second))["code"] == "CONFLICT"
    assert await steps(graph, run) == [0, 20]


async def test_what_a_resumption_left_behind_goes_and_displaces_nothing(graph: Graph) -> None:
    best = {"metric": "loss", "mode": "MIN", "count": 1}
    rules = {"keepLast": 2, "keepBest": best, "keepEvery": 50}
    run, *saved = await run_with(graph, rules, [3, 2, 3, 3, 3, 1, 1], p6=True)
    await graph.change(RESUME, id=run, checkpoint=saved[3])
    assert await retain(graph) == 2, "40 and 50 are past 30, and 60 is pinned; 0 is a multiple, 10 the best of the line"
    assert await steps(graph, run) == [0, 10, 20, 30, 60]
    made = (await graph.change(SAVE, input={"experimentId": run, "step": 40}))["checkpoint"]["id"]
    await graph.change(LOG, id=made, value=5)
    assert await retain(graph) == 1
    assert await steps(graph, run) == [0, 10, 30, 40, 60]


async def test_nobody_goes_on_from_what_is_being_dropped(graph: Graph) -> None:
    """Either the resumption comes first, and its checkpoint stays; or it is refused."""
    for number in range(6):
        run, first, *_ = await run_with(graph, {"keepLast": 1}, [1, 1, 1], name=f"run-{number}")
        resumed, _ = await asyncio.gather(graph(RESUME, id=run, checkpoint=first), retain(graph))
        refused = resumed["resumeExperiment"]["userErrors"]
        assert [error["code"] for error in refused] in ([], ["NOT_FOUND"])
        await retain(graph)
        assert await steps(graph, run) == ([20] if refused else [0])


async def test_one_that_a_job_went_on_from_is_on_the_line_again(graph: Graph) -> None:
    run, *saved = await run_with(graph, {"keepLast": 1}, [1, 1, 1], p2=True)
    await graph.change(RESUME, id=run, checkpoint=saved[0])
    await graph.change(RESUME, id=run, checkpoint=saved[2])
    assert await retain(graph) == 2
    assert await steps(graph, run) == [20]


async def test_checkpoints_from_before_they_knew_their_leg_are_placed(graph: Graph) -> None:
    """What the migration finds of times is what was noted since."""
    run, first, *_ = await run_with(graph, None, [1, 1])
    for step in (15, 25):
        await graph.change(RESUME, id=run, checkpoint=first)
        await graph.change(SAVE, input={"experimentId": run, "step": step})
    place = ScriptDirectory(str(migrate.FOLDER)).get_revision("0005").module.PLACE
    async with graph.database.transaction() as connection:
        noted = await connection.fetch("SELECT id, leg FROM checkpoint ORDER BY id")
        await connection.execute("UPDATE checkpoint SET leg = 7")
        await connection.execute(place)
        assert await connection.fetch("SELECT id, leg FROM checkpoint ORDER BY id") == noted
    assert [row["leg"] for row in noted] == [0, 0, 1, 2]
