"""A server with a store of files, and who speaks to it, for attacks on both."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from app.main import create_app
from app.settings import Settings
from db import server_role
from db.blobs.check import Check, Tally
from db.engine import Database
from tests.app.serving import serving
from tests.app.tokens import new_token
from tests.uploader import Uploader

CHANGE = "mutation ($input: %s!) { %s(input: $input) { userErrors { code message path } } }"


@contextlib.asynccontextmanager
async def at_work(database: Database, **settings: Any) -> AsyncIterator[Uploader]:
    """A server on a database, as its admin meets it."""
    app = create_app(Settings(**settings), database)
    async with serving(app) as address, httpx.AsyncClient(timeout=30) as http:
        yield Uploader(http, f"http://{address}/graphql", {"Authorization": f"Bearer {await new_token(database)}"})


@contextlib.asynccontextmanager
async def another_process(database: Database, dsn: str) -> AsyncIterator[Uploader]:
    """A server beside the one on `database`, which shares with it only PostgreSQL and the store."""
    other = await Database.connect(dsn, role=server_role.NAME)
    other.blobs = database.blobs
    async with at_work(other) as uploader:
        yield uploader
    await other.close()


def changing(mutation: str, input_: str | None = None) -> str:
    """The document of a mutation whose payload is of no interest."""
    return CHANGE % (input_ or f"{mutation[0].upper()}{mutation[1:]}Input", mutation)


DELETE_ARTIFACT: Final = changing("deleteArtifact", "DeleteInput")
RESTORE_ARTIFACT: Final = changing("restoreArtifact", "RestoreInput")
DELETE_EXPERIMENT: Final = changing("deleteExperiment", "DeleteInput")
RESTORE_EXPERIMENT: Final = changing("restoreExperiment")
DELETE_CHECKPOINT: Final = changing("deleteCheckpoint", "DeleteInput")
RESTORE_CHECKPOINT: Final = changing("restoreCheckpoint")
DELETE_NAMESPACE: Final = changing("deleteNamespace", "DeleteInput")
RESTORE_NAMESPACE: Final = changing("restoreNamespace", "RestoreInput")
QUOTA: Final = changing("setStorageQuota")
COMMIT: Final = changing("commitCheckpoint")

RUN_IN = """mutation ($input: CreateExperimentInput!) {
  createExperiment(input: $input) { experiment { id namespace { id } } userErrors { code message path } } }"""
CHECKPOINT = """mutation ($input: CreateCheckpointInput!) {
  createCheckpoint(input: $input) { checkpoint { id } userErrors { code message path } } }"""


async def run_in(uploader: Uploader, namespace: str, name: str = "run") -> tuple[str, str]:
    """A new experiment in a namespace, and that; both ids."""
    made = (await uploader.change(RUN_IN, name=name, namespace=namespace))["experiment"]
    return made["id"], made["namespace"]["id"]


async def checkpoint_of(uploader: Uploader, run: str, shards: int | None = None) -> str:
    """A new checkpoint; its id."""
    made: str = (await uploader.change(CHECKPOINT, experimentId=run, expectedShards=shards))["checkpoint"]["id"]
    return made


async def looked_through(database: Database) -> Tally:
    """What `fsck` finds, no matter how young."""
    assert database.blobs is not None
    found: list[Any] = []
    now = datetime.now(UTC) + timedelta(seconds=5)
    tally = await Check(database, database.blobs, now, timedelta(0)).run(found.append)
    assert tally.is_right, found
    return tally
