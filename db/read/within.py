"""The namespaces that a list is read from."""

from __future__ import annotations

from dataclasses import dataclass

from db.read.source import readable_namespace
from db.read.sql import Bind, Statement


@dataclass(frozen=True)
class Within:
    """Rows that live in the namespace of a path, or (with `descendants`) below it; without a path, in any."""

    path: Bind | None
    descendants: bool

    @property
    def is_one(self) -> bool:
        """At most one namespace is meant."""
        return self.path is not None and not self.descendants

    def render(self, statement: Statement, alias: str) -> str:
        """Condition on a row, beside that its namespace is readable."""
        if self.path is None:
            return "true"
        inner = statement.alias()
        sign = "IN" if self.descendants else "="
        found = f"SELECT {inner}.id FROM namespace {inner} WHERE {inner}.tenant_id = {statement.tenant}"
        return f"{alias}.namespace_id {sign} ({found} AND {inner}.visible{self._named(statement, inner)})"

    def homes(self, statement: Statement) -> str:
        """These namespaces, as far as the caller may read them: a subquery with an `id`."""
        inner = statement.alias()
        readable = readable_namespace(statement, inner)
        tenant = f"{inner}.tenant_id = {statement.tenant}"
        return (
            f"(SELECT {inner}.id FROM namespace {inner} WHERE {tenant} AND {readable}{self._named(statement, inner)})"
        )

    def _named(self, statement: Statement, namespace: str) -> str:
        if self.path is None:
            return ""
        path = statement.bind(self.path)
        same = f"{namespace}.path = {path}"
        below = f"starts_with({namespace}.path, {path} || '/')"
        return f" AND ({same} OR {below})" if self.descendants else f" AND {same}"
