"""What stands in variables is judged in every request, also by a plan that was made for other values."""

from __future__ import annotations

from typing import Any

import pytest

from graphql_schema.errors import RequestErrors
from tests.graph import Graph

MATCHES = "query ($glob: String!) { models(filter: {name: {matches: $glob}}) { nodes { name } } }"
NAMED = "mutation ($name: String!) { createModel(input: {name: $name}) { created userErrors { message } } }"
TWO = """
mutation ($name: String!, $x: JSON) {
  one: createModel(input: {name: $name}) { created }
  two: createModel(input: {name: "two", metadata: {inside: {of: $x}}}) { created }
}
"""
NAMES = "{ models { nodes { name } } }"


async def refusal_of(graph: Graph, query: str, **variables: Any) -> tuple[str, str]:
    with pytest.raises(RequestErrors) as refusal:
        await graph(query, **variables)
    (error,) = refusal.value.errors
    return error.code, error.message


@pytest.mark.parametrize("glob", ["a" * 256, "a" * 100_000, "*?" * 11])
async def test_a_glob_too_long_is_refused_whatever_was_planned_before(graphql: Graph, glob: str) -> None:
    assert await graphql(MATCHES, glob="a*") == {"models": {"nodes": []}}
    code, message = await refusal_of(graphql, MATCHES, glob=glob)
    assert (code, message.partition(":")[0]) == ("BAD_USER_INPUT", "Argument 'filter.name.matches'")


@pytest.mark.parametrize("name", ["a.c", "a^$", r"[x](y){z}|\d", "+-#~ &!", "Ⓐ∑é😀", "a**c"])
async def test_a_glob_takes_everything_else_literally(graphql: Graph, name: str) -> None:
    for each in (name, "abc", "axc", "a"):
        await graphql.change(NAMED, name=each)
    glob = name.replace("**", "*")
    found = (await graphql(MATCHES, glob=glob))["models"]["nodes"]
    assert {"name": name} in found
    assert len(found) == (3 if "*" in name else 1)


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("type_", "value", "fault"),
    [
        ("DateTime", "2026-01-01T00:00:00Z", "a datetime"),
        ("Role", "READER", "a Role"),
        ("MetricValue", "NaN", "nan"),
        ("Base64", "aGk=", "a bytes"),
        ("JSON", deep(63), "nests too deeply"),
        ("JSON", "x" * 1_048_000, None),
    ],
)
async def test_json_of_literal_and_variable_is_checked_as_a_whole(
    graphql: Graph, type_: str, value: Any, fault: str | None
) -> None:
    query = (
        f"mutation ($x: {type_}) {{"
        ' createModel(input: {name: "m", metadata: {a: {b: $x}, c: $x}}) { created } }'
    )
    code, message = await refusal_of(graphql, query, x=value)
    assert code == "BAD_USER_INPUT"
    assert (fault or "At most 1 MiB") in message


async def test_a_refused_input_refuses_the_mutations_before_it_too(graphql: Graph) -> None:
    await graphql(TWO, name="one", x=1)
    code, _ = await refusal_of(graphql, TWO, name="three", x=deep(63))
    assert code == "BAD_USER_INPUT"
    assert (await graphql(NAMES))["models"]["nodes"] == [{"name": "two"}, {"name": "one"}]


@pytest.mark.parametrize("variables", [{}, {"id": None}])
async def test_a_nullable_variable_may_not_leave_out_the_only_way(graphql: Graph, variables: dict[str, Any]) -> None:
    code, message = await refusal_of(graphql, "query ($id: ID) { model(by: {id: $id}) { id } }", **variables)
    assert (code, message) == ("BAD_USER_INPUT", "Argument 'by': give exactly one way, not null.")
