"""How large a document may be: checked before it costs more than a few milliseconds.

Each definition is walked once, whatever the number of its spreads: the totals of a fragment are
kept and multiplied, never expanded again. (A limiter that expands every spread takes a second for
a 675-byte document of fragments that double each other, and doubles with every 37 bytes more.)
The order is size, then tokens and nesting by one scan that stops early, then parsing, then the
counts through fragments, then validation with a budget.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    SelectionNode,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import OverlappingFieldsCanBeMergedRule, ValidationContext
from graphql.validation.validate import ValidationAbortedError

from graphql_schema.errors import RequestError, RequestErrors

SATURATED: Final = 1_000_000
"""Counts stop here: a hundred fragments that double each other would make numbers of 2^100."""

COMPARISON_BUDGET: Final = 5_000
"""Units of work that checking whether equal response names can be merged may spend."""

MAX_ERRORS: Final = 5
MAX_MESSAGE_BYTES: Final = 400

# One match per token, so that taking `tokens + 1` of them bounds the work. The quantifiers are
# possessive: an unclosed string costs one pass, not one per possible end.
_TOKEN: Final = re.compile(
    r'"""(?:[^"\\]|\\"""|\\|"(?!""))*+(?:""")?'
    r'|"(?:[^"\\\n\r]|\\.)*+"?'
    r"|#[^\n\r]*+"
    r"|[_A-Za-z][_0-9A-Za-z]*+"
    r"|-?[0-9][-+.0-9A-Za-z]*+"
    r"|\.\.\."
    r"|[!$&()\[\]{}:=@|]"
)


@dataclass(frozen=True)
class DocumentLimits:
    """The largest document that is served; every number is inclusive.

    `query_bytes` counts UTF-8; `tokens` includes comments; `nesting` is how deep braces, brackets
    and parentheses may stand in each other. `depth`, `aliases`, `root_fields`, `directives` and
    `introspections` (root fields `__schema` and `__type`) are counted per operation, `fields` over
    all of them; and through fragments: a fragment spread at three places counts three times.
    Validation costs about 35 µs a field.
    """

    query_bytes: int = 65_536
    tokens: int = 2_000
    nesting: int = 100
    operations: int = 20
    fragments: int = 100
    depth: int = 20
    aliases: int = 30
    root_fields: int = 20
    directives: int = 50
    fields: int = 500
    introspections: int = 2


_SENTENCES: Final = {
    "query_bytes": (
        "The document is {found} bytes long",
        "Send large values as variables and split the document.",
    ),
    "tokens": (
        "The document has {found} tokens",
        "Send values as variables and split the document.",
    ),
    "nesting": (
        "Braces, brackets and parentheses stand {found} deep in each other",
        "Send nested values as variables.",
    ),
    "operations": (
        "The document defines {found} operations",
        "Send only the operation that is run.",
    ),
    "fragments": (
        "The document defines {found} fragments",
        "Send only the fragments that are used, or merge some.",
    ),
    "depth": (
        "Fields are nested {found} levels deep",
        "Ask for deeper objects in a second request, starting from their ids.",
    ),
    "aliases": (
        "The operation uses {found} aliases",
        "Use `nodes(ids:)` or a filtered list instead of one alias per object.",
    ),
    "root_fields": (
        "The operation has {found} root fields",
        "Send several requests, or use `nodes(ids:)`.",
    ),
    "directives": (
        "The operation uses {found} directives",
        "Put @include or @skip on a fragment instead of on each field.",
    ),
    "fields": (
        "The document selects {found} fields",
        "Select fewer fields, or send several requests.",
    ),
    "introspections": (
        "The operation introspects the schema {found} times",
        "Ask for `__schema` once.",
    ),
}


_PER_OPERATION: Final = ("depth", "root_fields", "aliases", "directives", "introspections")


@dataclass(slots=True)
class Counts:
    """What one definition holds, and where it spreads fragments (name, fields around it)."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    root_fields: int = 0
    directives: int = 0
    introspections: int = 0
    spreads: list[tuple[str, int, bool]] = field(default_factory=list)

    def add(self, other: Counts, level: int, exempt: bool) -> None:
        """Count a fragment spread below `level` fields; an exempt one adds no depth."""
        if not exempt:
            self.depth = min(SATURATED, max(self.depth, level + other.depth))
        if level == 0:
            self.root_fields = min(SATURATED, self.root_fields + other.root_fields)
        self.fields = min(SATURATED, self.fields + other.fields)
        self.aliases = min(SATURATED, self.aliases + other.aliases)
        self.directives = min(SATURATED, self.directives + other.directives)
        self.introspections = min(SATURATED, self.introspections + other.introspections)


def parse_within(query: str, limits: DocumentLimits) -> DocumentNode:
    """The document of a request.

    Raises:
        RequestErrors: `LIMIT_EXCEEDED` when it is too long, has too many tokens or nests too
            deeply; `GRAPHQL_PARSE_FAILED`, with locations, when it is not GraphQL.
    """
    _check_size(query, limits)
    _check_tokens(query, limits)
    try:
        # The library accepts `{ }` by default; the specification's grammar does not.
        return parse(
            query,
            max_lexical_tokens=limits.tokens,
            max_comments=limits.tokens,
            allow_empty_selection_sets=False,
        )
    except GraphQLSyntaxError as error:
        raise RequestErrors([request_error("GRAPHQL_PARSE_FAILED", error)]) from None


def check_document(document: DocumentNode, limits: DocumentLimits) -> None:
    """Refuse a document that asks for too much.

    Fragments in a circle are counted once around and left to validation, which names the circle.

    Raises:
        RequestErrors: `LIMIT_EXCEEDED`, with the limit's name, its value and what was found.
    """
    tally = Tally(document)
    _check("operations", len(tally.operations), limits)
    _check("fragments", len(tally.fragments), limits)
    fields = 0
    for operation in tally.operations:
        counts = tally.of(operation)
        for name in _PER_OPERATION:
            _check(name, getattr(counts, name), limits, operation)
        fields += counts.fields
        _check("fields", fields, limits, operation)
    # Validation also walks the fragments that nothing spreads.
    _check("fields", tally.written_fields(), limits)


def validate_within(schema: GraphQLSchema, document: DocumentNode) -> None:
    """Validate by the rules of the specification, within a budget of work.

    Raises:
        RequestErrors: up to five `GRAPHQL_VALIDATION_FAILED`, under 4 kB together; or
            `LIMIT_EXCEEDED` when the same response names are selected too often.
    """
    errors = validate(schema, document, RULES, max_errors=MAX_ERRORS)
    if not errors:
        return
    if isinstance(errors[-1], ValidationAbortedError) and len(errors) <= MAX_ERRORS:
        raise RequestErrors([_too_many_comparisons()])
    raise RequestErrors([request_error("GRAPHQL_VALIDATION_FAILED", error) for error in errors])


class BudgetedOverlappingFieldsRule(OverlappingFieldsCanBeMergedRule):
    """The merging rule with a smaller budget: the library's own takes up to a second."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = COMPARISON_BUDGET


RULES: Final = tuple(
    BudgetedOverlappingFieldsRule if rule is OverlappingFieldsCanBeMergedRule else rule for rule in specified_rules
)
"""The rules of validation, in the library's order."""


class Tally:
    """Counts of a document's operations; `visited` says how many selections were looked at."""

    def __init__(self, document: DocumentNode) -> None:
        self.operations: list[OperationDefinitionNode] = []
        self.fragments: dict[str, FragmentDefinitionNode] = {}
        self.visited = 0
        self._written = 0
        self._own: dict[str, Counts] = {}
        self._totals: dict[str, Counts] = {}
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                self.operations.append(definition)
            elif isinstance(definition, FragmentDefinitionNode):
                self.fragments.setdefault(definition.name.value, definition)

    def of(self, operation: OperationDefinitionNode) -> Counts:
        """The operation's counts, with its fragments'."""
        counts = self._walk(operation)
        for variable in operation.variable_definitions or ():
            counts.directives += len(variable.directives or ())
        for name, _, _ in counts.spreads:
            self._settle(name)
        self._include_spreads(counts)
        return counts

    def written_fields(self) -> int:
        """How many fields the text of the document holds, its unused fragments included."""
        for name in self.fragments:
            self._settle(name)
        return self._written

    def _settle(self, name: str) -> None:
        """Total a fragment after those that it spreads, without recursion."""
        opened: set[str] = set()
        stack = [name]
        while stack:
            current = stack[-1]
            if current in self._totals or current not in self.fragments:
                stack.pop()
                continue
            if current not in opened:
                opened.add(current)
                own = self._own[current] = self._walk(self.fragments[current])
                stack.extend({spread for spread, _, _ in own.spreads} - opened)
                continue
            stack.pop()
            self._include_spreads(self._own[current])
            self._totals[current] = self._own[current]

    def _include_spreads(self, counts: Counts) -> None:
        for name, level, exempt in counts.spreads:
            total = self._totals.get(name)
            if total is not None:
                counts.add(total, level, exempt)

    def _walk(self, definition: OperationDefinitionNode | FragmentDefinitionNode) -> Counts:
        """Count one definition's own selections, with a stack: depth is the caller's to choose."""
        counts = Counts(directives=len(definition.directives or ()))
        stack: list[tuple[SelectionNode, int, bool]] = []
        _push(stack, definition.selection_set.selections, 0, False)
        while stack:
            node, level, exempt = stack.pop()
            self.visited += 1
            counts.directives += len(node.directives or ())
            if isinstance(node, FragmentSpreadNode):
                counts.spreads.append((node.name.value, level, exempt))
                continue
            if isinstance(node, FieldNode):
                exempt = _count_field(counts, node, level, exempt)
                level += 1
            selection_set = getattr(node, "selection_set", None)
            if selection_set is not None:
                _push(stack, selection_set.selections, level, exempt)
        self._written += counts.fields
        return counts


def _push(
    stack: list[tuple[SelectionNode, int, bool]],
    selections: Iterable[SelectionNode],
    level: int,
    exempt: bool,
) -> None:
    stack.extend((selection, level, exempt) for selection in selections)


def _count_field(counts: Counts, node: FieldNode, level: int, exempt: bool) -> bool:
    """Count a field; says whether what it selects is exempt from depth, as introspection is."""
    counts.fields += 1
    if node.alias is not None:
        counts.aliases += 1
    if level == 0:
        counts.root_fields += 1
    if not exempt:
        counts.depth = max(counts.depth, level + 1)
    if node.name.value in ("__schema", "__type"):
        counts.introspections += 1
        return True
    return exempt


def _check_size(query: str, limits: DocumentLimits) -> None:
    size = len(query)
    if size <= limits.query_bytes and not query.isascii():
        size = len(query.encode("utf-8", "surrogatepass"))
    _check("query_bytes", size, limits)


def _check_tokens(query: str, limits: DocumentLimits) -> None:
    """Count tokens and open brackets before parsing, which costs 8 µs a token and recurses."""
    tokens = [match[0] for match in islice(_TOKEN.finditer(query), limits.tokens + 1)]
    _check("tokens", len(tokens), limits)
    nesting = 0
    for token in tokens:
        if token in ("{", "[", "("):
            nesting += 1
            _check("nesting", nesting, limits)
        elif token in ("}", "]", ")"):
            nesting -= 1


def _check(name: str, found: int, limits: DocumentLimits, node: OperationDefinitionNode | None = None) -> None:
    maximum = getattr(limits, name)
    if found <= maximum:
        return
    sentence, remedy = _SENTENCES[name]
    # Scans stop at the first token or bracket too many, so what they found is a lower bound.
    at_least = name in ("tokens", "nesting") or found >= SATURATED
    counted = f"{found} or more" if at_least else str(found)
    message = f"{sentence.format(found=counted)}; the limit `{name}` is {maximum}. {remedy}"
    location = node.loc and node.loc.start_token if node is not None else None
    locations = [{"line": location.line, "column": location.column}] if location else []
    extensions = {"limit": name, "maximum": maximum, "found": found}
    raise RequestErrors([RequestError("LIMIT_EXCEEDED", message, locations, extensions=extensions)])


def _too_many_comparisons() -> RequestError:
    return RequestError(
        "LIMIT_EXCEEDED",
        "Validating the document, where fields of the same name are compared with each other,"
        f" takes more than the limit `comparisons` of {COMPARISON_BUDGET}. Select each field once,"
        " and spread fewer fragments side by side or in each other.",
        extensions={"limit": "comparisons", "maximum": COMPARISON_BUDGET},
    )


def request_error(code: str, error: GraphQLError) -> RequestError:
    """A library error as ours, cut to 400 bytes and two locations: it may quote 64 kB of input."""
    message = error.message
    encoded = message.encode("utf-8", "replace")
    if len(encoded) > MAX_MESSAGE_BYTES:
        message = encoded[:MAX_MESSAGE_BYTES].decode("utf-8", "ignore") + "…"
    locations = [{"line": at.line, "column": at.column} for at in (error.locations or [])[:2]]
    return RequestError(code, message, locations)
