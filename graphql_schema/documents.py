"""Documents: parsed, limited, validated once, and kept by their text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from graphql import DocumentNode, FragmentDefinitionNode, GraphQLSchema, OperationDefinitionNode

from graphql_schema.errors import RequestError, RequestErrors
from graphql_schema.limits import DocumentLimits, check_document, parse_within, validate_within
from graphql_schema.operation import Operation
from graphql_schema.selection import Registry
from graphql_schema.strings import check_literals

KEPT_DOCUMENTS: Final = 1_000
KEPT_BYTES: Final = 8 << 20


class Documents:
    """Prepares documents for execution. A bounded number of them is kept, those used last."""

    def __init__(self, schema: GraphQLSchema, registry: Registry, limits: DocumentLimits | None = None) -> None:
        self.schema = schema
        self.registry = registry
        self.limits = limits or DocumentLimits()
        self._kept: OrderedDict[str, Mapping[str | None, Operation]] = OrderedDict()
        self._bytes = 0

    def prepare(self, query: str, operation_name: str | None = None) -> Operation:
        """The operation of that name, or the document's only one.

        Raises:
            RequestErrors: the document is no GraphQL, too large, or not of this schema; or it does
                not say which of several operations is meant.
        """
        operations = self._kept.get(query)
        if operations is None:
            operations = self._parsed(query)
            self._keep(query, operations)
        else:
            self._kept.move_to_end(query)
        return _chosen(operations, operation_name)

    def _parsed(self, query: str) -> Mapping[str | None, Operation]:
        document = parse_within(query, self.limits)
        check_document(document, self.limits)
        check_literals(document)
        validate_within(self.schema, document)
        return self._operations(document)

    def _operations(self, document: DocumentNode) -> Mapping[str | None, Operation]:
        fragments: dict[str, FragmentDefinitionNode] = {}
        definitions: list[OperationDefinitionNode] = []
        for definition in document.definitions:
            if isinstance(definition, FragmentDefinitionNode):
                fragments[definition.name.value] = definition
            elif isinstance(definition, OperationDefinitionNode):
                definitions.append(definition)
        return {
            (found.name.value if found.name else None): Operation(self.schema, self.registry, found, fragments)
            for found in definitions
        }

    def _keep(self, query: str, operations: Mapping[str | None, Operation]) -> None:
        self._kept[query] = operations
        self._bytes += len(query)
        while len(self._kept) > KEPT_DOCUMENTS or self._bytes > KEPT_BYTES:
            oldest, _ = self._kept.popitem(last=False)
            self._bytes -= len(oldest)


def _chosen(operations: Mapping[str | None, Operation], name: str | None) -> Operation:
    if name:
        if name in operations:
            return operations[name]
        raise _unresolved(f"The document has no operation named {name[:100]!r}.")
    if len(operations) == 1:
        return next(iter(operations.values()))
    if not operations:
        raise _unresolved("The document holds only fragments. Add an operation.")
    raise _unresolved("The document has several operations. Name one of them in `operationName`.")


def _unresolved(message: str) -> RequestErrors:
    return RequestErrors([RequestError("OPERATION_RESOLUTION_FAILURE", message)])
