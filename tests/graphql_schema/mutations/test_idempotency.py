"""Idempotency keys: a retry gets the answer that was lost, and nothing is done twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.graph import Callers, Graph

CREATE = """
    mutation ($input: CreateModelInput!) {
      createModel(input: $input) { created model { id name owner } userErrors { code path message } }
    }
"""
UPDATE = """
    mutation ($input: UpdateModelInput!) {
      updateModel(input: $input) { model { id owner revision } userErrors { code path } }
    }
"""
CHECKPOINT = """
    mutation ($input: CreateCheckpointInput!) {
      createCheckpoint(input: $input) { checkpoint { id } userErrors { code path } }
    }
"""
SHORT = "mutation ($input: CreateModelInput!) { again: createModel(input: $input) { new: created model { name } } }"
EXPERIMENT = "mutation { createExperiment(input: {}) { experiment { id } } }"
COUNT = "{ models { nodes { id } } checkpoints { nodes { id } } auditEvents { nodes { id } } }"


async def counts(graphql: Graph) -> dict[str, int]:
    return {key: len(page["nodes"]) for key, page in (await graphql(COUNT)).items()}


async def test_a_retry_gets_the_first_answer(graphql: Graph) -> None:
    wanted = {"name": "m", "metadata": {"a": 1, "b": [{"c": None}]}, "idempotencyKey": "k"}
    first = await graphql.change(CREATE, input=wanted)
    again = await graphql.change(CREATE, input={**wanted, "metadata": {"b": [{"c": None}], "a": 1}})
    assert again == first
    assert again["created"] is True
    assert await counts(graphql) == {"models": 1, "checkpoints": 0, "auditEvents": 2}


async def test_a_retry_may_ask_for_other_fields(graphql: Graph) -> None:
    wanted = {"name": "m", "idempotencyKey": "k"}
    await graphql.change(CREATE, input=wanted)
    assert await graphql(SHORT, input=wanted) == {"again": {"new": True, "model": {"name": "m"}}}


async def test_what_is_not_unique_is_made_once(graphql: Graph) -> None:
    experiment = (await graphql.change(EXPERIMENT))["experiment"]["id"]
    wanted = {"experimentId": experiment, "step": 3, "idempotencyKey": "k"}
    ids = [(await graphql.change(CHECKPOINT, input=wanted))["checkpoint"]["id"] for _ in range(3)]
    assert len(set(ids)) == 1
    assert (await counts(graphql))["checkpoints"] == 1


async def test_retries_at_once_do_it_once(graphql: Graph) -> None:
    experiment = (await graphql.change(EXPERIMENT))["experiment"]["id"]
    wanted = {"experimentId": experiment, "idempotencyKey": "k"}
    answers = await asyncio.gather(*(graphql.change(CHECKPOINT, input=wanted) for _ in range(12)))
    assert len({answer["checkpoint"]["id"] for answer in answers}) == 1
    assert (await counts(graphql))["checkpoints"] == 1


@pytest.mark.parametrize("other", [{"owner": "x"}, {"name": "n"}, {"metadata": {"a": True}}, {"metadata": {"a": 1.0}}])
async def test_the_same_key_with_other_input_is_a_conflict(graphql: Graph, other: dict[str, Any]) -> None:
    wanted = {"name": "m", "metadata": {"a": 1}, "idempotencyKey": "k"}
    await graphql.change(CREATE, input=wanted)
    refusal = await graphql.refused(CREATE, input={**wanted, **other})
    assert (refusal["code"], refusal["path"]) == ("CONFLICT", ["input", "idempotencyKey"])


async def test_the_same_key_for_another_mutation_is_a_conflict(graphql: Graph) -> None:
    id_ = (await graphql.change(CREATE, input={"name": "m", "idempotencyKey": "k"}))["model"]["id"]
    refusal = await graphql.refused(UPDATE, input={"id": id_, "patch": {"owner": "x"}, "idempotencyKey": "k"})
    assert refusal["code"] == "CONFLICT"


async def test_a_retry_of_a_change_does_not_undo_a_later_one(graphql: Graph) -> None:
    id_ = (await graphql.change(CREATE, input={"name": "m"}))["model"]["id"]
    wanted = {"id": id_, "patch": {"owner": "first"}, "ifRevision": 1, "idempotencyKey": "k"}
    await graphql.change(UPDATE, input=wanted)
    await graphql.change(UPDATE, input={"id": id_, "patch": {"owner": "second"}})
    assert (await graphql.change(UPDATE, input=wanted))["model"] == {"id": id_, "owner": "second", "revision": 3}


async def test_a_refusal_uses_no_key_up(graphql: Graph) -> None:
    refusal = await graphql.refused(CREATE, input={"name": "a/b", "idempotencyKey": "k"})
    assert refusal["code"] == "INVALID"
    assert (await graphql.change(CREATE, input={"name": "ab", "idempotencyKey": "k"}))["created"] is True


async def test_keys_belong_to_their_actor(graphql: Graph, caller_with: Callers) -> None:
    writer = graphql.by(await caller_with("WRITER", "default"))
    first = await graphql.change(CREATE, input={"name": "m", "idempotencyKey": "k"})
    other = await writer.change(CREATE, input={"name": "n", "idempotencyKey": "k"})
    assert first["model"]["id"] != other["model"]["id"]


async def test_null_is_no_key(graphql: Graph) -> None:
    await graphql.change(CREATE, input={"name": "m", "idempotencyKey": None})
    assert (await graphql.change(CREATE, input={"name": "n", "idempotencyKey": None}))["created"] is True


@pytest.mark.parametrize("length", [0, 256, 1_048_576])
async def test_a_bad_key_is_refused(graphql: Graph, length: int) -> None:
    refusal = await graphql.refused(CREATE, input={"name": "m", "idempotencyKey": "k" * length})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "idempotencyKey"])
    assert (await counts(graphql))["models"] == 0
