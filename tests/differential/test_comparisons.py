"""Experiments side by side, and groups of them, whoever asks."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphql_schema.schema import graphql_schema
from tests.differential import comparisons as _comparisons  # noqa: F401 - declares its part of the reference
from tests.differential.conftest import SEED, Pair
from tests.differential.documents import Draw, Writer
from tests.differential.equality import difference
from tests.differential.vocabulary import JSON_PATHS, Vocabulary

VOCABULARY = Vocabulary(SEED)
IDS = VOCABULARY.ids["experiment"]
COMPARE = """
query ($ids: [ID!]!, $keys: [String!], $baseline: ID, $different: Boolean! = true, $first: Int) {
    compare(experimentIds: $ids, keys: $keys, baselineId: $baseline) {
        experiments { id name group }
        hyperparameters(onlyDifferent: $different, first: $first) { path values isDifferent }
        metrics {
            key kind
            series {
                series { key kind count first last min max mean }
                deltas {
                    last { absolute relative }
                    min { absolute relative }
                    max { absolute relative }
                    mean { absolute relative }
                }
            }
        }
    }
}
"""
AGGREGATE = """
query ($namespace: String, $filter: ExperimentFilter, $ids: [ID!], $by: [[String!]!], $keys: [String!]!) {
    aggregateMetrics(namespace: $namespace, filter: $filter, experimentIds: $ids, groupBy: $by, keys: $keys) {
        experimentCount isComplete groupCount
        groups { values experimentCount experiments { id name } metrics { key experimentCount } }
    }
}
"""
SCOPES = st.one_of(st.none(), st.lists(st.sampled_from(list(SEED.lineages)), max_size=3))
EVERYWHERE = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@st.composite
def compared(draw: Draw) -> dict[str, Any]:
    """Variables of a comparison."""
    found: dict[str, Any] = {"ids": draw(st.lists(st.sampled_from(IDS), min_size=2, max_size=8))}
    found["keys"] = draw(st.one_of(st.none(), st.lists(st.sampled_from(VOCABULARY.keys), max_size=4)))
    found["baseline"] = draw(st.one_of(st.none(), st.sampled_from(IDS)))
    return {**found, "different": draw(st.booleans()), "first": draw(st.sampled_from([None, 1, 3]))}


@st.composite
def aggregated(draw: Draw) -> dict[str, Any]:
    """Variables of an aggregation."""
    assert graphql_schema.query_type is not None
    arguments = graphql_schema.query_type.fields["aggregateMetrics"].args
    writer = Writer(draw, graphql_schema, VOCABULARY)
    found: dict[str, Any] = {
        name: writer.value(name, arguments[name].type) for name in ("namespace", "filter") if writer.chance(40)
    }
    found["ids"] = draw(st.one_of(st.none(), st.lists(st.sampled_from(IDS), max_size=20)))
    found["by"] = draw(st.one_of(st.none(), st.lists(st.sampled_from(JSON_PATHS), max_size=3)))
    return {**found, "keys": draw(st.lists(st.sampled_from(VOCABULARY.keys), min_size=1, max_size=3))}


@EVERYWHERE
@given(variables=compared(), scope=SCOPES)
async def test_comparisons(pair: Pair, variables: dict[str, Any], scope: list[UUID] | None) -> None:
    pair = pair.by(scope)
    found = difference(pair.expected(COMPARE, variables), await pair.actual(COMPARE, variables))
    assert found is None, f"{found}\n{variables}\n{scope}"


@EVERYWHERE
@given(variables=aggregated(), scope=SCOPES)
async def test_groups(pair: Pair, variables: dict[str, Any], scope: list[UUID] | None) -> None:
    """In whatever order: PostgreSQL has one of its own for JSON."""
    pair = pair.by(scope)
    expected, actual = pair.expected(AGGREGATE, variables), await pair.actual(AGGREGATE, variables)
    for answer in (expected, actual):
        answer["aggregateMetrics"]["groups"].sort(key=lambda group: group["experiments"][0]["id"])
    found = difference(expected, actual)
    assert found is None, f"{found}\n{variables}\n{scope}"
