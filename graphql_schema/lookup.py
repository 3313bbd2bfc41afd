"""Single objects by id or by natural address, and many by id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from graphql import GraphQLObjectType

from db.errors import Invalid
from db.identifiers import parse_id
from db.read.link import Link, by_id
from db.read.nodes import ByIds
from db.read.plan import One, Plan
from db.read.source import Source
from db.read.sql import Bind
from graphql_schema.arguments import Value, prefix_of, refused
from graphql_schema.fields import SOURCES, Argument, read_field
from graphql_schema.selection import Selected

MAX_IDS = 100


def decoded_id(prefixes: tuple[str, ...], path: tuple[str, ...]) -> Callable[[str], UUID]:
    """Reads ids of the given types; refuses others as an argument error."""

    def decode(text: str) -> UUID:
        try:
            return parse_id(text, prefixes)
        except Invalid as error:
            raise refused(error.message, path) from None

    return decode


def decoded_ids(prefixes: tuple[str, ...], path: tuple[str, ...]) -> Callable[[Sequence[str]], list[UUID]]:
    """Reads a list of ids; refuses one that is too long as an argument error."""
    decode = decoded_id(prefixes, path)

    def decode_all(texts: Sequence[str]) -> list[UUID]:
        if len(texts) > MAX_IDS:
            raise refused(f"at most {MAX_IDS} ids in one request; got {len(texts)}.", path)
        return [decode(text) for text in texts]

    return decode_all


def id_bind(value: Value, *prefixes: str) -> Bind:
    """An id as a bind, checked now and in every later request.

    Raises:
        RequestErrors: it is malformed or of another type.
    """
    decode = decoded_id(prefixes, value.path)
    decode(value.raw)
    return value.bind("uuid", decode)


@dataclass(frozen=True)
class AddressRead:
    """An object found by the field's arguments."""

    source: Source
    link: Callable[[Selected], Link]

    def plan(self, selected: Selected) -> Plan:
        with selected.planner.repeated(1):
            return One(self.source, self.link(selected), selected.object())


def found(description: str, source: Source, link: Callable[[Selected], Link], *arguments: Argument) -> Any:
    """A root field that finds one object: null when there is none in the caller's sight."""
    return read_field(AddressRead(source, link), description, arguments)


@dataclass(frozen=True)
class NodeRead:
    """`node(id:)`: the prefix of the id says the type."""

    def plan(self, selected: Selected) -> Plan:
        value = selected.arguments["id"]
        types = node_types(selected)
        decode = decoded_id(tuple(types), value.path)
        decode(value.raw)
        type_ = types[prefix_of(value.raw)]
        bind = value.bind("uuid", decode)
        with selected.planner.repeated(1):
            plan = selected.planner.object(type_, selected.nodes)
            return One(SOURCES[type_.name], by_id(bind), plan)


@dataclass(frozen=True)
class NodesRead:
    """`nodes(ids:)`: one alternative for each type that occurs."""

    def plan(self, selected: Selected) -> Plan:
        value = selected.arguments["ids"]
        types = node_types(selected)
        decode = decoded_ids(tuple(types), value.path)
        decode(value.raw)
        prefixes = sorted({prefix_of(text) for text in value.raw})
        with selected.planner.repeated(max(1, len(prefixes))):
            alternatives = [self._alternative(selected, types[prefix]) for prefix in prefixes]
        return ByIds(
            value.bind("uuid[]", decode),
            value.bind("text[]", lambda ids: [prefix_of(text) for text in ids]),
            alternatives,
        )

    def _alternative(self, selected: Selected, type_: GraphQLObjectType) -> tuple[Source, Plan]:
        return SOURCES[type_.name], selected.planner.object(type_, selected.nodes)


def node_types(selected: Selected) -> dict[str, GraphQLObjectType]:
    """The types that implement `Node`, by the prefix of their ids."""
    possible: Sequence[GraphQLObjectType] = selected.planner.schema.get_possible_types(selected.type)  # type: ignore[arg-type]
    return {SOURCES[type_.name].prefix: type_ for type_ in possible if type_.name in SOURCES}
