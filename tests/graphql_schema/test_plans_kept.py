"""A mutation is planned once, however many points its input holds."""

from __future__ import annotations

from typing import Any

from graphql_schema.schema import documents

LOG = """
    mutation ($input: LogMetricsInput!, $first: Int) {
      logMetrics(input: $input) { series { points(first: $first) { nodes { value } } } }
    }
"""
LOG_POINTS = """
    mutation ($id: ID!, $points: [MetricPointInput!]!) {
      logMetrics(input: {objectId: $id, points: $points}) { pointCount }
    }
"""


def prepared(query: str, **variables: Any) -> Any:
    operation = documents.prepare(query)
    return operation.mutations(operation.coerced(variables), restricted=False)


def points(count: int, **also: Any) -> list[dict[str, Any]]:
    return [{"key": "k", "value": n, **also} for n in range(count)]


def test_what_stands_in_the_input_makes_no_other_plan() -> None:
    inputs = [
        {"objectId": "mod_1", "points": points(1)},
        {"objectId": "exp_1", "points": points(1000, step=1)},
        {"objectId": "exp_1", "points": [], "idempotencyKey": "k"},
    ]
    first, *others = [prepared(LOG, input=each, first=5) for each in inputs]
    assert all(plan is first for plan in others)
    assert prepared(LOG, input=inputs[0], first=6) is not first
    assert prepared(LOG_POINTS, id="mod_1", points=points(1)) is prepared(LOG_POINTS, id="mod_2", points=points(9))


def test_each_call_gets_its_own_input() -> None:
    for count in (1, 3):
        operation = documents.prepare(LOG_POINTS)
        values = operation.coerced({"id": "mod_1", "points": points(count)})
        (mutation,) = operation.mutations(values, restricted=False)
        assert not isinstance(mutation, tuple)
        found = mutation.call(values).arguments["points"]
        assert [(point.key, point.value) for point in found] == [("k", float(number)) for number in range(count)]
