"""Uploads to both kinds of stores: begun, sent, gone on with by another, completed; and all that goes wrong."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from db.access import Role
from db.blobs.s3 import open_s3
from db.engine import Database
from db.jobs import completion
from db.verbs import uploads
from tests.app.serving import serving
from tests.app.tokens import new_token
from tests.app.uploading import AUDIT, PART, artifacts, content, kept, new_run, refused, somebody
from tests.s3.server import S3Server
from tests.uploader import ABORT, BEGIN, COMPLETE, MIB, RESUME, Refused, Uploader, announced, digest_of


@pytest.fixture(params=["disk", "s3"])
async def uploader(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Uploader]:
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        database.blobs = await open_s3(server.bucket, os.urandom(8).hex(), endpoint_url=server.endpoint)
    app = create_app(Settings(), database)
    async with serving(app) as address, httpx.AsyncClient(timeout=30) as http:
        headers = {"Authorization": f"Bearer {await new_token(database)}"}
        yield Uploader(http, f"http://{address}/graphql", headers)
    assert database.blobs is not None
    await database.blobs.aclose()


@pytest.fixture
async def run(uploader: Uploader) -> str:
    return await new_run(uploader)


# --- What works ---


async def test_a_file_of_several_parts(uploader: Uploader, run: str, database: Database) -> None:
    data = os.urandom(2 * PART + 12_345)
    payload = await uploader.upload(run, "weights", {"model/weights.bin": data}, PART, kind="MODEL")
    assert payload["upload"]["status"] == "READY"
    (file,) = payload["artifact"]["files"]["nodes"]
    assert (file["path"], file["size"], file["digest"]) == ("model/weights.bin", len(data), digest_of(data))
    assert file["verifiedAt"] is not None
    (blob,) = await kept(database)
    assert f"sha256:{blob.key.digest}" == digest_of(data)
    assert await content(database, blob) == data


async def test_files_of_all_sizes_and_names(uploader: Uploader, run: str, database: Database) -> None:
    files = {f"{size}/ü {size}.bin": os.urandom(size) for size in (0, 1, PART - 1, PART, PART + 1)}
    payload = await uploader.upload(run, "all", files, PART)
    found = {file["path"]: file["digest"] for file in payload["artifact"]["files"]["nodes"]}
    assert found == {path: digest_of(data) for path, data in files.items()}
    assert sorted(blob.size for blob in await kept(database)) == sorted(map(len, files.values()))


async def test_nobody_sees_files_before_all_are_there(uploader: Uploader, run: str) -> None:
    files = {"a": b"one", "b": b"two"}
    begun = await uploader.change(BEGIN, objectId=run, name="set", files=[announced(*each) for each in files.items()])
    await uploader.send(begun["parts"][:1], files)
    assert await artifacts(uploader, run) == [{"name": "set", "status": "PENDING", "fileCount": 0}]
    assert await refused(uploader.complete(begun["upload"]["id"])) == "UPLOAD_INCOMPLETE"
    await uploader.send(begun["parts"][1:], files)
    await uploader.complete(begun["upload"]["id"])
    assert await artifacts(uploader, run) == [{"name": "set", "status": "READY", "fileCount": 2}]


async def test_another_process_goes_on(uploader: Uploader, run: str) -> None:
    data = os.urandom(3 * PART + 1)
    told = announced("weights", data, PART)
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[told])
    await uploader.send([begun["parts"][2], begun["parts"][0]], {"weights": data})
    again = await uploader.change(BEGIN, objectId=run, name="w", files=[told])
    assert (again["created"], again["upload"]["id"]) == (False, begun["upload"]["id"])
    assert [part["number"] for part in again["parts"]] == [1, 3]
    assert again["missingPartCount"] == 2
    resumed = await uploader.change(RESUME, id=begun["upload"]["id"])
    assert resumed["upload"]["receivedSize"] == 2 * PART
    await uploader.send(again["parts"], {"weights": data})
    assert (await uploader.complete(begun["upload"]["id"]))["artifact"]["status"] == "READY"


async def test_only_the_next_parts_are_answered(uploader: Uploader, run: str) -> None:
    files = {f"{number:03}": bytes([number]) for number in range(100)}
    told = [announced(*each) for each in files.items()]
    begun = await uploader.change(BEGIN, objectId=run, name="many", files=told, first=7)
    assert [part["path"] for part in begun["parts"]] == [f"{number:03}" for number in range(7)]
    assert begun["missingPartCount"] == 100
    await uploader.send(begun["parts"], files)
    more = await uploader.change(RESUME, id=begun["upload"]["id"], first=100)
    assert len(more["parts"]) == 93


async def test_said_again_it_changes_nothing(uploader: Uploader, run: str) -> None:
    payload = await uploader.upload(run, "w", {"a": b"bytes"})
    assert await uploader.complete(payload["upload"]["id"]) == payload
    events = (await uploader.ask(AUDIT, id=run))["node"]["auditEvents"]["nodes"]
    assert len(events) == 1


async def test_the_audit_trail_tells_of_it(uploader: Uploader, run: str) -> None:
    await uploader.upload(run, "w", {"a": b"bytes", "b": b"more bytes"})
    (event,) = (await uploader.ask(AUDIT, id=run))["node"]["auditEvents"]["nodes"]
    assert (event["byteCount"], event["address"], event["actorName"]) == (15, "127.0.0.1", "local")
    assert event["after"]["artifactName"] == "w"
    assert event["after"]["files"]["a"]["digest"] == digest_of(b"bytes")


# --- Once stored, however often sent ---


async def test_the_same_bytes_are_stored_once(uploader: Uploader, run: str, database: Database) -> None:
    data = os.urandom(PART + 1)
    await uploader.upload(run, "first", {"a": data, "copy": data}, PART)
    begun = await uploader.change(BEGIN, objectId=run, name="second", files=[announced("b", data, PART)])
    assert (begun["parts"], begun["missingPartCount"]) == ([], 0)
    payload = await uploader.complete(begun["upload"]["id"])
    assert payload["artifact"]["totalSize"] == len(data)
    assert len(await kept(database)) == 1


async def test_bytes_sent_twice_at_once_are_kept_once(uploader: Uploader, run: str, database: Database) -> None:
    data = os.urandom(1_000)
    begun = [await uploader.change(BEGIN, objectId=run, name=name, files=[announced("a", data)]) for name in "xy"]
    for each in begun:
        await uploader.send(each["parts"], {"a": data})
    assert len(await kept(database)) == 2
    await asyncio.gather(*(uploader.complete(each["upload"]["id"]) for each in begun))
    assert len(await kept(database)) == 1


async def test_deduplication_tells_no_stranger_what_exists(uploader: Uploader, run: str, database: Database) -> None:
    data = os.urandom(1_000)
    await uploader.upload(run, "secret", {"a": data})
    stranger = await somebody(uploader, Role.WRITER, "elsewhere")
    make = """mutation { createExperiment(input: {name: "r", namespace: "elsewhere"}) { experiment { id } } }"""
    theirs = (await stranger.ask(make))["createExperiment"]["experiment"]["id"]
    begun = await stranger.change(BEGIN, objectId=theirs, name="x", files=[announced("a", data)])
    assert begun["missingPartCount"] == 1
    await stranger.send(begun["parts"], {"a": data})
    await stranger.complete(begun["upload"]["id"])
    assert len(await kept(database)) == 1


# --- What goes wrong ---


async def test_a_wrong_whole_leaves_nothing(uploader: Uploader, run: str, database: Database) -> None:
    data = os.urandom(PART + 5)
    lie = {**announced("a", data, PART), "digest": digest_of(b"another")}
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[lie, announced("b", b"right")])
    await uploader.send(begun["parts"], {"a": data, "b": b"right"})
    assert await refused(uploader.complete(begun["upload"]["id"])) == "DIGEST_MISMATCH"
    assert (await kept(database), await artifacts(uploader, run)) == ([], [])
    assert await refused(uploader.complete(begun["upload"]["id"])) == "DIGEST_MISMATCH"
    assert await refused(uploader.change(RESUME, id=begun["upload"]["id"])) == "DIGEST_MISMATCH"


async def test_given_up(uploader: Uploader, run: str, database: Database) -> None:
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("a", b"bytes")])
    await uploader.send(begun["parts"], {"a": b"bytes"})
    ended = await uploader.change(ABORT, id=begun["upload"]["id"])
    assert ended["upload"]["status"] == "DISCARDED"
    assert (await kept(database), await artifacts(uploader, run)) == ([], [])
    assert await refused(uploader.complete(begun["upload"]["id"])) == "NOT_FOUND"


async def test_an_artifact_that_is_complete_stays_when_more_is_given_up(uploader: Uploader, run: str) -> None:
    await uploader.upload(run, "w", {"a": b"bytes"})
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("b", b"more")])
    await uploader.change(ABORT, id=begun["upload"]["id"])
    assert await artifacts(uploader, run) == [{"name": "w", "status": "READY", "fileCount": 1}]


def bad_files() -> Iterable[tuple[dict[str, Any], list[str]]]:
    good = announced("a", b"bytes")
    long = announced("a", bytes(PART + 1), PART)
    where = ["input", "files", "0"]
    yield {**good, "path": "../a"}, [*where, "path"]
    yield {**good, "path": "%2e%2e/a"}, [*where, "path"]
    yield {**good, "path": "C:\\a"}, [*where, "path"]
    yield {**good, "size": -1}, [*where, "size"]
    yield {**good, "partSize": MIB}, [*where, "partSize"]
    yield {**good, "partSize": 65 * MIB}, [*where, "partSize"]
    yield {**good, "mediaType": "nonsense"}, [*where, "mediaType"]
    yield {**good, "partDigests": [digest_of(b"other")]}, [*where, "partDigests"]
    yield {**long, "partDigests": long["partDigests"][:1]}, [*where, "partDigests"]
    yield {**long, "partDigests": []}, [*where, "partDigests"]
    yield {**good, "size": 0, "partDigests": []}, [*where, "digest"]
    yield {**good, "size": 10**12}, [*where, "partSize"]


@pytest.mark.parametrize(("file", "path"), list(bad_files()))
async def test_announcements_that_are_refused(
    uploader: Uploader, run: str, file: dict[str, Any], path: list[str]
) -> None:
    with pytest.raises(Refused) as caught:
        await uploader.change(BEGIN, objectId=run, name="w", files=[file])
    assert (caught.value.code, caught.value.path) == ("INVALID", path)
    assert await artifacts(uploader, run) == []


async def test_one_path_twice(uploader: Uploader, run: str) -> None:
    files = [announced("a", b"1"), announced("a", b"2")]
    assert await refused(uploader.change(BEGIN, objectId=run, name="w", files=files)) == "INVALID"
    assert await refused(uploader.change(BEGIN, objectId=run, name="w", files=[])) == "INVALID"


# --- A process that ends in between ---


async def verifying_since(database: Database, age: timedelta) -> None:
    async with database.connection() as connection:
        since = datetime.now(UTC) - age
        await connection.execute("UPDATE upload SET status = 'VERIFYING', verifying_since = $1", since)


async def test_what_a_dead_process_began_another_completes(database: Database, uploader: Uploader, run: str) -> None:
    data = os.urandom(PART + 1)
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("a", data, PART)])
    await uploader.send(begun["parts"], {"a": data})
    await verifying_since(database, uploads.STALE * 2)
    now = datetime.now(UTC)
    (piece,) = await completion.find(database, now)
    done = await asyncio.gather(*(completion.do(database, piece, now) for _ in range(4)))
    assert sorted(done) == [False, False, False, True]
    assert await completion.find(database, datetime.now(UTC)) == []
    assert await artifacts(uploader, run) == [{"name": "w", "status": "READY", "fileCount": 1}]
    (event,) = (await uploader.ask(AUDIT, id=run))["node"]["auditEvents"]["nodes"]
    assert event["actorName"] == "local"


async def test_what_a_process_is_at_no_other_begins(database: Database, uploader: Uploader, run: str) -> None:
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("a", b"bytes")])
    await uploader.send(begun["parts"], {"a": b"bytes"})
    await verifying_since(database, timedelta())
    assert await completion.find(database, datetime.now(UTC)) == []
    payload = await uploader.change(COMPLETE, id=begun["upload"]["id"])
    assert payload["upload"]["status"] == "VERIFYING"
    assert payload["artifact"] is None
