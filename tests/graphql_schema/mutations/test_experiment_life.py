"""The life of an experiment: heartbeats, silence, and its end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.jobs import stalled
from tests.graph import Callers, Graph
from tests.jobs import done

CREATE = """
    mutation ($input: CreateExperimentInput!) { createExperiment(input: $input) { experiment { id startedAt } } }
"""
HEARTBEAT = """
    mutation ($id: ID!) {
      heartbeat(input: {id: $id}) { experiment { status heartbeatAt revision } userErrors { code path } }
    }
"""
FINISH = """
    mutation ($input: FinishExperimentInput!) {
      finishExperiment(input: $input) { experiment { status endedAt revision } userErrors { code path message } }
    }
"""
CREATE_CHECKPOINT = "mutation ($id: ID!) { createCheckpoint(input: {experimentId: $id}) { checkpoint { id } } }"
LOG_METRICS = """
    mutation ($id: ID!) {
      logMetrics(input: {objectId: $id, points: [{key: "loss", value: 1}]}) { userErrors { code } }
    }
"""
LOG_EVENTS = """
    mutation ($id: ID!) { logEvents(input: {events: [{objectId: $id, name: "epoch"}]}) { userErrors { code } } }
"""
DELETE = "mutation ($id: ID!) { deleteExperiment(input: {id: $id}) { deletedId } }"
READ = """
    query ($id: ID!) {
      node(id: $id) {
        ... on Experiment {
          status revision updatedAt createdAt endedAt heartbeatAt
          auditEvents { nodes { action before after actorName actor { __typename name } } }
        }
      }
    }
"""
SEQUENCES = "{ auditEvents(first: 100) { nodes { sequence kind } } }"
LATER = timedelta(seconds=601)
EARLIER = "UPDATE heartbeat SET at = at - make_interval(secs => $1)"


async def created(graphql: Graph, **values: Any) -> str:
    id_: str = (await graphql.change(CREATE, input=values))["experiment"]["id"]
    return id_


async def read(graphql: Graph, id_: str) -> dict[str, Any]:
    node: dict[str, Any] = (await graphql(READ, id=id_))["node"]
    return node


async def sweep(graphql: Graph, after: timedelta = LATER) -> int:
    return await done(stalled.find, stalled.mark, graphql.database, datetime.now(UTC) + after)


async def pass_seconds(graphql: Graph, seconds: float = 1) -> None:
    """Let the last heartbeats lie back."""
    async with graphql.database.connection() as connection:
        await connection.execute(EARLIER, seconds)


async def test_a_heartbeat_is_noted_and_nothing_else_changes(graphql: Graph) -> None:
    id_ = await created(graphql)
    before = await read(graphql, id_)
    await pass_seconds(graphql)
    beat = await graphql.change(HEARTBEAT, id=id_)
    after = await read(graphql, id_)
    assert beat["experiment"] == {"status": "RUNNING", "heartbeatAt": after["heartbeatAt"], "revision": 1}
    assert after["heartbeatAt"] > before["heartbeatAt"]
    assert {**after, "heartbeatAt": ""} == {**before, "heartbeatAt": ""}


async def test_silence_is_stored_and_recorded_once(graphql: Graph) -> None:
    id_ = await created(graphql)
    assert await sweep(graphql, timedelta(seconds=590)) == 0
    assert (await read(graphql, id_))["status"] == "RUNNING"
    assert await sweep(graphql) == 1
    assert await sweep(graphql) == 0
    stored = await read(graphql, id_)
    assert (stored["status"], stored["revision"]) == ("STALLED", 2)
    assert stored["updatedAt"] > stored["createdAt"]
    event = stored["auditEvents"]["nodes"][0]
    assert (event["action"], event["before"], event["after"]) == (
        "UPDATE",
        {"status": "RUNNING"},
        {"status": "STALLED"},
    )
    assert event["actor"] == {"__typename": "ServiceAccount", "name": "modelbox"}


async def test_each_may_be_silent_for_as_long_as_it_said(graphql: Graph) -> None:
    impatient, patient = await created(graphql, stallAfterSeconds=1), await created(graphql, stallAfterSeconds=86_400)
    assert await sweep(graphql, timedelta(seconds=2)) == 1
    assert [(await read(graphql, id_))["status"] for id_ in (impatient, patient)] == ["STALLED", "RUNNING"]


@pytest.mark.parametrize(
    "sign",
    [HEARTBEAT, CREATE_CHECKPOINT, LOG_METRICS, LOG_EVENTS],
    ids=["heartbeat", "checkpoint", "metrics", "events"],
)
async def test_a_sign_of_life_ends_a_stall_and_that_is_recorded(graphql: Graph, sign: str) -> None:
    id_ = await created(graphql)
    await sweep(graphql)
    await pass_seconds(graphql)
    await graphql.change(sign, id=id_)
    stored = await read(graphql, id_)
    assert (stored["status"], stored["revision"]) == ("RUNNING", 3)
    event = stored["auditEvents"]["nodes"][0]
    assert (event["before"], event["after"]) == ({"status": "STALLED"}, {"status": "RUNNING"})
    assert event["actorName"] == "local"
    assert await sweep(graphql, timedelta(seconds=590)) == 0


async def test_only_what_runs_in_sight_stalls(graphql: Graph) -> None:
    finished, deleted, hidden = await created(graphql), await created(graphql), await created(graphql, namespace="gone")
    await graphql.change(FINISH, input={"id": finished, "status": "COMPLETED"})
    await graphql.change(DELETE, id=deleted)
    home = (await graphql('{ namespace(by: {path: "gone"}) { id } }'))["namespace"]["id"]
    await graphql.change("mutation ($id: ID!) { deleteNamespace(input: {id: $id}) { deletedId } }", id=home)
    assert await sweep(graphql) == 0
    assert hidden


async def test_processes_that_sweep_at_once_do_nothing_twice(graphql: Graph, caller_with: Callers) -> None:
    stranger = graphql.by(await caller_with("ADMIN", tenant="other"))
    ids = [await created(graphql) for _ in range(12)] + [await created(stranger, namespace="x") for _ in range(3)]
    counts = await asyncio.gather(*(sweep(graphql) for _ in range(6)))
    assert sum(counts) == len(ids)
    for id_ in ids[:12]:
        actions = [event["action"] for event in (await read(graphql, id_))["auditEvents"]["nodes"]]
        assert actions == ["UPDATE", "CREATE"]
    numbers = [event["sequence"] for event in (await graphql(SEQUENCES))["auditEvents"]["nodes"]]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


async def test_more_than_one_batch(graphql: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalled, "BATCH", 4)
    for _ in range(9):
        await created(graphql)
    assert await sweep(graphql) == 9


async def test_a_sign_of_life_during_a_sweep_is_not_lost(graphql: Graph) -> None:
    """Whichever comes first: what beat just now is alive."""
    id_ = await created(graphql)
    for _ in range(30):
        await pass_seconds(graphql, 2)
        await asyncio.gather(
            *(sweep(graphql, timedelta(seconds=599)) for _ in range(3)), graphql.change(HEARTBEAT, id=id_)
        )
        assert (await read(graphql, id_))["status"] == "RUNNING"


async def test_an_end_is_stored(graphql: Graph) -> None:
    id_ = await created(graphql)
    ended = (await graphql.change(FINISH, input={"id": id_, "status": "COMPLETED"}))["experiment"]
    assert (ended["status"], ended["revision"]) == ("COMPLETED", 2)
    assert ended["endedAt"] is not None
    event = (await read(graphql, id_))["auditEvents"]["nodes"][0]
    assert event["before"] == {"status": "RUNNING", "endedAt": None}
    assert event["after"]["status"] == "COMPLETED"


@pytest.mark.parametrize("status", ["FAILED", "KILLED", "PREEMPTED"])
async def test_a_stalled_one_may_end_in_any_way(graphql: Graph, status: str) -> None:
    id_ = await created(graphql)
    await sweep(graphql)
    assert (await graphql.change(FINISH, input={"id": id_, "status": status}))["experiment"]["status"] == status


async def test_the_end_may_be_told_later(graphql: Graph) -> None:
    id_ = await created(graphql, startedAt="2026-01-01T00:00:00Z")
    early = {"id": id_, "status": "FAILED", "endedAt": "2025-12-31T23:59:59Z"}
    refusal = await graphql.refused(FINISH, input=early)
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "endedAt"])
    told = await graphql.change(FINISH, input={**early, "endedAt": "2026-01-01T01:00:00+01:00"})
    assert told["experiment"]["endedAt"] == "2026-01-01T00:00:00.000000Z"


async def test_an_end_does_not_lie_before_its_start(graphql: Graph) -> None:
    id_ = await created(graphql, startedAt="2999-01-01T00:00:00Z")
    ended = await graphql.change(FINISH, input={"id": id_, "status": "COMPLETED"})
    assert ended["experiment"]["endedAt"] == "2999-01-01T00:00:00.000000Z"


async def test_an_end_said_twice_changes_nothing_and_said_otherwise_is_refused(graphql: Graph) -> None:
    id_ = await created(graphql)
    first = await graphql.change(FINISH, input={"id": id_, "status": "COMPLETED"})
    assert await graphql.change(FINISH, input={"id": id_, "status": "COMPLETED"}) == first
    same = {"id": id_, "status": "COMPLETED", "endedAt": first["experiment"]["endedAt"]}
    assert await graphql.change(FINISH, input=same) == first
    for other in ({**same, "status": "FAILED"}, {**same, "endedAt": "2999-01-01T00:00:00Z"}):
        refusal = await graphql.refused(FINISH, input=other)
        assert (refusal["code"], refusal["path"]) == ("CONFLICT", ["input", "status"])


async def test_a_sign_of_life_does_not_reopen(graphql: Graph) -> None:
    id_ = await created(graphql)
    await graphql.change(FINISH, input={"id": id_, "status": "PREEMPTED"})
    await pass_seconds(graphql)
    beat = await graphql.change(HEARTBEAT, id=id_)
    assert (beat["experiment"]["status"], beat["experiment"]["revision"]) == ("PREEMPTED", 2)
    assert (await graphql.change(CREATE_CHECKPOINT, id=id_))["checkpoint"]["id"]


async def test_a_deleted_one_shows_no_life(graphql: Graph) -> None:
    id_ = await created(graphql)
    await graphql.change(DELETE, id=id_)
    assert (await graphql.refused(HEARTBEAT, id=id_))["code"] == "NOT_FOUND"
    assert (await graphql.refused(FINISH, input={"id": id_, "status": "FAILED"}))["code"] == "NOT_FOUND"
