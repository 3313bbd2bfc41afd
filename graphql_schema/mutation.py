"""The words in which mutations are declared, and how one runs.

A mutation is a verb of `db.verbs`, the role that it needs, and the types of its input and payload.
There are no resolvers: the runner in `db.transaction` gets the verb and the compiled payload.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import orjson
import strawberry
from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLObjectType,
    get_nullable_type,
)
from msgspec import UNSET, Struct

from db.access import Role
from db.errors import DomainError
from db.read.link import by_id
from db.read.nodes import ByIds, OnlyOne
from db.read.plan import Leaf, One, Plan, compiled, literal
from db.read.sql import Bind, Compiled, Environment, Expression, Pieces, Statement, bound_alone
from db.transaction import Call, Digest, Lane, Verb
from graphql_schema.fields import SOURCES, Argument, read_field
from graphql_schema.filters import plain
from graphql_schema.selection import Nodes, Planner, Selected
from graphql_schema.typed_variables import ROWS, argument_name
from graphql_schema.user_error import UserError
from graphql_schema.written import writer

RESULT = "$result"


def given(description: str, **options: Any) -> Any:
    """A field of an input type; give `default` where it may be absent."""
    return strawberry.field(description=description, **options)


def optional(description: str) -> Any:
    """A field of an input type that may be absent; in a patch, absent leaves the value as it is."""
    return strawberry.field(description=description, default=strawberry.UNSET)


def retry_key() -> Any:
    """The field of an input by which a sender who lost the answer may ask again."""
    return optional("Makes a retry safe: the same key and input give the same answer.")


def payload(cls: type) -> type:
    """Declare a class as the payload of a mutation; its docstring is the description."""
    return strawberry.type(cls, description=inspect.cleandoc(cls.__doc__ or ""))


@dataclass(frozen=True)
class ChangedRead:
    """The object (or objects) whose id the verb's result holds."""

    key: str

    def plan(self, selected: Selected) -> Plan:
        type_ = selected.type
        if not isinstance(type_, GraphQLObjectType):
            return self._any_type(selected)
        source = SOURCES[type_.name]
        if self.key.endswith("s"):
            return ByIds(
                Bind(lambda env: [as_uuid(item) for item in env[RESULT].get(self.key, ())], "uuid[]"),
                Bind(lambda env: [source.prefix] * len(env[RESULT].get(self.key, ())), "text[]"),
                [(source, selected.object())],
            )
        return One(source, by_id(self._bind()), selected.object())

    def _bind(self) -> Bind:
        return Bind(lambda env: as_uuid(env[RESULT].get(self.key)), "uuid")

    def _any_type(self, selected: Selected) -> Plan:
        """An entity of any type: its prefix stands in the result beside its id."""
        types = [t for t in selected.planner.schema.get_possible_types(selected.type) if t.name in SOURCES]  # type: ignore[arg-type]
        ids = Bind(lambda env: [as_uuid(env[RESULT].get(self.key))], "uuid[]")
        prefixes = Bind(lambda env: [env[RESULT].get(f"{self.key}Prefix")], "text[]")
        alternatives = [(SOURCES[t.name], selected.planner.object(t, selected.nodes)) for t in types]
        return OnlyOne(ByIds(ids, prefixes, alternatives))


def as_uuid(value: Any) -> UUID | None:
    """An id of a result, which comes as text when it was kept for a retry."""
    return UUID(value) if isinstance(value, str) else value


def changed(description: str, key: str) -> Any:
    """A payload's object; null when the mutation was refused. A key in the plural is a list."""
    return read_field(ChangedRead(key), description)


@dataclass(frozen=True)
class ToldRead:
    """A plain value of the verb's result."""

    key: str

    def plan(self, selected: Selected) -> Plan:
        bind = Bind(lambda env: orjson.dumps(env[RESULT].get(self.key)).decode(), "text")
        return Leaf(lambda statement, alias: [Expression(statement.bind(bind))])


def told(description: str, key: str) -> Any:
    """A payload's plain value; null when the mutation was refused."""
    return strawberry.field(description=description, metadata={"read": ToldRead(key)})


@dataclass(frozen=True)
class ToldObjectsRead:
    """A list of objects of the verb's result, whose type is declared by `written`: each field writes one object."""

    key: str

    def plan(self, selected: Selected) -> Plan:
        write = writer(selected)

        def json(env: Environment) -> str:
            found = env[RESULT].get(self.key)
            return "null" if found is None else (b"[" + b",".join(map(write, found)) + b"]").decode()

        bind = Bind(json, "text")
        return Leaf(lambda statement, alias: [Expression(statement.bind(bind))])


def told_objects(description: str, key: str) -> Any:
    """A payload's list of objects that no table holds; null when the mutation was refused."""
    return strawberry.field(description=description, metadata={"read": ToldObjectsRead(key)})


class NoErrors:
    """`userErrors` of a mutation that was done."""

    def plan(self, selected: Selected) -> Plan:
        return literal("[]")


@strawberry.type(description="What every mutation answers.")
class Payload:
    user_errors: list[UserError] = read_field(NoErrors(), "Why it was refused; empty when it was done.")


@dataclass(frozen=True)
class MutationRead:
    """How a mutation runs."""

    verb: Verb
    role: Role
    lane: Lane | None = None
    digest: Digest | None = None

    def plan(self, selected: Selected) -> Plan:
        raise TypeError("a mutation is prepared, not planned")

    def prepare(self, key: str, selected: Selected, *, restricted: bool) -> Prepared:
        """Everything of the mutation that does not depend on the values of its variables."""
        statement = Statement(restricted)
        pieces = selected.object().render(statement, "")
        definition = selected.planner.schema.mutation_type.fields[selected.name]  # type: ignore[union-attr]
        return Prepared(
            key=key,
            name=selected.name,
            verb=self.verb,
            role=self.role,
            lane=self.lane,
            digest=self.digest,
            input=selected.arguments["input"].get,
            decode=decoder(definition.args["input"].type),
            answer=compiled(pieces, statement),
            told=told_alone(pieces, statement),
            refuse=refuser(selected),
        )


@dataclass(frozen=True)
class Prepared:
    """A mutation of an operation, ready to run with any values of its variables."""

    key: str
    name: str
    verb: Verb
    role: Role
    lane: Lane | None
    digest: Digest | None
    input: Callable[[Environment], Any]
    decode: Callable[[Any], Any]
    answer: Compiled
    told: Callable[[Environment], str] | None
    refuse: Callable[[DomainError], str]

    def call(self, env: Environment) -> Call:
        """What the runner is to do."""
        arguments = self.decode(self.input(env))
        key = arguments.pop("idempotency_key", None)
        return Call(self.name, self.verb, arguments, self.role, key, self.lane, self.digest)


def told_alone(pieces: Pieces, statement: Statement) -> Callable[[Environment], str] | None:
    """How to write a payload that needs nothing from the database: only what the verb told."""
    found = bound_alone(pieces, statement)
    if found is None:
        return None
    return lambda env: "".join(part if isinstance(part, str) else part.get(env) for part in found)


def mutation(
    description: str,
    verb: Verb,
    role: Role,
    input_type: type,
    *,
    on: str = "the namespace that it is about",
    lane: Lane | None = None,
    digest: Digest | None = None,
) -> Any:
    """A field of `Mutation`. Who may call it is said by its rule.

    A `lane` runs many calls in one transaction; a `digest` tells equal inputs where equal arguments do not.
    """
    needs = f"Needs the role {role.name} on {on}."
    argument = Argument("input", input_type, "What to do.", ...)
    return read_field(MutationRead(verb, role, lane, digest), f"{description}\n\n{needs}", [argument])


@cache
def decoder(type_: GraphQLInputType) -> Callable[[Any], Any]:
    """From a coerced input to a verb's arguments: snake_case names, enums by their stored word."""
    nullable = get_nullable_type(type_)
    if isinstance(nullable, GraphQLList):
        item = decoder(nullable.of_type)
        return lambda value: value if value is None or _are_rows(value) else [item(entry) for entry in value]
    if isinstance(nullable, GraphQLInputObjectType):
        # Made once, not looked up for each of ten thousand points. (No input of a mutation holds itself.)
        fields = {name: (argument_name(field, name), decoder(field.type)) for name, field in nullable.fields.items()}
        return _row_decoder(fields, ROWS[nullable.name]) if nullable.name in ROWS else _object_decoder(fields)
    return plain if isinstance(nullable, GraphQLEnumType) else lambda value: value


Fields = Mapping[str, tuple[str, Callable[[Any], Any]]]
"""By the name in the schema: the argument's name, and how its value is decoded."""


def _object_decoder(fields: Fields) -> Callable[[Any], Any]:
    def decode(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, Struct):
            found = ((name, item, getattr(value, name)) for name, item in fields.values())
            return {name: item(each) for name, item, each in found if each is not UNSET}
        return {fields[name][0]: fields[name][1](item) for name, item in value.items()}

    return decode


def _are_rows(values: list[Any]) -> bool:
    """Whether there is nothing to do for any: of ten thousand points, all are as the verb wants them."""
    structs = tuple(ROWS.values())
    return all(issubclass(type_, structs) for type_ in set(map(type, values)))


def _row_decoder(fields: Fields, row: type[Struct]) -> Callable[[Any], Any]:
    def decode(value: Any) -> Any:
        if value is None or isinstance(value, row):
            return value
        return row(**{fields[name][0]: fields[name][1](item) for name, item in value.items()})

    return decode


def refuser(selected: Selected) -> Callable[[DomainError], str]:
    """Writes the payload of a refused mutation: everything null but `userErrors`."""
    planner, type_ = selected.planner, selected.type
    fields = [(key, nodes) for key, nodes in selected.collected().items()]
    errors = {key: _error_fields(planner, nodes) for key, nodes in fields if nodes[0].name.value == "userErrors"}

    def refuse(error: DomainError) -> str:
        body: dict[str, Any] = {}
        for key, nodes in fields:
            name = nodes[0].name.value
            body[key] = type_.name if name == "__typename" else None
            if key in errors:
                body[key] = [_user_error(errors[key], error)]
        return orjson.dumps(body).decode()

    return refuse


ErrorFields = Mapping[str, Sequence[tuple[str, str]]]


def _error_fields(planner: Planner, nodes: Nodes) -> ErrorFields:
    """For each type of error, the selected fields: response key and name."""
    types = {name: planner.schema.type_map[name] for name in ("Refusal", "RevisionConflict")}

    def of(type_: Any) -> list[tuple[str, str]]:
        collected: dict[str, list[FieldNode]] = planner.collect(type_, nodes)
        return [(key, group[0].name.value) for key, group in collected.items()]

    return {name: of(type_) for name, type_ in types.items()}


def _user_error(fields: ErrorFields, error: DomainError) -> dict[str, Any]:
    name = "RevisionConflict" if error.code == "REVISION_CONFLICT" else "Refusal"
    values = {
        "__typename": name,
        "message": error.message,
        "code": error.code,
        "path": list(error.path) or None,
        "currentRevision": error.details.get("current_revision"),
    }
    return {key: values[field] for key, field in fields[name]}
