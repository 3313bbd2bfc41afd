"""Documents drawn over the schema's own type graph, with the variables of two requests for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_composite_type,
)
from hypothesis import strategies as st

from tests.differential.vocabulary import JSON_PATHS, Vocabulary, texts

DEPTH = 7
FIELDS = 22
ALIASES = 24
REQUESTS = 2
LEFT_OUT = {
    "Server.time",
    "Query.__schema",
    "Query.__type",
    "Query.feedCursor",
    "Query.compare",
    "Query.aggregateMetrics",
}
CURSORS = ("after", "before")
STEPS = [-(2**53) + 1, -1, 0, 1, 2, 3, 10, 20, 2**31, 2**53 - 1]
FLOATS = [*STEPS, -1e308, -0.5, 0.0, 0.1, 1.5, 946684800.5, 1e308]
"""Ends of ranges."""
# In a hundred. `first` and `last` together are refused, and walks in both directions are a test of their own.
LIKELIHOOD = {"first": 60, "last": 0, "namespace": 20}
OPERATORS = ("eq", "ne", "in", "lt", "lte", "gt", "gte", "startsWith", "contains", "matches")

Composite = GraphQLObjectType | GraphQLInterfaceType
Draw = Callable[[st.SearchStrategy[Any]], Any]
Given = dict[str, GraphQLArgument] | dict[str, GraphQLInputField]


@dataclass(frozen=True)
class Case:
    """A document, and what its variables hold in each request."""

    text: str
    requests: Sequence[dict[str, Any]]


class Word(str):
    """A value that is written without quotes: an enumeration's."""

    __slots__ = ()


ABSENT = object()


@dataclass
class Writer:
    """Writes one document."""

    draw: Draw
    schema: GraphQLSchema
    vocabulary: Vocabulary
    fields: int = 0
    aliases: int = 0
    variables: dict[str, str] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=lambda: [{} for _ in range(REQUESTS)])
    fragments: list[str] = field(default_factory=list)
    column: Sequence[Any] = ()

    def chance(self, percent: int) -> bool:
        return bool(self.draw(st.integers(0, 99)) < percent)

    def pick(self, values: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(values))

    def document(self) -> Case:
        query = self.schema.query_type
        assert query is not None
        body = self.selection(query, 1)
        declared = ", ".join(f"${name}: {type_}" for name, type_ in self.variables.items())
        head = f"query Q({declared}) " if declared else self.pick(["", "query ", "query Named "])
        return Case("\n".join([head + body, *self.fragments]), self.requests)

    def selection(self, type_: Composite, depth: int) -> str:
        """`{ … }` of some fields of a type, some of them in fragments."""
        count = self.pick([1, 2, 2, 3, 4]) if depth < DEPTH else 2
        parts = [self.field(type_, depth) for _ in range(count)]
        if isinstance(type_, GraphQLInterfaceType):
            parts += [self.on_one_of(type_, depth) for _ in range(self.pick([1, 2]))]
        parts = [part for part in parts if part] or ["__typename"]
        if self.chance(8):
            parts.append(min(parts, key=len))
        return "{ " + " ".join(parts) + " }"

    def on_one_of(self, type_: GraphQLInterfaceType, depth: int) -> str:
        """An inline fragment on a type (or an interface) that may stand here; its fields have names of their own."""
        possible: list[Any] = list(self.schema.get_possible_types(type_))
        entity = self.schema.type_map.get("Entity")
        chosen = self.pick([*possible, entity] if type_.name == "Node" else possible)
        parts = [self.field(chosen, depth, renamed=True) for _ in range(self.pick([1, 2]))]
        return f"... on {chosen.name}{self.directive()} {{ {' '.join(filter(None, parts)) or '__typename'} }}"

    def field(self, type_: Composite, depth: int, *, renamed: bool = False) -> str:
        """One field, or nothing when the document is large enough."""
        self.fields += 1
        usable = {name: one for name, one in type_.fields.items() if self.is_usable(type_, name, one, depth)}
        if self.fields > FIELDS or self.aliases > ALIASES or not usable:
            return ""
        edges = [name for name, one in usable.items() if is_composite_type(get_named_type(one.type))]
        name = self.pick(edges if edges and self.chance(50) else [*usable, "__typename"])
        text, inner = name, None
        if name != "__typename":
            text, inner = self.with_arguments(name, usable[name]), get_named_type(usable[name].type)
        if renamed or text != name or self.chance(10):
            self.aliases += 1
            text = f"{self.alias()}: {text}"
        text += self.directive()
        if isinstance(inner, Composite):
            text += " " + self.selection(inner, depth + 1)
        return self.wrapped(type_, text)

    def alias(self) -> str:
        return f"a{self.aliases}" + ("_" * 70 if self.chance(3) else "")

    def is_usable(self, type_: Composite, name: str, field_: GraphQLField, depth: int) -> bool:
        return f"{type_.name}.{name}" not in LEFT_OUT and (
            depth < DEPTH or not is_composite_type(get_named_type(field_.type))
        )

    def wrapped(self, type_: Composite, text: str) -> str:
        """Sometimes the field is in a fragment, named or not."""
        if self.chance(85):
            return text
        way = self.pick(["untyped", "typed", "named"])
        if way == "untyped":
            return f"...{self.directive()} {{ {text} }}"
        if way == "named":
            name = f"F{len(self.fragments)}"
            self.fragments.append(f"fragment {name} on {type_.name} {{ {text} }}")
            return f"...{name}{self.directive()}"
        return f"... on {type_.name} {{ {text} }}"

    def directive(self) -> str:
        if not self.chance(6):
            return ""
        name = self.pick(["skip", "include"])
        if self.chance(50):
            variable = self.variable("Boolean!", [self.chance(50) for _ in range(REQUESTS)])
            return f" @{name}(if: {variable})"
        return f" @{name}(if: {'true' if name == 'include' or self.chance(20) else 'false'})"

    def variable(self, type_: str, values: Sequence[Any]) -> str:
        """A new variable with a value for each request."""
        name = f"v{len(self.variables)}"
        self.variables[name] = type_
        for request, value in zip(self.requests, values, strict=True):
            if value is not ABSENT:
                request[name] = value
        return f"${name}"

    def with_arguments(self, name: str, field_: GraphQLField) -> str:
        if name in ("sample", "columns") and "range" in field_.args:
            return self.of_points(name)
        parts = []
        for argument, definition in field_.args.items():
            if argument in CURSORS or not (is_needed(definition) or self.chance(LIKELIHOOD.get(argument, 35))):
                continue
            parts.append(f"{argument}: {self.argument(argument, definition.type)}")
        return f"{name}({', '.join(parts)})" if parts else name

    def of_points(self, name: str) -> str:
        """A sample or columns of a series, with arguments that go together."""
        parts = []
        if name == "sample":
            # LTTB is of its own kind; what it keeps is tested where it is made.
            parts += [f"method: {self.pick(['MINMAX', 'MINMAX', 'LAST', 'MEAN'])}"] if self.chance(60) else []
            parts += [f"maxPoints: {self.argument('maxPoints', GraphQLNonNull(GraphQLInt))}"] if self.chance(80) else []
            axis = self.pick(["", "STEP", "WALL_TIME", "RELATIVE_TIME", "METRIC"])
            parts += [f"x: {axis}"] if axis else []
            parts += [f"xKey: {json.dumps(self.pick(self.vocabulary.keys))}"] if axis == "METRIC" else []
        if self.chance(40):
            type_, pool = ("SampleRange", FLOATS) if name == "sample" else ("StepRange", STEPS)
            ends = [sorted(self.pick(pool) for _ in range(2)) for _ in range(REQUESTS)]
            which = self.pick([("from", "to"), ("from",), ("to",), ()])
            given = [
                {end: value for end, value in zip(("from", "to"), pair, strict=True) if end in which} for pair in ends
            ]
            parts.append(f"range: {self.variable(type_, given) if self.chance(50) else literal(given[0])}")
        return f"{name}({', '.join(parts)})" if parts else name

    def argument(self, name: str, type_: GraphQLInputType) -> str:
        """A value as written in the document, or a variable."""
        if self.chance(30):
            values = [self.value(name, type_) for _ in range(REQUESTS)]
            is_optional = not isinstance(type_, GraphQLNonNull)
            if is_optional and self.chance(20):
                values[self.pick(range(REQUESTS))] = self.pick([None, ABSENT])
            return self.variable(str(type_), values)
        nullable = get_nullable_type(type_)
        if isinstance(nullable, GraphQLInputObjectType) and not nullable.is_one_of:
            fields = self.object(nullable, self.argument)
            return "{" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}"
        if not isinstance(type_, GraphQLNonNull) and self.chance(4):
            return "null"
        return literal(self.value(name, type_))

    def object(self, type_: GraphQLInputObjectType, make: Callable[[str, GraphQLInputType], Any]) -> dict[str, Any]:
        """Some fields of an input object."""
        if type_.name.endswith("Order"):
            return self.order(type_, make)
        needed = [name for name, definition in type_.fields.items() if is_needed(definition)]
        others = [name for name in type_.fields if name not in needed]
        more = self.pick([1, 1, 1, 1, 2, 2, 3, 0]) if others else 0
        chosen = {*needed, *(self.pick(others) for _ in range(more))}
        found, outer = {}, self.column
        for name in filter(chosen.__contains__, type_.fields):
            if type_.name in self.vocabulary.columns:
                self.column = self.vocabulary.columns[type_.name].get(name, [])
            found[name] = make(name, type_.fields[name].type)
        self.column = outer
        return found

    def order(self, type_: GraphQLInputObjectType, make: Callable[[str, GraphQLInputType], Any]) -> dict[str, Any]:
        """Exactly one of the ways to order, where there is a choice."""
        ways = [name for name in ("field", "metric", "hyperparameter") if name in type_.fields]
        chosen = {self.pick(ways)} if ways else set(type_.fields)
        found = {}
        for name in [*chosen, *(["direction"] if "direction" in type_.fields and self.chance(60) else [])]:
            inner = type_.fields[name].type
            found[name] = make(name, inner if isinstance(inner, GraphQLNonNull) else GraphQLNonNull(inner))
        return found

    def value(self, name: str, type_: GraphQLInputType) -> Any:
        """A value as JSON variables hold it."""
        nullable = get_nullable_type(type_)
        if isinstance(nullable, GraphQLList):
            return self.list(name, nullable)
        if isinstance(nullable, GraphQLInputObjectType):
            return self.one_of(nullable) if nullable.is_one_of else self.object(nullable, self.value)
        if isinstance(nullable, GraphQLEnumType):
            return Word(self.pick(list(nullable.values)))
        assert isinstance(nullable, GraphQLScalarType)
        return self.scalar(name, nullable.name)

    def list(self, name: str, type_: GraphQLList[Any]) -> Any:
        if name == "path":
            return self.pick(JSON_PATHS)
        if name == "ids":
            return [self.pick(self.vocabulary.every_id) for _ in range(self.pick([0, 1, 3, 6]))]
        if name == "keys":
            pool = [*self.vocabulary.keys, *self.vocabulary.metadata_keys]
            return [self.pick(pool) for _ in range(self.pick([0, 1, 3]))]
        return [self.value(name, type_.of_type) for _ in range(self.pick([0, 1, 1, 2]))]

    def scalar(self, name: str, type_name: str) -> Any:
        if name == "maxPoints":
            return self.pick([2, 2, 3, 4, 5, 10, 100, 10_000])
        if name in OPERATORS and self.column and self.chance(70):
            return self.near(name, self.pick(self.column))
        pools = self.vocabulary.scalars
        return self.pick(pools[type_name]) if type_name in pools else self.draw(texts(self.vocabulary, name))

    def near(self, operator: str, stored: Any) -> Any:
        """A value that may be found: one that is stored, or a part of it."""
        if operator == "startsWith":
            return stored[: self.pick([1, 2, 40])]
        if operator == "contains":
            return stored[self.pick([0, 1, -1]) :]
        return "*" + stored[1:] if operator == "matches" else stored

    def one_of(self, type_: GraphQLInputObjectType) -> dict[str, Any]:
        """One of the ways to find an object; mostly one that exists."""
        way = self.pick(list(type_.fields))
        table = {"NamespaceBy": "namespace", "ModelVersionBy": "model_version"}.get(
            type_.name, type_.name.removesuffix("By").lower()
        )
        if way == "id":
            return {way: self.pick(self.vocabulary.ids[table])}
        if way == "path":
            return {way: self.pick(self.vocabulary.paths)}
        inner = get_nullable_type(type_.fields[way].type)
        assert isinstance(inner, GraphQLInputObjectType)
        return {way: self.address(type_.name, way, inner)}

    def address(self, by: str, way: str, type_: GraphQLInputObjectType) -> dict[str, Any]:
        if by == "ModelVersionBy":
            row, model = self.pick(self.vocabulary.names["ModelBy"])
            found = {"namespace": self.vocabulary.paths_by_id[row["namespace_id"]], "model": model}
            return {**found, way: self.value(way, type_.fields[way].type)}
        row, name = self.pick(self.vocabulary.externals if way == "externalId" else self.vocabulary.names[by])
        digest = {"digest": row["digest"]} if by == "DatasetBy" and row["digest"] and self.chance(80) else {}
        return {"name": name, "namespace": self.vocabulary.paths_by_id[row["namespace_id"]], **digest}


def is_needed(definition: GraphQLArgument | GraphQLInputField) -> bool:
    """It must be given."""
    return isinstance(definition.type, GraphQLNonNull) and definition.default_value is Undefined


def literal(value: Any) -> str:
    """A value as a document writes it."""
    if isinstance(value, Word):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value)


@st.composite
def cases(draw: Draw, schema: GraphQLSchema, vocabulary: Vocabulary) -> Case:
    """A document, and the variables of its requests."""
    return Writer(draw, schema, vocabulary).document()
