"""Everything that facets tell, of places, filters and callers of all kinds."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphql_schema.schema import graphql_schema
from tests.differential.conftest import SEED, Pair
from tests.differential.documents import Draw, Writer
from tests.differential.equality import difference
from tests.differential.vocabulary import Vocabulary

VOCABULARY = Vocabulary(SEED)
TEXT = """
query ($namespace: String, $descendants: Boolean! = true, $filter: ExperimentFilter, $prefix: String, $first: Int) {
    experimentFacets(namespace: $namespace, descendants: $descendants, filter: $filter) {
        experimentCount isComplete
        metricKeys(prefix: $prefix, first: $first) { key kind experimentCount minLast maxLast }
        hyperparameters(first: $first) { path kind experimentCount min max texts { value experimentCount } }
        statuses { value experimentCount }
        frameworks { value experimentCount }
        labels(first: $first) { value experimentCount }
        groups(first: $first) { value experimentCount }
        owners(first: $first) { value experimentCount }
    }
}
"""


@st.composite
def asked(draw: Draw) -> dict[str, Any]:
    """Variables of a request."""
    assert graphql_schema.query_type is not None
    arguments = graphql_schema.query_type.fields["experimentFacets"].args
    writer = Writer(draw, graphql_schema, VOCABULARY)
    found: dict[str, Any] = {"first": writer.pick([None, 1, 3, 1000])}
    for name, chance in (("filter", 50), ("namespace", 40), ("descendants", 40)):
        if writer.chance(chance):
            found[name] = writer.value(name, arguments[name].type)
    if writer.chance(30):
        found["prefix"] = writer.pick(["", "l", "train", "none"])
    return found


SCOPES = st.one_of(st.none(), st.lists(st.sampled_from(list(SEED.lineages)), max_size=3))


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(variables=asked(), scope=SCOPES)
async def test_facets(pair: Pair, variables: dict[str, Any], scope: list[UUID] | None) -> None:
    pair = pair.by(scope)
    found = difference(pair.expected(TEXT, variables), await pair.actual(TEXT, variables))
    assert found is None, f"{found}\n{variables}\n{scope}"
