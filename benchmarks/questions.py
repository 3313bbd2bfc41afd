"""What is asked: each question for ModelBox and for PostGraphile, and its answer's plain form.

Both return the same rows in the same order. PostGraphile is asked in its own words, with aliases where its
names differ, and without the conditions that it cannot cheaply make: it leaves out whether a row is deleted
and whether the caller may see it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from benchmarks.seed import Seed, namespace_path

NAMESPACE = 5
EXPERIMENT = 137
METRIC = "val/accuracy"


@dataclass(frozen=True)
class Document:
    """A GraphQL request."""

    query: str
    variables: Mapping[str, Any]

    @property
    def body(self) -> bytes:
        """The POST body."""
        return orjson.dumps({"query": self.query, "variables": self.variables})


@dataclass(frozen=True)
class Question:
    """One workload: the same question in three forms. `floor` is a path of the floor's server."""

    name: str
    modelbox: Document
    postgraphile: Document
    floor: str


FIELDS = "id name owner status framework externalId group startedAt endedAt revision"
PAGE_FIELDS = f"{FIELDS} description createdAt"

NESTED = """
query Nested($path: String!) {
  namespace(by: { path: $path }) {
    models(first: 50) {
      nodes {
        id
        name
        versions(first: 10) {
          nodes {
            id
            version
            artifacts(first: 5) { nodes { id name kind status } }
            metrics(first: 5) { nodes { key count last min max } }
          }
        }
      }
    }
  }
}
"""
NESTED_POSTGRAPHILE = """
query Nested($tenant: UUID!, $namespace: UUID!) {
  namespace: namespaceByTenantIdAndRowId(tenantId: $tenant, rowId: $namespace) {
    models(first: 50, orderBy: [ROW_ID_DESC]) {
      nodes {
        id: rowId
        name
        versions(first: 10, orderBy: [ROW_ID_DESC]) {
          nodes {
            id: rowId
            version
            artifacts(first: 5, condition: { deletedAt: null }, orderBy: [NAME_ASC]) {
              nodes { id: rowId name kind status }
            }
            metrics(first: 5, orderBy: [KEY_ASC]) { nodes { key count last min max } }
          }
        }
      }
    }
  }
}
"""
ONE = f"query One($id: ID!) {{ experiment(by: {{ id: $id }}) {{ {FIELDS} }} }}"
ONE_POSTGRAPHILE = (
    "query One($tenant: UUID!, $id: UUID!) {"
    " experiment: experimentByTenantIdAndRowId(tenantId: $tenant, rowId: $id)"
    f" {{ id: rowId {FIELDS.removeprefix('id ')} }} }}"
)
PAGE = f"query Page($path: String!) {{ experiments(namespace: $path, first: 50) {{ nodes {{ {PAGE_FIELDS} }} }} }}"
PAGE_POSTGRAPHILE = (
    "query Page($tenant: UUID!, $namespace: UUID!) {"
    " experiments: allExperiments(condition: { tenantId: $tenant, namespaceId: $namespace },"
    f" first: 50, orderBy: [ROW_ID_DESC]) {{ nodes {{ id: rowId {PAGE_FIELDS.removeprefix('id ')} }} }} }}"
)
RANKED = """
query Ranked($filter: ExperimentFilter!, $orderBy: [ExperimentOrder!]!, $after: Cursor) {
  experiments(filter: $filter, orderBy: $orderBy, first: 20, after: $after) {
    nodes { id name metric(key: "val/accuracy") { max } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


def questions(rows: Seed) -> list[Question]:
    """The workloads over the seeded rows."""
    path, home = namespace_path(NAMESPACE), str(rows.id("namespace", NAMESPACE))
    experiment = rows.id("experiment", EXPERIMENT)
    here = {"tenant": str(rows.tenant), "namespace": home}
    one = {"tenant": str(rows.tenant), "id": str(experiment)}
    return [
        Question(
            "nested",
            Document(NESTED, {"path": path}),
            Document(NESTED_POSTGRAPHILE, here),
            f"/nested/{path}",
        ),
        Question(
            "one",
            Document(ONE, {"id": f"exp_{experiment.hex}"}),
            Document(ONE_POSTGRAPHILE, one),
            f"/one/{experiment}",
        ),
        Question("page", Document(PAGE, {"path": path}), Document(PAGE_POSTGRAPHILE, here), f"/page/{path}"),
    ]


def thirds() -> dict[str, dict[str, Any]]:
    """Filters that keep a third of all experiments each: by text, and by a number."""
    return {
        "ranked, by text": {"path": ["optimizer"], "text": {"eq": "adam"}},
        "ranked, by number": {"path": ["lr"], "number": {"lt": 10 ** (-5 + 4 / 3)}},
    }


def ranked(third: Mapping[str, Any], after: str | None) -> Document:
    """Twenty experiments of a third of all, by the maximum of a metric."""
    order = [{"metric": {"key": METRIC, "aggregate": "MAX"}, "direction": "DESC"}]
    return Document(RANKED, {"filter": {"hyperparameters": [third]}, "orderBy": order, "after": after})


ID = re.compile(r"[a-z]{3}_([0-9a-f]{32})")
UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*")
WHOLE = {"count", "revision"}


def plain(value: Any, key: str = "") -> Any:
    """An answer without what the servers only spell differently: ids, moments, 64-bit integers."""
    if isinstance(value, dict):
        return {name: plain(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner, key) for inner in value]
    return _plain_text(value, key) if isinstance(value, str) else value


def _plain_text(text: str, key: str) -> Any:
    if key in WHOLE:
        return int(text)
    if INSTANT.fullmatch(text):
        return datetime.fromisoformat(text).timestamp()
    if UUID_TEXT.fullmatch(text):
        return text.replace("-", "")
    found = ID.fullmatch(text)
    return found[1] if found else text
