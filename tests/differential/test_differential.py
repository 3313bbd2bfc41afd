"""The server's compiled statements answer as a plain executor over the same rows does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from uuid import UUID

from graphql import parse
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from graphql_schema.errors import RequestErrors
from graphql_schema.schema import graphql_schema
from tests.differential.conftest import SEED, Pair
from tests.differential.documents import Case, cases
from tests.differential.equality import difference
from tests.differential.vocabulary import Vocabulary

VOCABULARY = Vocabulary(SEED)
PLACES = list(SEED.lineages)
SCOPES = st.one_of(st.none(), st.lists(st.sampled_from(PLACES), max_size=3))


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(case=cases(graphql_schema, VOCABULARY), scope=SCOPES)
async def test_generated_documents(pair: Pair, case: Case, scope: Sequence[UUID] | None) -> None:
    pair = pair.by(scope if scope is None else list(scope))
    document = parse(case.text)
    for variables in case.requests:
        with assumed_within_limits():
            actual = await pair.actual(case.text, variables)
        found = difference(pair.expected(document, variables), actual)
        assert found is None, f"{found}\n{case.text}\n{variables}\n{scope}"


@contextlib.contextmanager
def assumed_within_limits() -> Iterator[None]:
    """Some documents are larger than what is served; nothing else may be wrong with them."""
    try:
        yield
    except RequestErrors as refused:
        if any(error.code != "LIMIT_EXCEEDED" for error in refused.errors):
            raise
        reject()
