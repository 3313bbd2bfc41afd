"""Unique tags: each points to one version of a model at a time, and no move is forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from db import tables
from db.access import Role
from db.errors import Conflict, NotFound
from db.identifiers import format_id, new_id
from db.names import check_name
from db.read.source import MODEL, MODEL_VERSION
from db.transaction import Result, Transaction
from db.verbs import entity
from db.verbs.entity import Found, Path

MAX_TAGS: Final = 1_000
TAG: Path = ("input", "tag")

CURRENT = "SELECT tag, version_id FROM unique_tag WHERE tenant_id = $1 AND model_id = $2 AND tag = ANY($3)"
"""Where these tags of a model point."""

LAST_MOVE = "SELECT max(at) FROM tag_change WHERE tenant_id = $1 AND model_id = $2 AND tag = ANY($3)"
"""When one of these tags was last moved."""

COUNT = "SELECT count(*) FROM unique_tag WHERE tenant_id = $1 AND model_id = $2"
OF_VERSION = "SELECT tag FROM unique_tag WHERE tenant_id = $1 AND model_id = $2 AND version_id = $3 ORDER BY tag"

POINT = """
    INSERT INTO unique_tag (tenant_id, model_id, tag, version_id, at) SELECT $1, $2, unnest($3::text[]), $4, $5
    ON CONFLICT (tenant_id, model_id, tag) DO UPDATE SET version_id = excluded.version_id, at = excluded.at
"""
"""Let tags point to a version."""

FORGET = "DELETE FROM unique_tag WHERE tenant_id = $1 AND model_id = $2 AND tag = ANY($3)"


async def model_of(tx: Transaction, version: Found, path: Path = entity.ID) -> Found:
    """The model of a version, locked: its tags move one after the other."""
    return await entity.load(tx, MODEL, format_id(MODEL.prefix, version.row["model_id"]), path)


async def set_tag(tx: Transaction, *, version_id: str, tag: str) -> Result:
    """Let a tag point to a version, wherever it pointed before."""
    where = ("input", "versionId")
    tag = check_name(tag, ".".join(TAG))
    version = await entity.load(tx, MODEL_VERSION, version_id, where)
    model = await model_of(tx, version, where)
    previous = await move(tx, model, [tag], version.id, TAG)
    return {"version": version.id, "previousVersion": previous.get(tag)}


async def remove_tag(tx: Transaction, *, model_id: str, tag: str) -> Result:
    """Let a tag point to nothing."""
    tag = check_name(tag, ".".join(TAG))
    model = await entity.load(tx, MODEL, model_id, ("input", "modelId"))
    previous = await move(tx, model, [tag], None, TAG)
    if tag not in previous:
        raise NotFound(f"The model has no unique tag {tag!r}. `uniqueTags` lists those that it has.", path=TAG)
    return {"model": model.id, "previousVersion": previous[tag]}


def require_moves(tx: Transaction, model: Found, path: Path) -> None:
    """Raises Denied unless the caller may move the tags of a model."""
    entity.require(tx, model.home, Role.MAINTAINER, path, kind=MODEL.kind, object_id=model.id)


async def of_version(tx: Transaction, model: Found, version: UUID) -> list[str]:
    """The tags that point to a version, sorted."""
    return [row["tag"] for row in await tx.fetch(OF_VERSION, model.id, version)]


async def move(tx: Transaction, model: Found, tags: Iterable[str], version: UUID | None, path: Path) -> dict[str, UUID]:
    """Let tags of a locked model point to a version, or to nothing; returns where those that existed pointed."""
    wanted = sorted(set(tags))
    previous = {row["tag"]: row["version_id"] for row in await tx.fetch(CURRENT, model.id, wanted)}
    moved = [tag for tag in wanted if previous.get(tag) != version]
    if not moved:
        return previous
    at = await _moment(tx, model, moved)
    if version is None:
        await tx.execute(FORGET, model.id, moved)
    else:
        await _require_room(tx, model, len(set(moved) - set(previous)), path)
        await tx.execute(POINT, model.id, moved, version, at)
    await _remember(tx, model, {tag: previous.get(tag) for tag in moved}, version, at)
    return previous


async def _moment(tx: Transaction, model: Found, tags: list[str]) -> datetime:
    """Now, but after every earlier move, whatever the clocks of other servers say: `asOf` goes by it."""
    last = await tx.fetchval(LAST_MOVE, model.id, tags)
    return max(tx.now, last + timedelta(microseconds=1)) if last else tx.now


async def _require_room(tx: Transaction, model: Found, more: int, path: Path) -> None:
    if more and await tx.fetchval(COUNT, model.id) + more > MAX_TAGS:
        raise Conflict(
            f"A model has at most {MAX_TAGS} unique tags. Remove some; labels have no such limit.", path=path
        )


async def _remember(
    tx: Transaction, model: Found, previous: dict[str, UUID | None], version: UUID | None, at: datetime
) -> None:
    known = {"model_id": model.id, "version_id": version, "actor_id": tx.caller.actor_id, "at": at}
    rows = [{"id": new_id(), "tag": tag, "previous_version_id": old, **known} for tag, old in previous.items()]
    await tx.insert_many(tables.TagChange, rows)
    before = {tag: old and format_id(MODEL_VERSION.prefix, old) for tag, old in previous.items()}
    after = dict.fromkeys(previous, version and format_id(MODEL_VERSION.prefix, version))
    change = {"before": {"uniqueTags": before}, "after": {"uniqueTags": after}}
    entity.note(tx, "UPDATE", MODEL, model.home, model.id, name=model.name, **change)
