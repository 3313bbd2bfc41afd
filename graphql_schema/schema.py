"""The schema: its roots, its scalars, and how each field is read."""

from __future__ import annotations

from typing import Any

import strawberry
from graphql import GraphQLInputObjectType, GraphQLSchema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.base import StrawberryObjectDefinition

from graphql_schema import scalars
from graphql_schema.connection import Connection, Edge, PageInfo
from graphql_schema.documents import Documents
from graphql_schema.mutations.root import Mutation
from graphql_schema.query import Query
from graphql_schema.selection import Read, Registry
from graphql_schema.subscription import Subscription
from graphql_schema.user_error import Refusal, RevisionConflict, UserError

DEFINITION = GraphQLCoreConverter.DEFINITION_BACKREF

schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=(Refusal, RevisionConflict),
    config=StrawberryConfig(scalar_map=dict(scalars.SCALARS)),
)
graphql_schema: GraphQLSchema = schema._schema


def mark_one_of() -> None:
    """Let the library hold callers to `@oneOf`: strawberry's own rule runs only inside its executor."""
    for type_ in graphql_schema.type_map.values():
        definition = type_.extensions.get(DEFINITION)
        if isinstance(type_, GraphQLInputObjectType) and isinstance(definition, StrawberryObjectDefinition):
            type_.is_one_of = definition.is_one_of


mark_one_of()


def sdl() -> str:
    """The schema as `schema.graphql` holds it."""
    return schema.as_str() + "\n"


def read_registry(served: GraphQLSchema = graphql_schema) -> Registry:
    """How each field is read, by the names of its type and of itself.

    Raises:
        LookupError: a field says nothing about how it is read, or hides behind permission classes,
            which never run below a compiled field. It could not be served.
    """
    registry: dict[tuple[str, str], Read] = {}
    for type_ in served.type_map.values():
        definition = type_.extensions.get(DEFINITION)
        if isinstance(definition, StrawberryObjectDefinition) and not definition.is_input:
            registry.update(_reads(type_, definition))
    return registry


def _reads(type_: Any, definition: StrawberryObjectDefinition) -> dict[tuple[str, str], Read]:
    found: dict[tuple[str, str], Read] = {}
    for name, field in type_.fields.items():
        declared = field.extensions[DEFINITION]
        read = declared.metadata.get("read")
        if (read is None and not is_part(definition)) or declared.permission_classes:
            raise LookupError(f"{type_.name}.{name} is not declared with a rule of how it is read")
        if read is not None:
            found[(type_.name, name)] = read
    return found


def is_part(definition: StrawberryObjectDefinition) -> bool:
    """Whether the type is a part that its parent reads: of a connection, or an error of a payload."""
    origin = definition.concrete_of.origin if definition.concrete_of else definition.origin
    return origin in (Connection, Edge, PageInfo, UserError, Refusal, RevisionConflict)


registry = read_registry()
documents = Documents(graphql_schema, registry)
