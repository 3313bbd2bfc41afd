"""NUL and lone surrogates are refused wherever a string can stand, with the place."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import parse

from graphql_schema.errors import RequestError, RequestErrors
from graphql_schema.strings import check_literals, check_variables


def refusal(caught: pytest.ExceptionInfo[RequestErrors]) -> RequestError:
    (error,) = caught.value.errors
    assert error.code == "BAD_USER_INPUT"
    return error


@pytest.mark.parametrize(
    ("query", "place"),
    [
        (r'{ model(name: "a\u0000") { id } }', "`name`"),
        (r'{ model(name: "a\u{0}") { id } }', "`name`"),
        (r'mutation { createModel(input: {labels: ["ok", "\u0000"]}) { id } }', "`input.labels`"),
        (r'query ($n: String = "\u0000") { model(name: $n) { id } }', "`$n`"),
        (r'{ model @note(text: "\u0000") { id } }', "`text`"),
        (r'{ a { ...f } } fragment f on A { b { c(d: "\u0000") } }', "`d`"),
    ],
)
def test_literals(query: str, place: str) -> None:
    with pytest.raises(RequestErrors) as caught:
        check_literals(parse(query))
    error = refusal(caught)
    assert error.message == f"{place} contains a NUL character (U+0000), which cannot be stored. Remove it."
    opening_quote = query.rindex('"', 0, query.index("\\u"))
    assert error.locations == [{"line": 1, "column": opening_quote + 1}]


def test_other_escapes_and_descriptions_are_fine() -> None:
    check_literals(parse(r'{ model(name: "\u00e9 \\u0000", note: """\u0000""") { id } }'))


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"name": "a\0"}, "$name"),
        ({"input": {"tags": ["a", "b", {"c": "\0"}]}}, "$input.tags[2].c"),
        ({"input": {"a\0": 1}}, "$input.a\\x00"),
        ({"a\0": 1, "b": "\0"}, "$b"),
        ({"input": {"k" * 500: "\0"}}, "$input." + "k" * 60),
        ({"big": 2**70, "s": "\0"}, "$s"),
    ],
)
def test_variables(variables: dict[str, Any], place: str) -> None:
    with pytest.raises(RequestErrors) as caught:
        check_variables(variables)
    assert refusal(caught).message.startswith(f"`{place}` contains a NUL character (U+0000)")


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\udc00\ud800"])
def test_lone_surrogates(text: str) -> None:
    with pytest.raises(RequestErrors) as caught:
        check_variables({"input": [text]})
    message = refusal(caught).message
    assert message.startswith("`$input[0]` contains a lone surrogate (U+D")
    message.encode()


def test_what_can_be_stored_passes() -> None:
    check_variables(None)
    check_variables({})
    check_variables({"a": "😀 \\u0000 \x01", "b": [1, None, True, 2.5, {"c": "\uffff"}], "big": 2**70})


def test_deep_variables_cost_no_recursion() -> None:
    value: list[Any] = ["\0"]
    for _ in range(100_000):
        value = [value]
    with pytest.raises(RequestErrors) as caught:
        check_variables({"deep": value})
    assert len(refusal(caught).message) < 400
