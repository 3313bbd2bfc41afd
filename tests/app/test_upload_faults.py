"""Whole uploads over HTTP, with S3 behind a proxy that fails: each ends well, or in an error that says what to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from db.blobs.s3 import Limits, open_s3
from db.engine import Database
from db.errors import StoreUnavailable
from db.jobs import abandoned, purge, sweep
from tests.app.serving import serving
from tests.app.tokens import new_token
from tests.app.uploading import PART, content, kept, new_run
from tests.s3 import fault_proxy
from tests.s3.fault_proxy import Fault, FaultProxy
from tests.s3.server import REGION, S3Server
from tests.uploader import ABORT, BEGIN, COMPLETE, RESUME, Uploader, announced

PASSING: Final = {"SERVICE_UNAVAILABLE", "UPLOAD_INCOMPLETE"}
"""Codes after which the same is said again."""

TRIES: Final = 60
ONCE: Final = (Fault.INTERNAL_ERROR, Fault.LOST_ANSWER, Fault.EXPIRED)
AT_ONCE: Final = purge.Ages(deleted=timedelta(0), retired=timedelta(0))
DELETE = """mutation ($input: DeleteInput!) { deleteArtifact(input: $input) { userErrors { code message } } }"""
CREATE_CHECKPOINT = """mutation ($input: CreateCheckpointInput!) {
  createCheckpoint(input: $input) { checkpoint { id } userErrors { code message } } }"""
COMMIT = """mutation ($input: CommitCheckpointInput!) {
  commitCheckpoint(input: $input) { checkpoint { status } userErrors { code message } } }"""
CREATE_MODEL = """mutation ($input: CreateModelInput!) {
  createModel(input: $input) { model { id } userErrors { code message } } }"""
PROMOTE = """mutation ($input: PromoteCheckpointInput!) {
  promoteCheckpoint(input: $input) { modelVersion { id } userErrors { code message } } }"""
DELETE_VERSION = """mutation ($input: DeleteInput!) {
  deleteModelVersion(input: $input) { userErrors { code message } } }"""
LOG = """mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { userErrors { code message } } }"""


class Failed(Exception):
    """A request was refused; the code says how."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error["message"])
        self.code: str = error.get("code") or error["extensions"]["code"]


@dataclass(frozen=True)
class Stubborn:
    """A client that goes on until its upload is READY. What it gives up at is a failure of the test."""

    uploader: Uploader

    async def change(self, query: str, **given: Any) -> dict[str, Any]:
        """The payload of a mutation.

        Raises:
            Failed: it was refused, with a code.
        """
        uploader = self.uploader
        sent = {"query": query, "variables": {"input": given}}
        body = (await uploader.http.post(uploader.endpoint, json=sent, headers=uploader.headers)).json()
        for error in body.get("errors", ()):
            raise Failed(error)
        (payload,) = body["data"].values()
        for error in payload["userErrors"]:
            raise Failed(error)
        found: dict[str, Any] = payload
        return found

    async def again(self, query: str, **given: Any) -> dict[str, Any]:
        """The payload, after as many tries as it takes."""
        for _ in range(TRIES - 1):
            try:
                return await self.change(query, **given)
            except Failed as failed:
                assert failed.code in PASSING, failed  # noqa: PT017 - others are errors of ours
        return await self.change(query, **given)

    async def upload(self, run: str, name: str, files: Mapping[str, bytes], **also: Any) -> dict[str, Any]:
        """The payload of `completeUpload`."""
        told = [announced(path, data, PART) for path, data in files.items()]
        begun = await self.again(BEGIN, objectId=run, name=name, files=told, **also)
        upload, parts = begun["upload"]["id"], begun["parts"]
        for _ in range(TRIES):
            await self.send(parts, files)
            try:
                done = await self.change(COMPLETE, id=upload)
                if done["upload"]["status"] == "READY":
                    return done
            except Failed as failed:
                assert failed.code in PASSING, failed  # noqa: PT017 - others are errors of ours
            parts = (await self.again(RESUME, id=upload))["parts"]
        raise AssertionError("it never became READY")

    async def send(self, parts: list[dict[str, Any]], files: Mapping[str, bytes]) -> None:
        """Send each part once, whatever comes of it."""
        for part in parts:
            data = files[part["path"]][part["offset"] : part["offset"] + part["size"]]
            try:
                await self.uploader.put(part, data)
            except httpx.TransportError:
                continue  # `resumeUpload` will say whether it arrived.


@pytest.fixture
async def proxy(s3_server: S3Server, database: Database) -> AsyncIterator[FaultProxy]:
    """A proxy, and behind it the store of `database`, which tries nothing twice."""
    async with fault_proxy.between(s3_server.address) as proxy:
        limits = Limits(attempts=1, connect_seconds=2, read_seconds=1)
        prefix = os.urandom(8).hex()
        store = await open_s3(s3_server.bucket, prefix, endpoint_url=proxy.endpoint, region=REGION, limits=limits)
        database.blobs = store
        yield proxy
        await store.aclose()


@pytest.fixture
async def client(proxy: FaultProxy, database: Database) -> AsyncIterator[Stubborn]:
    del proxy  # Its store is open before anybody asks for it.
    timeout = httpx.Timeout(30, read=20)
    async with serving(create_app(Settings(), database)) as address, httpx.AsyncClient(timeout=timeout) as http:
        headers = {"Authorization": f"Bearer {await new_token(database)}"}
        yield Stubborn(Uploader(http, f"http://{address}/graphql", headers))


@pytest.fixture
async def run(client: Stubborn) -> str:
    return await new_run(client.uploader)


def _files() -> dict[str, bytes]:
    return {"a/small.bin": os.urandom(3_000), "b/long.bin": os.urandom(PART + 7), "c/empty": b""}


async def _is_whole(database: Database, proxy: FaultProxy, payload: Mapping[str, Any], files: dict[str, bytes]) -> None:
    """All is there, once, and nothing else."""
    proxy.begin(fault_proxy.nothing)
    artifact = payload["artifact"]
    assert (artifact["status"], artifact["fileCount"]) == ("READY", len(files))
    stored = await kept(database)
    assert sorted([await content(database, each) for each in stored]) == sorted(files.values())


async def _remove_all(database: Database) -> None:
    assert database.blobs is not None
    for each in await kept(database):
        await database.blobs.remove(each.key)


async def test_any_one_call_of_an_upload_may_fail_once(
    client: Stubborn, run: str, proxy: FaultProxy, database: Database
) -> None:
    await client.upload(run, "first", _files())  # It looks for the bucket, too.
    await _remove_all(database)
    proxy.begin(fault_proxy.nothing)
    await client.upload(run, "counted", {path: data for path, data in _files().items() if data})
    names = [call.name for call in proxy.calls]
    for number in range(1, len(names) + 1):
        for fault in ONCE:
            await _remove_all(database)
            files = {path: data for path, data in _files().items() if data}
            proxy.begin(fault_proxy.only(number, fault))
            payload = await client.upload(run, f"{number}-{fault.name}", files)
            assert [call.number for call, _ in proxy.faults] == [number], names
            await _is_whole(database, proxy, payload, files)


@pytest.mark.parametrize("seed", range(4))
async def test_uploads_end_well_while_three_calls_in_ten_fail(
    client: Stubborn, run: str, proxy: FaultProxy, database: Database, seed: int
) -> None:
    client.uploader.http.timeout = httpx.Timeout(30, read=3)
    faults = tuple(each for each in Fault if each is not Fault.HANG)
    proxy.begin(fault_proxy.seeded(seed, faults=faults))
    files = _files()
    payload = await client.upload(run, "model", files)
    assert proxy.faults
    await _is_whole(database, proxy, payload, files)


async def test_expired_addresses_are_made_anew(
    client: Stubborn, run: str, proxy: FaultProxy, database: Database
) -> None:
    files = _files()
    told = [announced(path, data, PART) for path, data in files.items()]
    begun = await client.change(BEGIN, objectId=run, name="model", files=told)
    proxy.begin(fault_proxy.every(Fault.EXPIRED, "PUT"))
    for part in begun["parts"]:
        data = files[part["path"]][part["offset"] : part["offset"] + part["size"]]
        assert (await client.uploader.put(part, data)).status_code == 403
    proxy.begin(fault_proxy.nothing)
    assert len((await client.change(RESUME, id=begun["upload"]["id"]))["parts"]) == len(begun["parts"])
    await _is_whole(database, proxy, await client.upload(run, "model", files), files)


async def test_an_upload_that_is_given_up_while_s3_fails_leaves_nothing(
    client: Stubborn, run: str, proxy: FaultProxy, database: Database
) -> None:
    for number in range(1, 9):
        files = _files()
        told = [announced(path, data, PART) for path, data in files.items()]
        begun = await client.again(BEGIN, objectId=run, name=f"model-{number}", files=told)
        await client.send(begun["parts"], files)
        proxy.begin(fault_proxy.only(number, Fault.INTERNAL_ERROR))
        with contextlib.suppress(Failed):
            await client.change(ABORT, id=begun["upload"]["id"])
        proxy.begin(fault_proxy.nothing)
        for tenant, _ in await sweep.tenants(database):
            await abandoned.remove(database, tenant, datetime.now(UTC) + timedelta(hours=2))
        assert await kept(database) == []


async def test_any_one_call_of_a_deletion_may_fail_once(
    client: Stubborn, run: str, proxy: FaultProxy, database: Database
) -> None:
    for number in range(1, 9):
        files = _files()
        artifact = (await client.upload(run, f"model-{number}", files))["artifact"]["id"]
        await client.change(DELETE, id=artifact)
        later = datetime.now(UTC) + timedelta(days=1)
        ((tenant, _),) = await sweep.tenants(database)
        await purge.forget(database, tenant.hex, later, ages=AT_ONCE)
        proxy.begin(fault_proxy.only(number, Fault.INTERNAL_ERROR))
        for _ in range(2):
            with contextlib.suppress(StoreUnavailable):
                await sweep.do(database, tenant.hex, later, grace=timedelta(0))
        proxy.begin(fault_proxy.nothing)
        assert await kept(database) == []
        assert await sweep.unused(database, tenant, later, grace=timedelta(0)) == (sweep.Amount(), sweep.Amount())


async def test_commits_promotions_and_deletions_ask_nothing_of_s3(
    client: Stubborn, run: str, proxy: FaultProxy, database: Database
) -> None:
    files = _files()
    made = await client.change(CREATE_CHECKPOINT, experimentId=run, step=7, expectedShards=1)
    checkpoint = made["checkpoint"]["id"]
    proxy.begin(fault_proxy.seeded(1, faults=ONCE))
    await client.upload(checkpoint, "shard", files, shard=0)
    proxy.begin(fault_proxy.every(Fault.RESET))
    model = (await client.change(CREATE_MODEL, name="net"))["model"]["id"]
    for _ in range(2):
        assert (await client.change(COMMIT, id=checkpoint))["checkpoint"]["status"] == "READY"
    version = (await client.change(PROMOTE, checkpointId=checkpoint, modelId=model))["modelVersion"]["id"]
    await client.change(DELETE_VERSION, id=version)
    assert proxy.calls == []
    proxy.begin(fault_proxy.nothing)
    assert len(await kept(database)) == len(files)


async def test_metrics_are_written_while_s3_hangs(client: Stubborn, run: str, proxy: FaultProxy) -> None:
    files = _files()
    told = [announced(path, data, PART) for path, data in files.items()]
    upload = (await client.change(BEGIN, objectId=run, name="model", files=told))["upload"]["id"]
    proxy.begin(fault_proxy.every(Fault.HANG))
    hanging = [asyncio.create_task(client.change(COMPLETE, id=upload)) for _ in range(8)]
    while not proxy.calls:  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0.01)
    for step in range(20):
        await client.change(LOG, objectId=run, points=[{"key": "loss", "step": step, "value": 0.5}])
    assert not any(task.done() for task in hanging)
    answers = await asyncio.gather(*hanging, return_exceptions=True)
    assert {each.code for each in answers if isinstance(each, Failed)} <= PASSING
    assert all(isinstance(each, Failed) for each in answers)
