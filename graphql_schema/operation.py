"""An operation of a document: its variables, and its plans by the shape of those."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeVar

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLInputType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableDefinitionNode,
    execute_sync,
    get_named_type,
    type_from_ast,
)
from graphql.execution.values import get_variable_values

from db.read.plan import ObjectPlan, Plan, compiled, literal
from db.read.sql import Compiled, Statement, parted
from graphql_schema.arguments import presence, shaper
from graphql_schema.errors import RequestError, RequestErrors
from graphql_schema.input_size import check_items, listed_variables
from graphql_schema.limits import request_error
from graphql_schema.live_query import LiveFrames
from graphql_schema.mutation import MutationRead, Prepared
from graphql_schema.selection import Planner, Registry
from graphql_schema.strings import check_variables
from graphql_schema.subscription import compiled_frames
from graphql_schema.subscriptions.stream import Frames
from graphql_schema.typed_variables import Unread, Variables, lane_of, written_types

Kind = Literal["query", "mutation", "subscription"]
INTROSPECTION: Final = ("__schema", "__type")
KEPT_SHAPES: Final = 50
_INTROSPECTED: Final = re.compile(r"\b__(schema|type)\b")  # not `__typename`, which many clients add everywhere
_PLACE: Final = re.compile(r"Variable '\$(?P<name>\w+)' has invalid value(?: at (?P<path>[^ ]*))?:")
INTROSPECTION_VARIABLES: Final = ("String", "Boolean")

T = TypeVar("T")


@dataclass(frozen=True)
class CompiledQuery:
    """A query's one statement (None when nothing is stored), and what stands before and after its text."""

    statement: Compiled | None
    before: bytes
    after: bytes = b""

    def response(self, text: str = "") -> bytes:
        """The whole response, of the text that the statement returned."""
        return b"".join((self.before, text.encode(), self.after))


def compiled_response(data: Plan, planner: Planner, *, restricted: bool) -> CompiledQuery:
    """The statement of a whole response: `{"data":…,"extensions":…}`."""
    statement = Statement(restricted)
    cost = orjson.dumps({"cost": {"nodes": math.ceil(planner.nodes), "maximum": planner.max_nodes}}).decode()
    pieces = ['{"data":', *data.render(statement, ""), ',"extensions":', cost, "}"]
    # The database would copy a long text once more for each of the two. What is filled later is filled as a whole.
    before, stored, after = ("", pieces, "") if statement.holes else parted(pieces)
    found = compiled(stored, statement) if stored else None
    return CompiledQuery(found, before.encode(), after.encode())


class Operation:
    """One operation, prepared. Plans are kept by the shape of the variables and by access."""

    def __init__(
        self,
        schema: GraphQLSchema,
        registry: Registry,
        definition: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
    ) -> None:
        self.schema = schema
        self.registry = registry
        self.definition = definition
        self.fragments = fragments
        self.kind: Kind = definition.operation.value
        self.name = definition.name.value if definition.name else None
        self._shapers = _shapers(schema, definition)
        self._listed = listed_variables(schema, definition)
        self._lane = lane_of(schema, definition)
        self._introspects = bool(self._shapers) and _mentions_introspection(definition, fragments)
        self._kept: OrderedDict[Any, Any] = OrderedDict()

    @property
    def root(self) -> GraphQLObjectType:
        """The root type."""
        root = self.schema.get_root_type(self.definition.operation)
        assert root is not None  # validated
        return root

    def coerced(self, variables: Variables) -> dict[str, Any]:
        """The variables' values.

        Raises:
            RequestErrors: one is missing, not of its type, holds too many items, or text that cannot be stored.
        """
        if isinstance(variables, Unread):
            values = self._lane.decode(variables) if self._lane else None
            if values is not None:
                return values
            variables = variables.read()
        check_variables(variables)
        if not self._shapers:
            return {}
        check_items(self._listed, variables)
        definitions = self.definition.variable_definitions or ()
        result = get_variable_values(self.schema, definitions, dict(variables or {}), max_errors=5)
        if isinstance(result, list):
            raise RequestErrors([_uncoerced(error) for error in result])
        return dict(result.coerced)

    def kept(self, values: Mapping[str, Any], also: Any, make: Callable[[], T]) -> T:
        """What `make` made for variables of this shape."""
        shape = tuple((name, shape(values[name])) for name, shape in self._shapers if name in values)
        # What the schema says of a type depends on the name itself.
        key = (shape, also, repr(values) if self._introspects else None)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]  # type: ignore[no-any-return]
        made = self._kept[key] = make()
        if len(self._kept) > KEPT_SHAPES:
            self._kept.popitem(last=False)
        return made

    def planner(self, values: Mapping[str, Any]) -> Planner:
        """A planner for these variables."""
        return Planner(self.schema, self.registry, self.fragments, values)

    def query(self, values: Mapping[str, Any], *, restricted: bool) -> CompiledQuery:
        """The compiled form of a query.

        Raises:
            RequestErrors: an argument cannot be used.
        """
        query = self.kept(values, restricted, lambda: self._compile(values, restricted))
        if query.statement and query.statement.holes:
            query.statement.check(values)
        return query

    def mutations(self, values: Mapping[str, Any], *, restricted: bool) -> list[Prepared | tuple[str, str]]:
        """The mutations in order; what the schema says of itself is a key and its JSON."""
        found = self.kept(values, restricted, lambda: self._prepare(values, restricted))
        for part in found:
            if isinstance(part, Prepared):
                part.answer.check(values)
        return found

    def _prepare(self, values: Mapping[str, Any], restricted: bool) -> list[Prepared | tuple[str, str]]:
        planner = self.planner(values)
        found: list[Prepared | tuple[str, str]] = []
        for key, nodes in planner.root_fields(self.definition).items():
            name = nodes[0].name.value
            if name.startswith("__"):
                text = self.root.name if name == "__typename" else ""
                found.append((key, f'"{text}"' if text else self._introspected(nodes, values)))
                continue
            selected = planner.select(self.root, nodes)
            read = self.registry[(self.root.name, name)]
            if not isinstance(read, MutationRead):
                raise TypeError(f"{name} is no mutation")
            found.append(read.prepare(key, selected, restricted=restricted))
        return found

    def frames(self, values: Mapping[str, Any], *, restricted: bool) -> Frames | LiveFrames:
        """The compiled form of a subscription, which has one root field."""
        frames = self.kept(values, restricted, lambda: self._frames(values, restricted))
        frames.statement.check(values)
        return frames

    def _frames(self, values: Mapping[str, Any], restricted: bool) -> Frames | LiveFrames:
        planner = self.planner(values)
        [(key, nodes)] = planner.root_fields(self.definition).items()
        return compiled_frames(key, planner.select(self.root, nodes), restricted=restricted)

    def _compile(self, values: Mapping[str, Any], restricted: bool) -> CompiledQuery:
        planner = self.planner(values)
        fields = [(key, self.plan(planner, nodes)) for key, nodes in planner.root_fields(self.definition).items()]
        return compiled_response(ObjectPlan(fields), planner, restricted=restricted)

    def plan(self, planner: Planner, nodes: list[FieldNode]) -> Plan:
        """The plan of a root field. What the schema says of itself is known without asking anybody."""
        if nodes[0].name.value in INTROSPECTION:
            return literal(self._introspected(nodes, planner.variables))
        return planner.plan(self.root, nodes)

    def _introspected(self, nodes: list[FieldNode], values: Mapping[str, Any]) -> str:
        """The JSON of `__schema` or `__type`, by the library's executor."""
        only = OperationDefinitionNode(
            operation=self.definition.operation,
            name=self.definition.name,
            variable_definitions=tuple(self._introspection_variables()),
            directives=(),
            selection_set=SelectionSetNode(selections=tuple(nodes)),
        )
        document = DocumentNode(definitions=(only, *self.fragments.values()))
        result = execute_sync(self.schema, document, variable_values=dict(values))
        if result.errors or result.data is None:
            raise RequestErrors([request_error("BAD_USER_INPUT", error) for error in result.errors or ()])
        return orjson.dumps(next(iter(result.data.values()))).decode()

    def _introspection_variables(self) -> Iterator[VariableDefinitionNode]:
        """The variables that introspection can use; others would have to be coerced twice."""
        for variable in self.definition.variable_definitions or ():
            named = get_named_type(type_from_ast(self.schema, variable.type))
            if named is not None and named.name in INTROSPECTION_VARIABLES:
                yield variable


def _uncoerced(error: GraphQLError) -> RequestError:
    """A variable that is not of its type, its place named as in `$input.tags[3]`."""
    found = request_error("BAD_USER_INPUT", error)
    place = _PLACE.match(error.message)
    if place is None:
        return found
    return replace(found, extensions={"argument": f"${place['name']}{place['path'] or ''}"[:200]})


def _mentions_introspection(
    definition: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> bool:
    texts = (str(node.loc and node.loc.source.body) for node in (definition, *fragments.values()))
    return any(_INTROSPECTED.search(text) for text in texts)


def _shapers(schema: GraphQLSchema, definition: OperationDefinitionNode) -> list[tuple[str, Callable[[Any], Any]]]:
    found = []
    for variable in definition.variable_definitions or ():
        type_: GraphQLInputType | None = type_from_ast(schema, variable.type)  # type: ignore[assignment]
        if type_ is None:
            raise RequestErrors([request_error("GRAPHQL_VALIDATION_FAILED", GraphQLError("Unknown type."))])
        is_written = get_named_type(type_).name in written_types(schema)
        found.append((variable.variable.name.value, presence if is_written else shaper(type_)))
    return found
