"""A request that is read the short way is the one that is read the long way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app import graphql_request, ws_messages
from app.graphql_request import GraphQLRequest, Parameters
from app.ws_messages import Close, Subscribe
from graphql_schema.errors import RequestError
from graphql_schema.typed_variables import Unread

words = st.sampled_from(['"{a}"', '"query"', r'"\u0061"', r'"\ud800"', r'"\ud83d\ude00"', r'"\"query\":"', '"ü"', '""'])
values = st.recursive(
    words | st.sampled_from(["null", "true", "1", "-0.0", "1e400", "[]", "{}", "nul", '"', "[1,]", '{"a"}']),
    lambda inner: (
        st.tuples(words, inner).map(lambda pair: f"{{{pair[0]}: {pair[1]}}}")
        | st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
    ),
    max_leaves=4,
)
names = st.sampled_from(
    ["query", "variables", "operationName", "extensions", "query", "variables", "more", r"qu\u0065ry"]
)
members = st.lists(st.tuples(names, values | words), max_size=5)


def outcome(read: Any, text: Any) -> tuple[Any, ...]:
    """The request, its variables read; or why there is none."""
    try:
        request = read(text)
        variables = request.variables
        if isinstance(variables, Unread):
            variables = variables.read()
    except RequestError as refused:
        return refused.code, refused.message
    return request.query, repr(variables), request.operation_name


def read_slowly(body: bytes) -> GraphQLRequest:
    value = graphql_request.decode(body, "The body")
    if isinstance(value, dict):
        graphql_request.refuse_repeated(body)
    return graphql_request.read(value)


def is_same(quick: tuple[Any, ...], slow: tuple[Any, ...]) -> bool:
    """Where a body is no JSON, the place is counted from the text that was read."""
    return quick == slow or ("is not JSON" in str(quick[1]) and "is not JSON" in str(slow[1]))


@given(members, st.sampled_from(["", " ", "\n  "]))
@example([("query", '"{a}"'), ("variables", '{"query": "variables"}'), ("query", "0")], "")
@example([("query", '"{a}"'), ("variables", "{}"), ("variables", "{}")], "")
@example([("variables", "{}"), ("query", '"{}"'), ("variables", "{}")], "\n  ")
def test_bodies(given_: list[tuple[str, str]], space: str) -> None:
    inside = f",{space}".join(f'"{name}":{space}{value}' for name, value in given_)
    body = f"{{{space}{inside}{space}}}".encode()
    assert is_same(outcome(graphql_request.read_body, body), outcome(read_slowly, body))


def read_frame(text: str) -> GraphQLRequest:
    try:
        message = ws_messages.read(text)
    except Close as close:
        raise RequestError(str(close.code), close.reason) from None
    assert isinstance(message, Subscribe)
    assert message.id == "7"
    return message.request


@given(members)
def test_frames(given_: list[tuple[str, str]]) -> None:
    payload = "{" + ", ".join(f'"{name}": {value}' for name, value in given_) + "}"
    quick, slow = (
        outcome(read_frame, f'{{"id": "7", "type": "subscribe", "payload": {payload}{more}}}')
        for more in ("", ', "more": 1')
    )
    assert is_same(quick, slow)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("more", [{}, {"operationName": "M", "extensions": {}}, {"operationName": None}])
def test_what_programs_send_is_read_the_short_way(separators: tuple[str, str], more: dict[str, Any]) -> None:
    body = json.dumps({"query": "{ a }", "variables": {"query": 1}, **more}, separators=separators).encode()
    parameters = graphql_request._parameters.decode(body)
    assert isinstance(parameters, Parameters)
    assert parameters.fill(len(body))
    request = parameters.request("The body")
    assert request is not None
    assert isinstance(request.variables, Unread)
