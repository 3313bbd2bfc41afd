"""Variables with more list items than any request needs."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import build_schema, parse

from graphql_schema.errors import RequestErrors
from graphql_schema.input_size import MAX_ITEMS, check_items, listed_variables

SCHEMA = build_schema(
    """
    scalar JSON
    input Point { step: Int value: Float }
    input Batch { name: String points: [Point!] inner: Batch tags: [[String]] notes: JSON }
    type Query {
      ids(ids: [ID!]!): Int  batch(batch: Batch!): Int
      batches(batches: [Batch!]!): Int  json(json: JSON, name: ID): Int
    }
    """
)


def check(declared: str, **variables: Any) -> None:
    document = parse(f"query ({declared}) {{ ids(ids: []) }}")
    (definition,) = document.definitions
    check_items(listed_variables(SCHEMA, definition), variables)  # type: ignore[arg-type]


WITHIN = [
    ("$ids: [ID!]!", {"ids": ["x"] * MAX_ITEMS}),
    ("$ids: [ID!]!", {"ids": "x"}),
    ("$ids: [ID!]!", {"ids": None}),
    ("$ids: [ID!]!", {}),
    ("$batch: Batch", {"batch": {"points": [{"step": 1}] * MAX_ITEMS}}),
    ("$batch: Batch", {"batch": {"notes": [0] * 10 * MAX_ITEMS, "unknown": [0] * 10 * MAX_ITEMS}}),
    ("$batch: Batch", {"batch": "no object"}),
    ("$json: JSON, $name: ID", {"json": [[0] * 10 * MAX_ITEMS], "name": "x"}),
]
BEYOND = [
    ("$ids: [ID!]!", {"ids": ["x"] * (MAX_ITEMS + 1)}),
    ("$ids: [ID]", {"ids": [None] * (MAX_ITEMS + 1)}),
    ("$ids: [ID!]!, $more: [ID]", {"ids": ["x"] * MAX_ITEMS, "more": ["y"]}),
    ("$batch: Batch!", {"batch": {"inner": {"inner": {"points": [{}] * (MAX_ITEMS + 1)}}}}),
    ("$batch: Batch", {"batch": {"tags": [["x"] * 200] * 200}}),
    ("$batches: [Batch!]!", {"batches": [{"points": [{}] * 200}] * 200}),
    ("$batches: [Batch!]!", {"batches": {"points": [{}] * (MAX_ITEMS + 1)}}),
]


@pytest.mark.parametrize(("declared", "variables"), WITHIN)
def test_within(declared: str, variables: dict[str, Any]) -> None:
    check(declared, **variables)


@pytest.mark.parametrize(("declared", "variables"), BEYOND)
def test_beyond(declared: str, variables: dict[str, Any]) -> None:
    with pytest.raises(RequestErrors) as refusal:
        check(declared, **variables)

    (error,) = refusal.value.errors
    assert error.code == "LIMIT_EXCEEDED"
    assert error.extensions == {"limit": "items", "maximum": MAX_ITEMS}
