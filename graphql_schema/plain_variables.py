"""Variables that need no coercion: most requests have one id or a few words.

The library takes 10 µs for one id, which is a tenth of a small request. What is not plainly right is
left to it, so that there is one place that words refusals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from graphql import OperationDefinitionNode, print_ast

PYTHON_TYPES: Final[Mapping[str, type]] = {"ID": str, "String": str, "Boolean": bool}
"""Built-in scalars whose values stay as they are when they come as this type."""

PlainTypes = Mapping[str, tuple[type, bool]]
"""By variable: the Python type that passes as it is, and whether the variable must be given."""


def plain_types(definition: OperationDefinitionNode) -> PlainTypes | None:
    """The variables of an operation, when all are of such scalars and none has a default."""
    found: dict[str, tuple[type, bool]] = {}
    for variable in definition.variable_definitions or ():
        name = print_ast(variable.type)
        python = PYTHON_TYPES.get(name.removesuffix("!"))
        if python is None or variable.default_value is not None:
            return None
        found[variable.variable.name.value] = (python, name.endswith("!"))
    return found


def plain_variables(types: PlainTypes | None, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """The values, if they are plainly right; None leaves them to the library."""
    if types is None:
        return None
    values: dict[str, Any] = {}
    for name, (python, is_required) in types.items():
        value = given.get(name)
        if type(value) is python:
            values[name] = value
        elif value is not None or is_required:
            return None
        elif name in given:
            values[name] = None
    return values
