"""Where root lists and what is counted at the root look: in all namespaces, in one, or in one and all below it."""

from __future__ import annotations

from typing import Final

from db.read.within import Within
from graphql_schema.fields import Argument, given
from graphql_schema.selection import Selected

PLACE: Final = (
    Argument("namespace", str | None, "The path of a namespace; all that you may see when absent."),
    Argument("descendants", bool, "Also in the namespaces below it.", True),
)


def within(selected: Selected) -> Within:
    """The namespaces that `namespace:` and `descendants:` name."""
    path = given(selected, "namespace")
    return Within(path.bind("text") if path else None, bool(selected.arguments["descendants"].raw))
