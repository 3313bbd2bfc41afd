"""Events: stored once however often they are sent, ended later, listed by time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from graphql_schema.errors import RequestErrors
from tests.graph import Callers, Graph

CREATE = """
    mutation ($input: CreateExperimentInput!) {
      createExperiment(input: $input) { experiment { id } userErrors { message } }
    }
"""
LOG = """
    mutation ($input: LogEventsInput!) {
      logEvents(input: $input) {
        created
        events {
          id name source externalId at endedAt durationMs metadata recordedAt object { id } actor { name }
        }
        userErrors { code path message }
      }
    }
"""
LIST = """
    query ($id: ID!, $filter: EventFilter, $first: Int = 50, $after: Cursor) {
      node(id: $id) {
        ... on Experiment {
          revision
          updatedAt
          events(filter: $filter, first: $first, after: $after) {
            totalCount nodes { name at endedAt } pageInfo { hasNextPage endCursor }
          }
          timeline { nodes { name } }
          eventDurations { name count totalMs meanMs maxMs }
          auditEvents { nodes { action } }
        }
      }
    }
"""
NUMBERS = """
    SELECT stream_id, seq FROM event UNION ALL SELECT stream_id, seq FROM audit_event ORDER BY 1, 2
"""
HEADS = "SELECT stream_id, seq FROM stream_head"
NOON = "2026-03-01T12:00:00.000000Z"


async def an_experiment(graph: Graph, name: str = "e", **values: Any) -> str:
    made = await graph.change(CREATE, input={"name": name, **values})
    return str(made["experiment"]["id"])


async def logged(graph: Graph, *events: dict[str, Any], **values: Any) -> dict[str, Any]:
    return await graph.change(LOG, input={"events": list(events), **values})


async def listed(graph: Graph, id_: str, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await graph(LIST, id=id_, **variables))["node"]
    return found


async def test_an_event_is_answered_as_it_was_sent(graphql: Graph) -> None:
    id_ = await an_experiment(graphql)
    sent = {"objectId": id_, "name": "checkpoint_write", "source": "trainer-0", "externalId": "a/1"}
    when = {"at": "2026-03-01T13:00:00.25+01:00", "endedAt": "2026-03-01T12:00:01.5Z"}
    answer = await logged(graphql, {**sent, **when, "metadata": {"bytes": 12, "deep": {"x": [None]}}})
    assert answer["created"] == [True]
    (event,) = answer["events"]
    assert event.pop("id").startswith("evt_")
    assert event.pop("recordedAt") > event["at"]
    assert event == {
        "name": "checkpoint_write",
        "source": "trainer-0",
        "externalId": "a/1",
        "at": "2026-03-01T12:00:00.250000Z",
        "endedAt": "2026-03-01T12:00:01.500000Z",
        "durationMs": 1250,
        "metadata": {"bytes": 12, "deep": {"x": [None]}},
        "object": {"id": id_},
        "actor": {"name": "local"},
    }


@pytest.mark.parametrize("identity", [{"externalId": "17", "at": NOON}, {"at": NOON}])
async def test_the_same_event_sent_twice_is_stored_once(graphql: Graph, identity: dict[str, Any]) -> None:
    id_ = await an_experiment(graphql)
    event = {"objectId": id_, "name": "restart", **identity}
    first = await logged(graphql, event, event)
    assert first["created"] == [True, False]
    again = await logged(graphql, event)
    assert again["created"] == [False]
    assert [stored["id"] for stored in (*first["events"], *again["events"])] == [first["events"][0]["id"]] * 3
    assert (await listed(graphql, id_))["events"]["totalCount"] == 1


async def test_what_differs_is_another_event(graphql: Graph) -> None:
    id_, other = await an_experiment(graphql), await an_experiment(graphql, "other")
    same = {"objectId": id_, "name": "x", "source": "s", "at": NOON}
    events = [
        same,
        {**same, "objectId": other},
        {**same, "name": "y"},
        {**same, "source": "t"},
        {**same, "at": "2026-03-01T12:00:00.000001Z"},
        {**same, "externalId": "1"},
        {**same, "externalId": "2"},
        {**same, "externalId": "1", "source": "t"},
        {**same, "externalId": "1", "objectId": other},
    ]
    assert (await logged(graphql, *events))["created"] == [True] * len(events)
    assert (await logged(graphql, *events))["created"] == [False] * len(events)


async def test_ids_cannot_collide_by_concatenation(graphql: Graph) -> None:
    id_ = await an_experiment(graphql)
    pairs = [("a", "b-c"), ("a-b", "c"), ("a", "b_c"), ("a_b", "c"), ("ab", "c"), ("a", "bc")]
    events = [{"objectId": id_, "name": "n", "at": NOON, "source": s, "externalId": x} for s, x in pairs]
    assert (await logged(graphql, *events))["created"] == [True] * len(pairs)


async def test_a_second_call_ends_a_span_and_changes_nothing_else(graphql: Graph) -> None:
    id_ = await an_experiment(graphql)
    span = {"objectId": id_, "name": "epoch", "externalId": "1", "at": NOON, "metadata": {"n": 1}}
    await logged(graphql, span)
    end = {**span, "at": "2026-03-01T13:00:00Z", "endedAt": "2026-03-01T12:00:10Z", "metadata": {"n": 2}}
    answer = await logged(graphql, end)
    assert answer["created"] == [False]
    (event,) = answer["events"]
    assert (event["at"], event["endedAt"], event["metadata"]) == (NOON, "2026-03-01T12:00:10.000000Z", {"n": 1})
    later = await logged(graphql, {**end, "endedAt": "2026-03-01T12:00:20Z"}, span)
    assert [event["endedAt"] for event in later["events"]] == ["2026-03-01T12:00:10.000000Z"] * 2


async def test_a_span_may_begin_and_end_in_one_call(graphql: Graph) -> None:
    id_ = await an_experiment(graphql)
    span = {"objectId": id_, "name": "epoch", "at": NOON}
    answer = await logged(graphql, span, {**span, "endedAt": NOON})
    assert answer["created"] == [True, False]
    assert [event["durationMs"] for event in answer["events"]] == [0, 0]


async def test_the_moment_is_now_by_default(graphql: Graph) -> None:
    id_ = await an_experiment(graphql)
    (event,) = (await logged(graphql, {"objectId": id_, "name": "x"}))["events"]
    assert event["at"] == event["recordedAt"]
    assert (event["source"], event["endedAt"], event["durationMs"], event["metadata"]) == ("trainer", None, None, {})


async def test_events_are_listed_by_time_filtered_and_paged(graphql: Graph) -> None:
    id_ = await an_experiment(graphql)
    await logged(
        graphql,
        *(
            {"objectId": id_, "name": f"e{n % 3}", "source": "ab"[n % 2], "at": f"2026-03-01T12:{n:02}:00Z"}
            for n in (5, 3, 9, 0, 7, 1, 8, 2, 6, 4)
        ),
    )
    seen: list[str] = []
    page: dict[str, Any] = {"hasNextPage": True, "endCursor": None}
    while page["hasNextPage"]:
        events = (await listed(graphql, id_, first=4, after=page["endCursor"]))["events"]
        seen += [node["at"] for node in events["nodes"]]
        page = events["pageInfo"]
    assert seen == [f"2026-03-01T12:0{n}:00.000000Z" for n in reversed(range(10))]
    chosen = {"name": {"eq": "e0"}, "source": {"eq": "b"}, "at": {"gt": "2026-03-01T12:03:00Z"}}
    found = (await listed(graphql, id_, filter=chosen))["events"]["nodes"]
    assert [node["at"] for node in found] == ["2026-03-01T12:09:00.000000Z"]
    assert [node["name"] for node in (await listed(graphql, id_))["timeline"]["nodes"]] == [
        f"e{n % 3}" for n in range(10)
    ]


async def test_durations_are_summed_by_name(graphql: Graph) -> None:
    id_ = await an_experiment(graphql)
    spans = [("epoch", 1), ("epoch", 4), ("write", 2)]
    await logged(
        graphql,
        *(
            {"objectId": id_, "name": name, "externalId": str(n), "at": NOON, "endedAt": f"2026-03-01T12:00:0{n}Z"}
            for name, n in spans
        ),
        {"objectId": id_, "name": "open", "at": NOON},
    )
    assert (await listed(graphql, id_))["eventDurations"] == [
        {"name": "epoch", "count": 2, "totalMs": 5000, "meanMs": 2500, "maxMs": 4000},
        {"name": "write", "count": 1, "totalMs": 2000, "meanMs": 2000, "maxMs": 2000},
    ]


async def test_events_change_no_revision_and_leave_no_audit_record(graphql: Graph) -> None:
    id_ = await an_experiment(graphql)
    before = await listed(graphql, id_)
    await logged(graphql, {"objectId": id_, "name": "x"})
    after = await listed(graphql, id_)
    for name in ("revision", "updatedAt", "auditEvents"):
        assert after[name] == before[name]


async def dense(graph: Graph) -> int:
    """The number of streams, each of whose numbers go from 1 to its head without a gap."""
    async with graph.database.connection() as connection:
        rows = await connection.fetch(NUMBERS)
        heads = await connection.fetch(HEADS)
    for head in heads:
        numbers = [row["seq"] for row in rows if row["stream_id"] == head["stream_id"]]
        assert numbers == list(range(1, head["seq"] + 1))
    assert {row["stream_id"] for row in rows} <= {head["stream_id"] for head in heads}
    return len(heads)


async def test_events_of_several_roots_are_numbered_without_gaps(graphql: Graph) -> None:
    ids = [await an_experiment(graphql, namespace=f"root-{n}/below") for n in range(3)]
    events = [{"objectId": id_, "name": "x", "externalId": str(n)} for n in range(4) for id_ in ids]
    answer = await logged(graphql, *events)
    assert [event["object"]["id"] for event in answer["events"]] == ids * 4
    await logged(graphql, *events, *events)
    assert await dense(graphql) >= 3


async def test_eight_writers_of_the_same_events_store_each_once(graphql: Graph) -> None:
    ids = [await an_experiment(graphql, f"e{n}") for n in range(3)]
    events = [
        {"objectId": ids[n % 3], "name": "x", **({"externalId": str(n)} if n % 2 else {"at": NOON, "name": f"x{n}"})}
        for n in range(30)
    ]
    calls = [events[n:] + events[:n] for n in range(8)]
    answers = await asyncio.gather(*(logged(graphql, *call) for call in calls))
    assert sum(sum(answer["created"]) for answer in answers) == 30
    by_id = {event["id"] for answer in answers for event in answer["events"]}
    assert len(by_id) == 30
    assert await dense(graphql) >= 1


async def test_a_retry_with_its_key_gets_the_same_answer(graphql: Graph) -> None:
    id_ = await an_experiment(graphql)
    first = await logged(graphql, {"objectId": id_, "name": "x"}, idempotencyKey="k")
    assert await logged(graphql, {"objectId": id_, "name": "x"}, idempotencyKey="k") == first
    assert (await listed(graphql, id_))["events"]["totalCount"] == 1


async def test_a_call_takes_a_thousand_events(graphql: Graph) -> None:
    id_ = await an_experiment(graphql)
    events = [{"objectId": id_, "name": "x", "externalId": str(n)} for n in range(1000)]
    answer = await logged(graphql, *events)
    assert [event["externalId"] for event in answer["events"]] == [str(n) for n in range(1000)]
    refusal = await graphql.refused(LOG, input={"events": [*events, events[0]]})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "events"])
    assert await logged(graphql) == {"created": [], "events": [], "userErrors": []}


BAD_EVENTS: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"name": "a/b"}, "name"),
    ({"name": "x" * 256}, "name"),
    ({"source": " "}, "source"),
    ({"externalId": ""}, "externalId"),
    ({"externalId": "x" * 256}, "externalId"),
    ({"metadata": [1]}, "metadata"),
    ({"at": NOON, "endedAt": "2026-03-01T11:59:59.999999Z"}, "endedAt"),
    ({"endedAt": NOON}, "endedAt"),
    ({"externalId": "known", "endedAt": "2026-03-01T11:59:59Z"}, "endedAt"),
    ({"objectId": "exp_1"}, "objectId"),
]


@pytest.mark.parametrize(("bad", "field"), BAD_EVENTS)
async def test_a_bad_event_is_named_by_its_index_and_none_is_stored(
    graphql: Graph, bad: dict[str, Any], field: str
) -> None:
    id_ = await an_experiment(graphql)
    await logged(graphql, {"objectId": id_, "name": "known", "externalId": "known", "at": NOON})
    good = {"objectId": id_, "name": "good"}
    refusal = await graphql.refused(LOG, input={"events": [good, {**good, **bad}]})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "events", "1", field])
    assert (await listed(graphql, id_))["events"]["totalCount"] == 1


async def test_a_moment_needs_its_offset(graphql: Graph) -> None:
    id_ = await an_experiment(graphql)
    with pytest.raises(RequestErrors):
        await graphql(LOG, input={"events": [{"objectId": id_, "name": "x", "at": "2026-03-01T12:00:00"}]})


async def test_who_may_report(graphql: Graph, caller_with: Callers) -> None:
    seen = await an_experiment(graphql, namespace="vision")
    hidden = await an_experiment(graphql, namespace="audio")
    writer = graphql.by(await caller_with("WRITER", "vision"))
    assert (await logged(writer, {"objectId": seen, "name": "x"}))["created"] == [True]
    both = {"events": [{"objectId": seen, "name": "y"}, {"objectId": hidden, "name": "y"}]}
    refusal = await writer.refused(LOG, input=both)
    assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "events", "1", "objectId"])
    reader = graphql.by(await caller_with("READER", "vision"))
    refusal = await reader.refused(LOG, input={"events": both["events"][:1]})
    assert (refusal["code"], refusal["path"]) == ("FORBIDDEN", ["input", "events", "0", "objectId"])
    assert (await listed(graphql, seen))["events"]["totalCount"] == 1
