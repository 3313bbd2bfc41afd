"""Links: how a row is found from its parent's row, from arguments, or from both."""

from __future__ import annotations

from collections.abc import Callable

from db.read.checkpoint import left_behind
from db.read.sql import ACTOR, Bind, Statement

Link = Callable[[Statement, str, str], str]
"""Of a statement, the parent's alias and the child's: the condition that joins them."""


def anything(statement: Statement, parent: str, child: str) -> str:
    """Every row of the tenant."""
    return "true"


def by_column(name: str) -> Link:
    """The child whose id stands in a column of the parent."""
    return lambda statement, parent, child: f"{child}.id = {parent}.{name}"


def children_by(name: str) -> Link:
    """The children that name the parent in a column of theirs."""
    return lambda statement, parent, child: f"{child}.{name} = {parent}.id"


def by_id(bind: Bind) -> Link:
    """The row of that id."""
    return lambda statement, parent, child: f"{child}.id = {statement.bind(bind)}"


def by_value(column: str, bind: Bind) -> Link:
    """The rows that hold a value in a column; null equals null."""
    return lambda statement, parent, child: f"{child}.{column} IS NOT DISTINCT FROM {statement.bind(bind)}"


def both(first: Link, second: Link) -> Link:
    """Rows that two links lead to."""
    return lambda statement, parent, child: f"{first(statement, parent, child)} AND {second(statement, parent, child)}"


def the_caller(statement: Statement, parent: str, child: str) -> str:
    """Who asks."""
    return f"{child}.id = {statement.bind(ACTOR)}"


def at_path(path: Bind) -> Link:
    """The namespace of a path."""
    return lambda statement, parent, child: f"{child}.path = {statement.bind(path)}"


def in_namespace(path: Bind, column: str, value: Bind) -> Link:
    """The row in the namespace of that path whose column has this value, if it is not deleted."""

    def link(statement: Statement, parent: str, child: str) -> str:
        home = statement.alias()
        return (
            f"{child}.namespace_id = (SELECT {home}.id FROM namespace {home} WHERE {home}.tenant_id ="
            f" {statement.tenant} AND {home}.path = {statement.bind(path)} AND {home}.visible)"
            f" AND {child}.{column} = {statement.bind(value)} AND {child}.deleted_at IS NULL"
        )

    return link


def _model(statement: Statement, path: Bind, name: Bind) -> str:
    row = statement.alias()
    named = in_namespace(path, "name", name)(statement, "", row)
    return f"(SELECT {row}.id FROM model {row} WHERE {row}.tenant_id = {statement.tenant} AND {named})"


def version_of_model(path: Bind, model: Bind, version: Bind) -> Link:
    """The version of that string, of the model of that name."""
    return lambda statement, parent, child: (
        f"{child}.model_id = {_model(statement, path, model)} AND {child}.version = {statement.bind(version)}"
        f" AND {child}.deleted_at IS NULL"
    )


def tagged_of_model(path: Bind, model: Bind, tag: Bind) -> Link:
    """The version that a unique tag points to, of the model of that name."""

    def link(statement: Statement, parent: str, child: str) -> str:
        row = statement.alias()
        return (
            f"{child}.id = (SELECT {row}.version_id FROM unique_tag {row} WHERE {row}.tenant_id ="
            f" {statement.tenant} AND {row}.model_id = {_model(statement, path, model)}"
            f" AND {row}.tag = {statement.bind(tag)})"
        )

    return link


def version_by_string(version: Bind) -> Link:
    """The version of a model with that string."""
    return lambda statement, parent, child: (
        f"{child}.model_id = {parent}.id AND {child}.version = {statement.bind(version)}"
    )


def version_by_tag(tag: Bind, moment: Bind | None) -> Link:
    """The version that a tag of a model points to, now or at a moment: the last move up to then."""

    def link(statement: Statement, parent: str, child: str) -> str:
        row = statement.alias()
        same = (
            f"{row}.tenant_id = {statement.tenant} AND {row}.model_id = {parent}.id"
            f" AND {row}.tag = {statement.bind(tag)}"
        )
        if moment is None:
            return f"{child}.id = (SELECT {row}.version_id FROM unique_tag {row} WHERE {same})"
        return (
            f"{child}.id = (SELECT {row}.version_id FROM tag_change {row} WHERE {same}"
            f" AND {row}.at <= {statement.bind(moment)} ORDER BY {row}.at DESC, {row}.id DESC LIMIT 1)"
        )

    return link


def experiment_of_versions(statement: Statement, parent: str, child: str) -> str:
    """The experiments that produced a model's versions."""
    row = statement.alias()
    return (
        f"EXISTS (SELECT 1 FROM model_version {row} WHERE {row}.tenant_id = {statement.tenant}"
        f" AND {row}.experiment_id = {child}.id AND {row}.model_id = {parent}.id AND {row}.deleted_at IS NULL)"
    )


def downloads_of_versions(statement: Statement, parent: str, child: str) -> str:
    """The audit events of downloads from a model's versions, deleted ones too: what was read was read."""
    row = statement.alias()
    return (
        f"{child}.action = 'DOWNLOAD' AND {child}.object_id IN (SELECT {row}.id FROM model_version {row}"
        f" WHERE {row}.tenant_id = {statement.tenant} AND {row}.model_id = {parent}.id)"
    )


def _complete(statement: Statement, parent: str, row: str) -> str:
    """Condition on a row of `checkpoint`: it is complete, and was not left behind by a resumption."""
    left = left_behind(statement.tenant, row, (statement.alias(), statement.alias()))
    return (
        f"{row}.tenant_id = {statement.tenant} AND {row}.experiment_id = {parent}.id"
        f" AND {row}.deleted_at IS NULL AND {row}.status = 'READY' AND NOT {left}"
    )


def latest_checkpoint(statement: Statement, parent: str, child: str) -> str:
    """The complete checkpoint of the run's line with the greatest step; of equals, and without steps, the newest."""
    row = statement.alias()
    return (
        f"{child}.id = (SELECT {row}.id FROM checkpoint {row} WHERE {_complete(statement, parent, row)}"
        f" ORDER BY {row}.step DESC NULLS LAST, {row}.id DESC LIMIT 1)"
    )


def itself(value: str) -> Link:
    """The parent's own row once more, where it has a value: a column, or what follows its alias to one inside it."""
    return lambda statement, parent, child: f"{child}.id = {parent}.id AND {child}.{value} IS NOT NULL"


def complete_files(statement: Statement, parent: str, child: str) -> str:
    """The files of an object's complete artifacts."""
    row = statement.alias()
    return (
        f"{child}.artifact_id IN (SELECT {row}.id FROM artifact {row} WHERE {row}.tenant_id = {statement.tenant}"
        f" AND {row}.object_id = {parent}.id AND {row}.deleted_at IS NULL AND {row}.status = 'READY')"
    )


def best_checkpoint(key: Bind, *, least: bool) -> Link:
    """The complete checkpoint of the line with the best finite last value of an own series; ties to the newest."""
    direction = "ASC" if least else "DESC"

    def link(statement: Statement, parent: str, child: str) -> str:
        row, series = statement.alias(), statement.alias()
        return (
            f"{child}.id = (SELECT {row}.id FROM checkpoint {row} JOIN series {series}"
            f" ON {is_series(statement, series, f'{row}.id', statement.bind(key))}"
            f" WHERE {_complete(statement, parent, row)} AND {series}.last < 'Infinity'"
            f" AND {series}.last > '-Infinity' ORDER BY {series}.last {direction}, {row}.id DESC LIMIT 1)"
        )

    return link


def open_uploads(statement: Statement, parent: str, child: str) -> str:
    """The uploads into an artifact that are under way."""
    return f"{child}.artifact_id = {parent}.id AND {child}.status IN ('OPEN', 'VERIFYING')"


def is_series(statement: Statement, series: str, owner: str, key: str) -> str:
    """Condition on a row of `series`: it is the current leg's of that owner and key."""
    return (
        f"{series}.tenant_id = {statement.tenant} AND {series}.owner_id = {owner} AND {series}.key = {key}"
        f" AND {series}.leg = 0"
    )


def series_by_key(key: Bind, leg: Bind | None = None) -> Link:
    """The series of that key: on the run's line, or of what a resumption left behind."""
    return lambda statement, parent, child: (
        f"{child}.owner_id = {parent}.id AND {child}.key = {statement.bind(key)}"
        f" AND {child}.leg = {statement.bind(leg) if leg else 0}"
    )
