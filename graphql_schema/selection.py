"""From selected fields to a plan. Knows GraphQL, and no SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
)

from db.read.plan import ObjectPlan, Plan, literal
from graphql_schema.arguments import Value, arguments, refused
from graphql_schema.errors import RequestError, RequestErrors

Nodes = Sequence[FieldNode]


class Read(Protocol):
    """How a field of the schema is read: stands in the field's metadata."""

    def plan(self, selected: Selected) -> Plan:
        """The plan of the field as it was selected."""
        ...


Registry = Mapping[tuple[str, str], Read]
"""How each field is read, by the names of its type and of itself."""


@dataclass
class Selected:
    """A field as a document selects it."""

    planner: Planner
    parent: str
    name: str
    type: GraphQLNamedType
    nodes: Nodes
    arguments: Mapping[str, Value]

    @property
    def outer(self) -> Selected:
        """The field around it whose arguments matter to it; `Planner.within` says which."""
        outer = self.planner.enclosing
        assert outer is not None
        return outer

    def object(self) -> Plan:
        """The plan of the object that this field returns."""
        return self.planner.object(self.type, self.nodes)

    def collected(self, type_: GraphQLNamedType | None = None) -> dict[str, list[FieldNode]]:
        """The fields selected below, by response key."""
        return self.planner.collect(type_ or self.type, self.nodes)


@dataclass
class Planner:
    """Plans the fields of one operation for one shape of its variables.

    `enclosing` is the field around those that are planned, where its arguments matter to them.
    """

    schema: GraphQLSchema
    registry: Registry
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]
    max_nodes: int = 50_000
    nodes: float = 0
    max_fields: int = 2_000
    fields: int = 0
    enclosing: Selected | None = None
    _multiplier: float = field(default=1, repr=False)

    @contextmanager
    def repeated(self, times: float, cost: float = 1) -> Iterator[None]:
        """Everything planned inside happens up to `times` for each row outside.

        Raises:
            RequestErrors: the estimate passes the limit.
        """
        outer = self._multiplier
        self._multiplier *= times
        self.nodes += self._multiplier * cost
        if self.nodes > self.max_nodes:
            raise RequestErrors([_too_many(self.max_nodes)])
        yield
        self._multiplier = outer

    @contextmanager
    def within(self, selected: Selected) -> Iterator[None]:
        """What is planned inside may ask for the arguments of this field."""
        outer, self.enclosing = self.enclosing, selected
        yield
        self.enclosing = outer

    def root_fields(self, operation: OperationDefinitionNode) -> dict[str, list[FieldNode]]:
        """The root fields by response key."""
        root = self.schema.get_root_type(operation.operation)
        assert root is not None
        found: dict[str, list[FieldNode]] = {}
        self._collect(root, operation.selection_set, found, set())
        return found

    def select(self, parent: GraphQLNamedType, nodes: Nodes) -> Selected:
        """A field of an object type with its arguments.

        Raises:
            RequestErrors: an argument is not acceptable.
        """
        assert isinstance(parent, GraphQLObjectType | GraphQLInterfaceType)
        name = nodes[0].name.value
        definition = parent.fields[name]
        given = arguments(definition.args, nodes[0].arguments or (), self.variables)
        return Selected(self, parent.name, name, get_named_type(definition.type), nodes, given)

    def plan(self, parent: GraphQLNamedType, nodes: Nodes) -> Plan:
        """The plan of one field."""
        self.count_field()
        if nodes[0].name.value == "__typename":
            return literal(f'"{parent.name}"')
        selected = self.select(parent, nodes)
        return self.registry[(parent.name, selected.name)].plan(selected)

    def count_field(self) -> None:
        """One more field is planned.

        Raises:
            RequestErrors: there are too many. A document is bounded, but every field below an interface
                is planned once for each type that may stand there, and again for each below that.
        """
        self.fields += 1
        if self.fields > self.max_fields:
            raise RequestErrors([_too_wide(self.max_fields)])

    def object(self, type_: GraphQLNamedType, nodes: Nodes) -> ObjectPlan:
        """All selected fields of an object."""
        return ObjectPlan([(key, self.plan(type_, group)) for key, group in self.collect(type_, nodes).items()])

    def collect(self, type_: GraphQLNamedType, nodes: Nodes) -> dict[str, list[FieldNode]]:
        """The sub-fields of nodes that share a response key, merged in document order."""
        found: dict[str, list[FieldNode]] = {}
        for node in nodes:
            if node.selection_set:
                self._collect(type_, node.selection_set, found, set())
        return found

    def _collect(
        self,
        type_: GraphQLNamedType,
        selections: SelectionSetNode,
        found: dict[str, list[FieldNode]],
        seen: set[str],
    ) -> None:
        for node in selections.selections:
            if not self._included(node):
                continue
            if isinstance(node, FieldNode):
                key = node.alias.value if node.alias else node.name.value
                found.setdefault(key, []).append(node)
            elif isinstance(node, InlineFragmentNode):
                if self._applies(node.type_condition.name.value if node.type_condition else None, type_):
                    self._collect(type_, node.selection_set, found, seen)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                fragment = self.fragments[node.name.value]
                if self._applies(fragment.type_condition.name.value, type_):
                    self._collect(type_, fragment.selection_set, found, seen)

    def _applies(self, condition: str | None, type_: GraphQLNamedType) -> bool:
        if condition is None or condition == type_.name:
            return True
        named = self.schema.type_map[condition]
        return (
            is_abstract_type(named) and isinstance(type_, GraphQLObjectType) and self.schema.is_sub_type(named, type_)
        )

    def _included(self, node: SelectionNode) -> bool:
        for directive in node.directives or ():
            name = directive.name.value
            if name in ("skip", "include"):
                given = self._condition(directive.arguments[0].value)  # type: ignore[index]
                if given == (name == "skip"):
                    return False
        return True

    def _condition(self, value: ValueNode) -> bool:
        if not isinstance(value, VariableNode):
            return bool(getattr(value, "value", False))
        given = self.variables.get(value.name.value)
        if given is None:
            # A nullable variable with a default may stand here; only its null may not.
            raise refused("must not be null.", (f"${value.name.value}",))
        return bool(given)


def _too_many(limit: int) -> RequestError:
    return RequestError(
        "LIMIT_EXCEEDED",
        f"The query may return more than {limit} nodes. Ask for fewer with `first`, or for fewer levels.",
        extensions={"limit": "nodes", "maximum": limit},
    )


def _too_wide(limit: int) -> RequestError:
    return RequestError(
        "LIMIT_EXCEEDED",
        f"With every type that its interfaces may be, the query selects more than {limit} fields. Ask for fewer levels"
        " of objects of any type, or say of which type with `... on`.",
        extensions={"limit": "planned_fields", "maximum": limit},
    )
