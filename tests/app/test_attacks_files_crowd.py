"""Eight who do everything with the same few files at once, through two processes: no fault, no deadlock, no loss."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from db.blobs.check import Check
from db.engine import Database
from db.jobs import abandoned, purge, sweep
from tests.app import files_at_work as at
from tests.app.uploading import PART, kept, new_run
from tests.uploader import ABORT, BEGIN, COMPLETE, RESUME, Refused, Uploader, announced

CLIENTS: Final = 8
TURNS: Final = 40
EXPECTED: Final = {"NOT_FOUND", "CONFLICT", "NAME_TAKEN", "UPLOAD_INCOMPLETE"}
CONTENTS: Final = (b"", b"one", b"two", b"three" * 1_000)
MODEL = """mutation ($input: CreateModelInput!) {
  createModel(input: $input) { model { id } userErrors { code message path } } }"""
PROMOTE = at.changing("promoteCheckpoint")
ROT = """
    UPDATE blob SET damaged_at = now()
    WHERE id = (SELECT id FROM blob WHERE doomed_at IS NULL ORDER BY random() LIMIT 1)
"""
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
BLOBS = "SELECT count(*) FROM blob"
NONE: Final = timedelta(0)


@dataclass
class Place:
    """What all of them work on."""

    database: Database
    run: str
    checkpoint: str
    model: str
    uploads: list[str] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)


@dataclass
class Client:
    """One of them: does something by chance, and is content with being refused."""

    uploader: Uploader
    place: Place
    chance: random.Random
    codes: set[str] = field(default_factory=set)

    async def work(self) -> None:
        """Many turns."""
        deeds: list[Callable[[], Awaitable[Any]]] = [
            self.begin, self.begin, self.begin, self.begin_shard, self.begin_shard, self.complete, self.complete,
            self.abort, self.resume, self.artifact, self.artifact, self.owner, self.commit, self.promote, self.rot,
        ]  # fmt: skip
        for _ in range(TURNS):
            try:
                await self.chance.choice(deeds)()
            except Refused as refusal:
                self.codes.add(refusal.code)

    async def begin(self, owner: str | None = None, **also: Any) -> None:
        files = {f"{number}": self.chance.choice(CONTENTS) for number in range(self.chance.randint(1, 3))}
        told = [announced(path, data, PART) for path, data in files.items()]
        name = self.chance.choice("ab") if owner is None else f"shard {also['shard']}"
        begun = await self.uploader.change(BEGIN, objectId=owner or self.place.run, name=name, files=told, **also)
        self.place.uploads.append(begun["upload"]["id"])
        if begun["upload"]["artifact"]:
            self.place.artifacts.append(begun["upload"]["artifact"]["id"])
        for part in begun["parts"]:
            answer = await self.uploader.put(part, files[part["path"]])
            assert answer.status_code in (204, 404, 409), answer.text
        if self.chance.random() < 0.7:
            await self.change(self.chance.choice((COMPLETE, COMPLETE, ABORT)), begun["upload"]["id"])

    async def begin_shard(self) -> None:
        await self.begin(self.place.checkpoint, shard=self.chance.randrange(2))

    async def change(self, document: str, id_: str, **given: Any) -> None:
        await self.uploader.change(document, id=id_, **given)

    def upload(self) -> str:
        return self.chance.choice(self.place.uploads[-12:])

    async def complete(self) -> None:
        await self.change(COMPLETE, self.upload())

    async def abort(self) -> None:
        await self.change(ABORT, self.upload())

    async def resume(self) -> None:
        await self.change(RESUME, self.upload())

    async def artifact(self) -> None:
        document = self.chance.choice((at.DELETE_ARTIFACT, at.RESTORE_ARTIFACT))
        await self.change(document, self.chance.choice(self.place.artifacts[-6:]))

    async def owner(self) -> None:
        kinds = (
            (at.DELETE_EXPERIMENT, at.RESTORE_EXPERIMENT, self.place.run),
            (at.DELETE_CHECKPOINT, at.RESTORE_CHECKPOINT, self.place.checkpoint),
        )
        delete, restore, id_ = self.chance.choice(kinds)
        await self.change(delete, id_)
        await asyncio.sleep(self.chance.uniform(0, 0.02))
        await self.change(restore, id_)

    async def commit(self) -> None:
        await self.change(at.COMMIT, self.place.checkpoint)

    async def promote(self) -> None:
        await self.uploader.change(PROMOTE, checkpointId=self.place.checkpoint, modelId=self.place.model)

    async def rot(self) -> None:
        async with self.place.database.connection() as connection:
            await connection.execute(ROT)


@contextlib.asynccontextmanager
async def tidying(database: Database) -> AsyncIterator[None]:
    """What servers do by themselves, all the time and without grace, but for what is restored later."""

    async def tidy() -> None:
        while True:
            for tenant, _ in await sweep.tenants(database):
                now = datetime.now(UTC)
                await abandoned.do(database, tenant.hex, now)
                await sweep.do(database, tenant.hex, now, grace=NONE)
                await purge.forget(database, tenant.hex, now, ages=purge.Ages(timedelta(hours=1), NONE))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(tidy())
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait({task})


async def end(uploader: Uploader, place: Place) -> None:
    """Give up what is not complete, and forget what is deleted."""
    for upload in set(place.uploads):
        with contextlib.suppress(Refused):
            await uploader.change(ABORT, id=upload)
    later = datetime.now(UTC) + timedelta(hours=3)
    for tenant, _ in await sweep.tenants(place.database):
        await abandoned.do(place.database, tenant.hex, later)
        await purge.forget(place.database, tenant.hex, later, ages=purge.Ages(NONE, NONE))
        await sweep.do(place.database, tenant.hex, later, grace=NONE)
        await sweep.do(place.database, tenant.hex, later, grace=NONE)


@pytest.mark.parametrize("seed", range(2))
async def test_a_crowd(database: Database, dsn: str, seed: int) -> None:
    async with at.at_work(database) as one, at.another_process(database, dsn) as other:
        run = await new_run(one)
        model = (await one.change(MODEL, name="net"))["model"]["id"]
        place = Place(database, run, await at.checkpoint_of(one, run, shards=2), model)
        clients = [Client((one, other)[n % 2], place, random.Random(seed * CLIENTS + n)) for n in range(CLIENTS)]
        await clients[0].begin()
        async with tidying(database):
            await asyncio.gather(*(client.work() for client in clients))
        assert set.union(*(client.codes for client in clients)) <= EXPECTED
        await end(one, place)
    assert database.blobs is not None
    now = datetime.now(UTC) + timedelta(seconds=5)
    tally = await Check(database, database.blobs, now, NONE).run(print)
    assert tally.is_right
    async with database.connection() as connection:
        assert len(await kept(database)) == await connection.fetchval(BLOBS)
        await connection.execute("SELECT pg_stat_force_next_flush()")
        assert await connection.fetchval(DEADLOCKS) == 0
