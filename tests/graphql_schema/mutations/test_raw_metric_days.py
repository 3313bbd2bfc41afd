"""How long a namespace keeps raw points of metrics: set by maintainers, inherited, audited."""

from __future__ import annotations

from typing import Any

import pytest

from db.access import Role
from tests.graph import Callers, Graph

CREATE = """
    mutation ($path: String!, $days: Int) {
      createNamespace(input: {path: $path, rawMetricDays: $days}) {
        namespace { id rawMetricDays effectiveRawMetricDays } userErrors { code path message }
      }
    }
"""
UPDATE = """
    mutation ($id: ID!, $days: Int) {
      updateNamespace(input: {id: $id, patch: {rawMetricDays: $days}}) {
        namespace { rawMetricDays effectiveRawMetricDays }
        userErrors { code path message }
      }
    }
"""
READ = """
    query ($path: String!) {
      namespace(by: {path: $path}) {
        id rawMetricDays effectiveRawMetricDays auditEvents(first: 1) { nodes { action before after } }
      }
    }
"""


async def days(graphql: Graph, path: str) -> tuple[Any, Any]:
    found = (await graphql(READ, path=path))["namespace"]
    return found["rawMetricDays"], found["effectiveRawMetricDays"]


async def test_the_nearest_setting_holds(graphql: Graph) -> None:
    for path, value in {"a": 90, "a/b": None, "a/b/c": 7, "d": None}.items():
        await graphql.change(CREATE, path=path, days=value)
    assert [await days(graphql, path) for path in ("a", "a/b", "a/b/c", "d")] == [
        (90, 90),
        (None, 90),
        (7, 7),
        (None, None),
    ]


async def test_it_is_changed_and_audited_like_anything_else(graphql: Graph) -> None:
    await graphql.change(CREATE, path="a", days=90)
    id_ = (await graphql.change(CREATE, path="a/b", days=7))["namespace"]["id"]
    changed = (await graphql.change(UPDATE, id=id_, days=30))["namespace"]
    assert (changed["rawMetricDays"], changed["effectiveRawMetricDays"]) == (30, 30)
    assert (await graphql(READ, path="a/b"))["namespace"]["auditEvents"]["nodes"] == [
        {"action": "UPDATE", "before": {"rawMetricDays": 7}, "after": {"rawMetricDays": 30}}
    ]
    changed = (await graphql.change(UPDATE, id=id_, days=None))["namespace"]
    assert (changed["rawMetricDays"], changed["effectiveRawMetricDays"]) == (None, 90)


@pytest.mark.parametrize("value", [0, -1, 36_501])
async def test_its_bounds(graphql: Graph, value: int) -> None:
    refusal = await graphql.refused(CREATE, path="a", days=value)
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "rawMetricDays"])
    await graphql.change(CREATE, path="a", days=36_500)
    id_ = (await graphql(READ, path="a"))["namespace"]["id"]
    refusal = await graphql.refused(UPDATE, id=id_, days=value)
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "patch", "rawMetricDays"])


async def test_writers_do_not_say_how_long_points_stay(graphql: Graph, caller_with: Callers) -> None:
    writer = graphql.by(await caller_with(Role.WRITER, "a"))
    refusal = await writer.refused(CREATE, path="a/b", days=1)
    assert (refusal["code"], refusal["path"]) == ("FORBIDDEN", ["input", "rawMetricDays"])
    id_ = (await writer.change(CREATE, path="a/b"))["namespace"]["id"]
    assert (await writer.refused(UPDATE, id=id_, days=1))["code"] == "FORBIDDEN"
    maintainer = graphql.by(await caller_with(Role.MAINTAINER, "a"))
    assert (await maintainer.change(CREATE, path="a/c", days=1))["namespace"]["rawMetricDays"] == 1
    await maintainer.change(UPDATE, id=id_, days=1)
