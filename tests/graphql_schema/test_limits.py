"""Attacks on the document, before anything is executed: refused, and cheaply.

What is asserted about cost is the number of selections visited, which repeats on every machine.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from graphql import (
    GraphQLSyntaxError,
    Lexer,
    Source,
    TokenKind,
    build_schema,
    get_introspection_query,
    parse,
)
from hypothesis import given
from hypothesis import strategies as st

from graphql_schema.errors import RequestErrors
from graphql_schema.limits import (
    SATURATED,
    DocumentLimits,
    Tally,
    check_document,
    parse_within,
    validate_within,
)

LIMITS = DocumentLimits()
FIELDS = " ".join(f"f{number}: Int" for number in range(1000))
SCHEMA = build_schema(f"type Query {{ a(x: [Int], y: J): Int  b: Query  {FIELDS} }} scalar J")


def prepare(query: str, limits: DocumentLimits = LIMITS) -> None:
    document = parse_within(query, limits)
    check_document(document, limits)
    validate_within(SCHEMA, document)


def refusal(query: str, limits: DocumentLimits = LIMITS) -> tuple[str, object]:
    """The code of the only error, and the limit that it names; also checks its size."""
    with pytest.raises(RequestErrors) as caught:
        prepare(query, limits)
    formatted = [error.formatted() for error in caught.value.errors]
    assert len(json.dumps(formatted)) < 4096
    extensions = formatted[0]["extensions"]
    return extensions["code"], extensions.get("limit")


def fragment(name: str, body: str) -> str:
    return f"fragment {name} on Query {{ {body} }} "


def test_an_ordinary_document_passes() -> None:
    prepare("query ($x: [Int]) { a(x: $x) b { b { ...f } } } fragment f on Query { f1 f2 }")


def test_standard_introspection_passes() -> None:
    query = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, input_value_deprecation=True, one_of=True
    )
    prepare(query)
    document = parse(query)
    assert Tally(document).of(Tally(document).operations[0]).depth == 1


def test_the_exemption_of_introspection_ends_with_its_subtree() -> None:
    query = '{ __type(name: "Query") { ofType { ofType { name } } } ' + "b { " * 20 + "a" + " }" * 21
    assert refusal(query) == ("LIMIT_EXCEEDED", "depth")


def test_introspecting_again_and_again_is_refused() -> None:
    query = "{" + " ".join(f"s{n}: __schema {{ description }}" for n in range(3)) + "}"
    assert refusal(query) == ("LIMIT_EXCEEDED", "introspections")


def test_fragments_that_double_each_other_are_visited_once() -> None:
    doubling = "".join(fragment(f"d{n}", f"b {{ ...d{n + 1} }} c: b {{ ...d{n + 1} }}") for n in range(60))
    query = "{ ...d0 }" + doubling + fragment("d60", "a")
    tally = Tally(parse(query))
    counts = tally.of(tally.operations[0])
    assert counts.fields == counts.aliases == SATURATED
    assert counts.depth == 61
    assert tally.visited == 1 + 60 * 4 + 1
    assert refusal(query) == ("LIMIT_EXCEEDED", "depth")


def test_a_flat_doubling_is_counted_as_often_as_it_is_spread() -> None:
    doubling = "".join(fragment(f"d{n}", f"...d{n + 1} ...d{n + 1}") for n in range(5))
    tally = Tally(parse("{ b { ...d0 } }" + doubling + fragment("d5", "a f1 x: f2")))
    counts = tally.of(tally.operations[0])
    assert (counts.fields, counts.aliases, counts.root_fields, counts.depth) == (1 + 3 * 32, 32, 1, 2)


@pytest.mark.parametrize("operations", [1, 20])
def test_many_operations_do_not_visit_a_fragment_again(operations: int) -> None:
    queries = " ".join(f"query q{n} {{ ...f }}" for n in range(operations))
    tally = Tally(parse(queries + fragment("f", "a f1 f2")))
    assert [tally.of(operation).fields for operation in tally.operations] == [3] * operations
    assert tally.visited == operations + 3


@pytest.mark.parametrize(
    "fragments",
    [
        fragment("x", "...x"),
        fragment("x", "b { ...y }") + fragment("y", "b { ...x }"),
        fragment("x", "...y ...z") + fragment("y", "...z ...x") + fragment("z", "...x ...y"),
    ],
)
def test_circles_end_and_are_named_by_validation(fragments: str) -> None:
    tally = Tally(parse("{ ...x }" + fragments))
    tally.of(tally.operations[0])
    assert tally.visited <= 1 + 2 * 3
    assert refusal("{ ...x }" + fragments) == ("GRAPHQL_VALIDATION_FAILED", None)


def test_a_dense_circle_is_visited_once() -> None:
    circle = "".join(fragment(f"c{n}", " ".join(f"...c{m}" for m in range(20))) for n in range(20))
    tally = Tally(parse("{ ...c0 }" + circle))
    tally.of(tally.operations[0])
    assert tally.visited == 1 + 20 * 20


FLOODS = {
    "aliases": "{ b { " + " ".join(f"x{n}: a" for n in range(31)) + " } }",
    "root_fields": "{ " + " ".join(f"f{n}" for n in range(21)) + " }",
    "directives": "{ " + "a @skip(if: false) " * 2 + "b " + "@skip(if: false) " * 49 + "{ a } }",
    "fields": "{ b { " + " ".join(f"f{n}" for n in range(500)) + " } }",
    "depth": "{ " + "b { " * 20 + "a" + " }" * 21,
    "operations": " ".join(f"query q{n} {{ a }}" for n in range(21)),
    "fragments": "{ a }" + "".join(fragment(f"f{n}", "a") for n in range(101)),
    "tokens": "{" + "a " * 3000 + "}",
    "comparisons": "{ b { " + "b { a } " * 200 + "} }",
}


@pytest.mark.parametrize("limit", FLOODS)
def test_a_flood_names_its_limit(limit: str) -> None:
    assert refusal(FLOODS[limit]) == ("LIMIT_EXCEEDED", limit)


@pytest.mark.parametrize("limit", ["aliases", "root_fields", "directives", "depth"])
def test_a_flood_hidden_in_a_fragment_names_its_limit(limit: str) -> None:
    body = FLOODS[limit].removeprefix("{").removesuffix("}")
    assert refusal("{ ...f }" + fragment("f", body)) == ("LIMIT_EXCEEDED", limit)


def test_one_less_than_the_limit_passes() -> None:
    prepare("{ b { " + " ".join(f"x{n}: a" for n in range(30)) + " } }")
    prepare("{ " + "b { " * 19 + "a" + " }" * 20)
    prepare("{ b { " + " ".join(f"f{n}" for n in range(499)) + " } }")


def test_directives_on_operations_variables_and_fragments_count() -> None:
    query = "query ($x: Int @d @d) @d { ...f @d ... @d { a @d } } fragment f on Query @d { a }"
    tally = Tally(parse(query))
    assert tally.of(tally.operations[0]).directives == 7


def test_unused_fragments_count_as_fields() -> None:
    body = " ".join(f"f{n}" for n in range(501))
    assert refusal("{ a }" + fragment("unused", body)) == ("LIMIT_EXCEEDED", "fields")


def test_every_operation_is_checked() -> None:
    assert refusal("query small { a } query large " + FLOODS["aliases"]) == ("LIMIT_EXCEEDED", "aliases")


def test_a_refusal_says_what_was_found_and_what_to_do() -> None:
    with pytest.raises(RequestErrors) as caught:
        prepare(FLOODS["aliases"])
    (error,) = caught.value.errors
    assert error.formatted() == {
        "message": "The operation uses 31 aliases; the limit `aliases` is 30. Use `nodes(ids:)` or a "
        "filtered list instead of one alias per object.",
        "locations": [{"line": 1, "column": 1}],
        "extensions": {"code": "LIMIT_EXCEEDED", "limit": "aliases", "maximum": 30, "found": 31},
    }


@pytest.mark.parametrize(
    "query",
    [
        "{ b " * 10_000 + "}" * 10_000,
        "{" * 10_000,
        "{ a(x: " + "[" * 10_000 + "]" * 10_000 + ") }",
        "{ a(y: " + "{k: " * 10_000 + "1" + "}" * 10_000 + ") }",
    ],
)
def test_ten_thousand_levels_end_before_the_parser(query: str) -> None:
    assert refusal(query) == ("LIMIT_EXCEEDED", "tokens")
    # Without the limit of tokens, that of nesting stands.
    lenient = replace(LIMITS, tokens=100_000)
    assert refusal(query, lenient) == ("LIMIT_EXCEEDED", "nesting")


@pytest.mark.parametrize(("levels", "passes"), [(98, True), (99, False)])
def test_the_nesting_of_literals_has_a_limit(levels: int, passes: bool) -> None:
    query = "{ a(y: " + "[" * levels + "]" * levels + ") }"
    if passes:
        prepare(query)
    else:
        assert refusal(query) == ("LIMIT_EXCEEDED", "nesting")


def test_brackets_in_strings_and_comments_do_not_nest() -> None:
    prepare('{ a(y: "' + "{" * 500 + '") # ' + "[" * 500 + '\n f1: a(y: """' + "(" * 500 + ' \\""" """) }')


def test_nesting_through_fragments_in_introspection_ends_without_recursion() -> None:
    nested = "".join(fragment_of_type(n) for n in range(60))
    query = '{ __type(name: "Query") { ...t0 } }' + nested + "fragment t60 on __Type { name }"
    assert refusal(query) == ("LIMIT_EXCEEDED", "comparisons")


def fragment_of_type(number: int) -> str:
    inner = "ofType { " * 4 + f"...t{number + 1}" + " }" * 4
    return f"fragment t{number} on __Type {{ {inner} }} "


def test_the_size_is_that_of_utf_8() -> None:
    assert refusal("{ a } #" + "x" * 65_530) == ("LIMIT_EXCEEDED", "query_bytes")
    assert refusal("{ a } #" + "é" * 32_765) == ("LIMIT_EXCEEDED", "query_bytes")
    prepare("{ a } #" + "é" * 32_764)


@pytest.mark.parametrize(
    ("query", "line", "column"),
    [
        ("{ a", 1, 4),
        ("{\n  a(}", 2, 5),
        ("{ }", 1, 3),
        ("", 1, 1),
        ('{ a(y: "' + "x" * 60_000, 1, 60_009),
        ('{ a(y: """' + '\\"""' * 15_000, 1, 60_011),
        ("{ a \ud800 }", 1, 5),
        ('{ a(y: "\\ud800") }', 1, 9),
        ("{ a \0 }", 1, 5),
    ],
)
def test_what_is_not_graphql_is_refused_with_its_place(query: str, line: int, column: int) -> None:
    with pytest.raises(RequestErrors) as caught:
        prepare(query)
    (error,) = caught.value.errors
    assert error.code == "GRAPHQL_PARSE_FAILED"
    assert error.locations == [{"line": line, "column": column}]


@pytest.mark.parametrize(
    "query",
    [
        "{ " + "x" * 60_000 + " }",
        "{ a " + "x" * 60_000 + "(",
        "{ b { " + " ".join("x" * 600 + str(n) for n in range(90)) + " } }",
        "{ a(x: " + "[" * 20 + '"' + "é" * 20_000 + '"' + "]" * 20 + ") }",
    ],
)
def test_an_answer_does_not_repeat_a_long_question(query: str) -> None:
    code, _ = refusal(query)
    assert code in ("GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED")


def test_validation_stops_after_five_errors() -> None:
    with pytest.raises(RequestErrors) as caught:
        prepare("{ b { " + " ".join(f"unknown{n}" for n in range(300)) + " } }")
    messages = [error.message for error in caught.value.errors]
    assert messages[0].startswith("Cannot query field 'unknown0'")
    assert messages[5:] == ["Too many validation errors, error limit reached. Validation aborted."]


PIECES = [*'{}()[]a:!=|&,1é"\\', "$v", "...", "@d", "b1", "-2.5e3"]
STRINGS = ['"s{"', '"\\""', '""', '"""b"""', '"""\\""""""', "#c{\n", "\ufeff", "\t"]
DOCUMENT_TEXT = st.lists(st.sampled_from(PIECES + STRINGS), max_size=30).map(" ".join)


@given(DOCUMENT_TEXT)
def test_the_scan_counts_what_the_lexer_counts(text: str) -> None:
    try:
        tokens = count_tokens(text)
    except GraphQLSyntaxError:
        return  # what does not lex is the parser's to refuse
    assert refused_code(text, replace(LIMITS, tokens=tokens)) != "LIMIT_EXCEEDED"
    if tokens:
        assert refusal(text, replace(LIMITS, tokens=tokens - 1)) == ("LIMIT_EXCEEDED", "tokens")


def count_tokens(text: str) -> int:
    """The library's tokens, with comments, which its lexer skips but links."""
    lexer = Lexer(Source(text))
    token = lexer.token
    while lexer.advance().kind != TokenKind.EOF:
        pass
    count = -1
    while token.next is not None:
        token = token.next
        count += 1
    return count


def refused_code(text: str, limits: DocumentLimits) -> str | None:
    try:
        parse_within(text, limits)
    except RequestErrors as refused:
        return refused.errors[0].code
    return None
