"""Makes the typed part of the client of the server's schema and of `operations.graphql`: `make client`.

A fragment becomes a frozen dataclass, an operation a function, an enum a Literal: a newer server may say a word
that this client does not know. With `--check` nothing is written, and what is out of date is named.
"""

from __future__ import annotations

import keyword
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableDefinitionNode,
    build_schema,
    get_named_type,
    parse,
    print_ast,
    strip_ignored_characters,
    type_from_ast,
    validate,
)

ROOT: Final = Path(__file__).parents[1]
SCHEMA: Final = ROOT / "graphql_schema" / "schema.graphql"
HOME: Final = Path(__file__).parent / "modelbox" / "api"
OPERATIONS: Final = HOME / "operations.graphql"
HEAD: Final = '"""{}\n\nMade by `make client`; change `operations.graphql` or the schema, and not this file.\n"""\n\n'

OUTPUTS: Final = {
    **dict.fromkeys(("ID", "String", "Cursor", "Digest"), "str"),
    **dict.fromkeys(("Int", "SafeInt"), "int"),
    "Boolean": "bool",
    "MetricValue": "float",
    "DateTime": "datetime",
    "JSON": "Any",
    "Base64": "Blob",
    "SafeIntColumn": "list[int | None]",
    "MetricValueColumn": "list[float | None]",
}
INPUTS: Final = {**OUTPUTS, "DateTime": "datetime | str", "MetricValue": "float | str"}
PAGE: Final = {"nodes", "pageInfo"}
SENTENCE: Final = 108


class Fault(Exception):
    """The operations ask for something that this generator makes nothing of."""


# --- What a selection becomes ---


class Shapes:
    """Python types of selections, and what they need."""

    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self.schema = schema
        self.fragments = fragments
        self.enums: set[str] = set()

    def of(self, kind: GraphQLOutputType, node: FieldNode, prefix: str = "") -> str:
        """The annotation of a field."""
        if isinstance(kind, GraphQLNonNull):
            return self._some(kind.of_type, node, prefix)
        found = self._some(kind, node, prefix)
        return found if found.endswith("| None") or found == "Any" else f"{found} | None"

    def _some(self, kind: GraphQLOutputType, node: FieldNode, prefix: str) -> str:
        if isinstance(kind, GraphQLList):
            return f"list[{self.of(kind.of_type, node, prefix)}]"
        if node.selection_set is not None:
            return self._object(cast("GraphQLObjectType", kind), node.selection_set, prefix)
        named = cast("GraphQLNamedType", kind)
        if isinstance(named, GraphQLEnumType):
            self.enums.add(named.name)
            return f"enums.{named.name}"
        return OUTPUTS[named.name]

    def _object(self, kind: GraphQLObjectType, selections: SelectionSetNode, prefix: str) -> str:
        kind, nodes = self.seen_through(kind, selections)
        if len(nodes) == 1 and isinstance(nodes[0], FragmentSpreadNode):
            return prefix + nodes[0].name.value
        fields = {node.name.value: node for node in nodes if isinstance(node, FieldNode)}
        if fields.keys() == PAGE:
            listed = self.of(kind.fields["nodes"].type, fields["nodes"], prefix)
            return f"Page[{listed.removeprefix('list[').removesuffix(']')}]"
        if len(nodes) == 1:
            ((name, node),) = fields.items()
            return self.of(kind.fields[name].type, node, prefix)
        raise Fault(f"{kind.name}: select a single field, or one fragment")

    def seen_through(self, kind: GraphQLObjectType, selections: SelectionSetNode) -> tuple[GraphQLObjectType, Nodes]:
        """What is selected behind `... on Type`."""
        nodes = cast("Nodes", selections.selections)
        if len(nodes) == 1 and isinstance(nodes[0], InlineFragmentNode) and nodes[0].type_condition:
            inner = self.schema.type_map[nodes[0].type_condition.name.value]
            return cast("GraphQLObjectType", inner), cast("Nodes", nodes[0].selection_set.selections)
        return kind, nodes


Nodes = Sequence[FieldNode | FragmentSpreadNode | InlineFragmentNode]


def snake(name: str) -> str:
    """A name as Python has it."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def sentence(text: str | None) -> str:
    """The first sentence of a description as a docstring of one line; a long one ends at a pause."""
    first = re.split(r"(?<=\.)\s", (text or "").strip(), maxsplit=1)[0].replace("\n", " ")
    while len(first) > SENTENCE:
        shorter = max(first[:SENTENCE].rpartition(pause)[0] for pause in (", ", "; ", ": "))
        first = f"{shorter or first[: SENTENCE - 1].rpartition(' ')[0]}."
    return f'"""{first}"""'


# --- The files ---


def types(shapes: Shapes) -> Iterator[str]:
    """A class for each fragment."""
    yield HEAD.format("What the server answers, as classes.")
    yield "from __future__ import annotations\n\nfrom dataclasses import dataclass\nfrom datetime import datetime\n"
    yield "from typing import Any\n\nfrom modelbox.api import enums\nfrom modelbox.api.reading import Blob\n\n\n"
    made: set[str] = set()
    for name in shapes.fragments:
        yield from _class_and_what_it_needs(shapes, name, made)


def _class_and_what_it_needs(shapes: Shapes, name: str, made: set[str]) -> Iterator[str]:
    """A base stands before what is made of it."""
    if name in made:
        return
    made.add(name)
    selected = shapes.fragments[name].selection_set.selections
    if len(selected) < 2:
        raise Fault(f"{name}: a fragment of one field; select the field")
    bases = [node.name.value for node in selected if isinstance(node, FragmentSpreadNode)]
    for base in bases:
        yield from _class_and_what_it_needs(shapes, base, made)
    kind = cast("GraphQLObjectType", shapes.schema.type_map[shapes.fragments[name].type_condition.name.value])
    yield f"@dataclass(frozen=True)\nclass {name}{'(' + ', '.join(bases) + ')' if bases else ''}:\n"
    yield f"    {sentence(kind.description)}\n\n"
    for node in selected:
        if isinstance(node, FieldNode):
            key = (node.alias or node.name).value
            yield f"    {snake(key)}: {shapes.of(kind.fields[node.name.value].type, node)}\n"
    yield "\n\n"


def is_spread(node: object) -> bool:
    """Whether a selection is that of a fragment by name."""
    return isinstance(node, FragmentSpreadNode)


def enums(schema: GraphQLSchema, names: set[str]) -> Iterator[str]:
    """A Literal for each enum."""
    yield HEAD.format("The words of which the server's enums consist today; a newer server may have more.")
    yield "from __future__ import annotations\n\nfrom typing import Literal\n\n"
    for name in sorted(names):
        kind = cast("GraphQLEnumType", schema.type_map[name])
        words = ", ".join(f'"{word}"' for word in kind.values)
        yield f"{name} = Literal[{words}]\n{sentence(kind.description)}\n\n"


def inputs(schema: GraphQLSchema, names: set[str]) -> Iterator[str]:
    """A dictionary's type for each input."""
    yield HEAD.format("What the server is asked with, as types of dictionaries.")
    yield "from __future__ import annotations\n\nfrom datetime import datetime\nfrom typing import Any, TypedDict\n\n"
    yield "from modelbox.api import enums\n\n\n"
    for name in sorted(names):
        kind = cast("GraphQLInputObjectType", schema.type_map[name])
        fields = {key: input_type(field.type) for key, field in kind.fields.items()}
        if any(keyword.iskeyword(key) for key in fields):
            listed = ", ".join(f'"{key}": "{value}"' for key, value in fields.items())
            yield f'{name} = TypedDict("{name}", {{{listed}}}, total=False)\n{sentence(kind.description)}\n\n'
        else:
            listed = "".join(f"    {key}: {value}\n" for key, value in fields.items())
            yield f"class {name}(TypedDict, total=False):\n    {sentence(kind.description)}\n\n{listed}\n\n"


def input_type(kind: GraphQLInputType, prefix: str = "") -> str:
    """The annotation of what is sent."""
    if isinstance(kind, GraphQLNonNull):
        return input_type(kind.of_type, prefix)
    if isinstance(kind, GraphQLList):
        return f"list[{input_type(kind.of_type, prefix)}]"
    named = cast("GraphQLNamedType", kind)
    if isinstance(named, GraphQLEnumType):
        return f"enums.{named.name}"
    return INPUTS.get(named.name) or prefix + named.name


def documents(shapes: Shapes, operations: Sequence[OperationDefinitionNode]) -> Iterator[str]:
    """The texts that are sent: each fragment once, each operation with those that it needs."""
    yield HEAD.format("The operations as they are sent.")
    yield "from __future__ import annotations\n\nfrom typing import Final\n\n"
    for name, node in shapes.fragments.items():
        yield f"_{snake(name).upper()}: Final = (\n{_wrapped(node)})\n"
    yield "\n"
    for operation in operations:
        needed = list(dict.fromkeys(_needed(shapes, operation)))
        parts = "".join(f"    + _{snake(name).upper()}\n" for name in needed)
        yield f"{constant(operation)}: Final = (\n{_wrapped(operation)}{parts})\n"


def _wrapped(node: FragmentDefinitionNode | OperationDefinitionNode) -> str:
    text = strip_ignored_characters(print_ast(node))
    lines = textwrap.wrap(text, 108, break_on_hyphens=False, drop_whitespace=False)
    return "    (\n" + "".join(f'        "{line}"\n' for line in lines) + "    )\n" if lines[1:] else f'    "{text}"\n'


def _needed(shapes: Shapes, node: FragmentDefinitionNode | OperationDefinitionNode) -> Iterator[str]:
    for name in re.findall(r"\.\.\.(\w+)", strip_ignored_characters(print_ast(node))):
        if name in shapes.fragments:
            yield name
            yield from _needed(shapes, shapes.fragments[name])


def constant(operation: OperationDefinitionNode) -> str:
    """The name of a document."""
    assert operation.name is not None  # noqa: S101 - the operations are all named
    return snake(operation.name.value).upper()


def operations_module(shapes: Shapes, operations: Sequence[OperationDefinitionNode]) -> Iterator[str]:
    """A function for each query and mutation."""
    yield HEAD.format("A function for each operation; None is what is not there, or not in your sight.")
    yield "from __future__ import annotations\n\nfrom datetime import datetime\nfrom typing import Any\n\n"
    yield "from modelbox.api import documents, enums, inputs, types\n"
    yield "from modelbox.api.reading import Asker, Page, found, raw, sent\n\n\n"
    for operation in operations:
        if operation.operation is not OperationType.SUBSCRIPTION:
            yield _function(shapes, operation)


def _function(shapes: Shapes, operation: OperationDefinitionNode) -> str:
    root = shapes.schema.get_root_type(operation.operation)
    assert root is not None  # noqa: S101 - validated
    answer = result_of(shapes, root, operation.selection_set)
    arguments = {v.variable.name.value: argument(shapes.schema, v) for v in operation.variable_definitions or ()}
    listed = "".join(f", {snake(name)}: {given}" for name, given in arguments.items())
    variables = ", ".join(f"{name}={snake(name)}" for name in arguments)
    kind = answer.kind.removesuffix(" | None")
    result = "Any" if kind == "Any" else f"{kind} | None"
    return (
        f"def {constant(operation).lower()}(server: Asker{', *' if listed else ''}{listed}) -> {result}:\n"
        f"    {sentence(answer.description)}\n"
        f"    data = server.ask(documents.{constant(operation)}, **sent({variables}))\n"
        f"    return {'raw(' if kind == 'Any' else f'found({kind}, '}data, {', '.join(answer.path)})\n\n\n"
    )


@dataclass(frozen=True)
class Answer:
    """What an operation answers: the way to it, its type, and what the schema says of it."""

    path: list[str]
    kind: str
    description: str | None


def result_of(shapes: Shapes, kind: GraphQLObjectType, selections: SelectionSetNode) -> Answer:
    """The one thing that an operation selects; errors of users are no answer."""
    kind, nodes = shapes.seen_through(kind, selections)
    asked = [node for node in nodes if not _is_errors(node)]
    if len(asked) != 1 or not isinstance(asked[0], FieldNode):
        raise Fault(f"{kind.name}: an operation selects one thing")
    node, field = asked[0], kind.fields[asked[0].name.value]
    place = f'"{node.name.value}"'
    if node.selection_set is None or is_spread(node.selection_set.selections[0]) or _is_page(node):
        return Answer([place], shapes.of(field.type, node, "types."), field.description)
    inner = result_of(shapes, cast("GraphQLObjectType", get_named_type(field.type)), node.selection_set)
    return replace(inner, path=[place, *inner.path])


def _is_errors(node: object) -> bool:
    return isinstance(node, FieldNode) and node.name.value == "userErrors"


def _is_page(node: FieldNode) -> bool:
    nodes = node.selection_set.selections if node.selection_set else ()
    return {each.name.value for each in nodes if isinstance(each, FieldNode)} == PAGE


def argument(schema: GraphQLSchema, node: VariableDefinitionNode) -> str:
    """The annotation of a variable, with its default: what is None is not sent."""
    kind = cast("GraphQLInputType", type_from_ast(schema, node.type))
    annotation = input_type(kind, "inputs.")
    return annotation if isinstance(kind, GraphQLNonNull) else f"{annotation} | None = None"


# --- All of it ---


def inputs_of(schema: GraphQLSchema, operations: Sequence[OperationDefinitionNode]) -> tuple[set[str], set[str]]:
    """The names of the inputs that variables need, and of the enums."""
    objects: set[str] = set()
    words: set[str] = set()
    waiting = [type_from_ast(schema, each.type) for node in operations for each in node.variable_definitions or ()]
    while waiting:
        kind = get_named_type(waiting.pop())
        if isinstance(kind, GraphQLEnumType):
            words.add(kind.name)
        elif isinstance(kind, GraphQLInputObjectType) and kind.name not in objects:
            objects.add(kind.name)
            fields: Mapping[str, GraphQLInputField] = kind.fields
            waiting += [field.type for field in fields.values()]
    return objects, words


def generated() -> dict[Path, str]:
    """Every file that is made, with its text."""
    schema, document = build_schema(SCHEMA.read_text()), parse(OPERATIONS.read_text())
    for error in validate(schema, document):
        raise Fault(str(error))
    nodes = document.definitions
    fragments = {node.name.value: node for node in nodes if isinstance(node, FragmentDefinitionNode)}
    operations = [node for node in nodes if isinstance(node, OperationDefinitionNode)]
    shapes = Shapes(schema, fragments)
    objects, words = inputs_of(schema, operations)
    texts = {
        "types.py": types(shapes),
        "operations.py": operations_module(shapes, operations),
        "documents.py": documents(shapes, operations),
        "inputs.py": inputs(schema, objects),
    }
    made = {HOME / name: formatted(HOME / name, "".join(text)) for name, text in texts.items()}
    made[HOME / "enums.py"] = formatted(HOME / "enums.py", "".join(enums(schema, words | shapes.enums)))
    return made


def formatted(path: Path, text: str) -> str:
    """In the house's format, without imports that nothing needs."""
    ruff = [str(Path(sys.executable).with_name("ruff"))]
    for command in (["check", "--quiet", "--fix-only", "--select", "F401,I"], ["format", "--quiet"]):
        words = [*ruff, *command, "--stdin-filename", str(path), "-"]
        text = subprocess.run(words, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return text


def main() -> int:
    """Write, or with `--check` compare; the number of files that were out of date."""
    stale = {path: text for path, text in generated().items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
        if "--check" not in sys.argv:
            path.write_text(text)
    return len(stale) if "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
