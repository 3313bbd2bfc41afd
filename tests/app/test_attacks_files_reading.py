"""Files read as no client reads them, and ids of what is not the caller's: all answer as if it were not there."""

from __future__ import annotations

import hashlib
import os
import uuid
from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from app.download_record import DownloadRecord
from app.main import create_app
from app.settings import Settings
from db import access
from db.access import Role
from db.blobs.s3 import open_s3
from db.engine import Database
from tests.app import files_at_work as at
from tests.app.raw_http import connected, head_of
from tests.app.serving import serving
from tests.app.tokens import INSERT, new_token
from tests.app.uploading import PART, new_run, refused, somebody
from tests.graph import NEW_ACTOR, NEW_GRANT, NEW_TENANT
from tests.s3.server import S3Server
from tests.uploader import ABORT, BEGIN, COMPLETE, RESUME, Refused, Uploader, announced

DATA = os.urandom(100)
RANGES = [
    *("bytes=0-0,2-3", "bytes=-0", "bytes=--1", "bytes=5-2", "bytes=0x0-1", "bytes= 0-1", "bytes=0-1 ", "items=0-1"),
    *("bytes=-", "bytes", "bytes=", "=0-1", "bytes=0-0-0", "bytes=1e1-", "bytes=+1-2", "bytes=-9999999999999999999"),
    *("bytes=9999999999999999999-", "bytes=0-9999999999999999999", "bytes=0-99999999999999999999999", "bytes=100-"),
    *("bytes=99-", "bytes=0-", "bytes=\xb2-", "BYTES=0-1", "bytes=0-1;", "bytes=" + "0-0," * 10_000, "none"),
]
DATES = [
    *("Mon, 01 Jan 0001 00:00:00 +2300", "Fri, 31 Dec 9999 23:59:59 -2300", "Mon, 01 Jan 2024 00:00:00 +99999999999"),
    *("Mon, 99 Jan 2024 00:00:00 GMT", "0", "-1", "\xff", "Mon, 01 Jan 99999 00:00:00 GMT", '"' * 1_000, "W/"),
]
AUDIT = """query ($id: ID!) { node(id: $id) { ... on Experiment {
  auditEvents(first: 50, filter: {action: {in: [DOWNLOAD]}}) { nodes { byteCount address actorName after } } } } }"""
NODE = "query ($id: ID!) { node(id: $id) { id } }"
USAGE = "query ($path: String!) { namespace(by: {path: $path}) { usage { fileBytes quotaBytes } } }"
MODEL = """mutation ($input: CreateModelInput!) {
  createModel(input: $input) { model { id } userErrors { code message path } } }"""


@pytest.fixture
async def uploader(database: Database) -> AsyncIterator[Uploader]:
    async with at.at_work(database) as uploader:
        yield uploader


async def stored(uploader: Uploader, owner: str, data: bytes = DATA, name: str = "w") -> dict[str, Any]:
    payload = await uploader.upload(owner, name, {"a": data}, PART)
    file: dict[str, Any] = payload["artifact"]["files"]["nodes"][0]
    return {**file, "artifact": payload["artifact"]["id"], "upload": payload["upload"]["id"]}


async def get(uploader: Uploader, url: str, method: str = "GET", **headers: str) -> httpx.Response:
    place = urljoin(uploader.endpoint, url)
    return await uploader.http.request(method, place, headers={**uploader.headers, **headers})


# --- Ranges and conditions ---


async def test_ranges_that_are_none(uploader: Uploader) -> None:
    url = (await stored(uploader, await new_run(uploader)))["downloadUrl"]
    async with connected(uploader.endpoint) as wire:
        for given in RANGES:
            for method in ("GET", "HEAD"):
                await wire.send(head_of(method, url, {**uploader.headers, "Range": given}))
                answer = await wire.answer(has_body=method == "GET")
                assert answer.status in (200, 206, 416), (given, answer)
                if answer.status == 206 and method == "GET":
                    first, last = answer.headers["content-range"][6:].partition("/")[0].split("-")
                    assert answer.body == DATA[int(first) : int(last) + 1]
                elif answer.status == 200 and method == "GET":
                    assert answer.body == DATA


@pytest.mark.parametrize("name", ["If-Modified-Since", "If-Range", "If-None-Match", "If-Match", "If-Unmodified-Since"])
async def test_conditions_that_are_none(uploader: Uploader, name: str) -> None:
    url = (await stored(uploader, await new_run(uploader)))["downloadUrl"]
    async with connected(uploader.endpoint) as wire:
        for given in DATES:
            await wire.send(head_of("GET", url, {**uploader.headers, name: given, "Range": "bytes=1-2"}))
            answer = await wire.answer()
            assert answer.status in (200, 206, 304), (given, answer)


async def test_a_bit_that_flips_on_its_way_to_the_reader_shows(uploader: Uploader) -> None:
    """The server's own bytes are verified; what happens behind it, the digest in the answer's head tells."""
    url = (await stored(uploader, await new_run(uploader)))["downloadUrl"]
    answer = await get(uploader, url)
    told = b64decode(answer.headers["content-digest"].removeprefix("sha-256=:").removesuffix(":"))
    assert hashlib.sha256(answer.content).digest() == told
    for bit in range(8 * len(DATA)):
        body = bytearray(answer.content)
        body[bit // 8] ^= 1 << bit % 8
        assert hashlib.sha256(body).digest() != told
    part = await get(uploader, url, Range="bytes=0-9")
    assert "content-digest" not in part.headers
    assert part.headers["repr-digest"] == answer.headers["content-digest"]


# --- By way of S3 ---


async def test_the_record_and_the_ranges_of_what_s3_sends(database: Database, s3_server: S3Server) -> None:
    database.blobs = await open_s3(s3_server.bucket, os.urandom(8).hex(), endpoint_url=s3_server.endpoint)
    record = DownloadRecord(database)
    app = create_app(Settings(), database, downloads=record)
    async with serving(app) as address, httpx.AsyncClient(timeout=30) as http:
        headers = {"Authorization": f"Bearer {await new_token(database)}"}
        uploader = Uploader(http, f"http://{address}/graphql", headers)
        run = await new_run(uploader)
        url = (await stored(uploader, run))["downloadUrl"]
        asked = await get(uploader, url, Range="bytes=10-19")
        assert asked.status_code == 307
        assert (await get(uploader, url, Range="bytes=100-")).status_code == 416
        # A part of what the client has is never joined to what another file has.
        stale = await get(uploader, url, Range="bytes=10-19", **{"If-Range": '"another"'})
        assert (stale.status_code, stale.content) == (200, DATA)
        fresh = await get(uploader, url, Range="bytes=10-19", **{"If-Range": stale.headers["etag"]})
        assert (fresh.status_code, fresh.content) == (206, DATA[10:20])
        stranger = await somebody(uploader, Role.ADMIN, "elsewhere")
        for method in ("GET", "HEAD"):
            hidden = await get(stranger, url, method)
            assert (hidden.status_code, "location" in hidden.headers) == (404, False)
        await record.write(datetime.now(UTC))
        events = (await uploader.ask(AUDIT, id=run))["node"]["auditEvents"]["nodes"]
        assert {(event["byteCount"], event["after"].get("redirected", False)) for event in events} == {
            (10, True),
            (110, False),
        }
        assert {(event["address"], event["actorName"]) for event in events} == {("127.0.0.1", "local")}
    await database.blobs.aclose()


# --- Ids of what is not the caller's ---


async def stranger_of(kind: str, uploader: Uploader, database: Database) -> Uploader:
    """An admin of another namespace, or of another tenant."""
    if kind == "namespace":
        return await somebody(uploader, Role.ADMIN, "elsewhere")
    tenant, actor, token = uuid.uuid4(), uuid.uuid4(), f"mbx_{os.urandom(6).hex()}_{os.urandom(16).hex()}"
    async with database.connection() as connection:
        await connection.execute(NEW_TENANT, tenant, "other")
        await connection.execute(NEW_ACTOR, tenant, actor, "them")
        await connection.execute(NEW_GRANT, tenant, uuid.uuid4(), actor, None, "ADMIN")
        row = (access.prefix_of(token), uuid.uuid4(), tenant, actor, access.digest_of(token))
        await connection.execute(INSERT, *row)
    return Uploader(uploader.http, uploader.endpoint, {"Authorization": f"Bearer {token}"})


def mutations(ids: dict[str, str], own_model: str) -> list[tuple[str, dict[str, Any]]]:
    """Each mutation that takes the id of something with files."""
    by_id = {
        "upload": (RESUME, COMPLETE, ABORT),
        "artifact": (at.DELETE_ARTIFACT, at.RESTORE_ARTIFACT),
        "checkpoint": (at.COMMIT, at.DELETE_CHECKPOINT, at.RESTORE_CHECKPOINT),
        "experiment": (at.DELETE_EXPERIMENT, at.RESTORE_EXPERIMENT),
        "namespace": (at.DELETE_NAMESPACE, at.RESTORE_NAMESPACE),
    }
    found: list[tuple[str, dict[str, Any]]] = [
        (document, {"id": ids[kind]}) for kind, documents in by_id.items() for document in documents
    ]
    artifact = {"name": "x", "files": [{"path": "a", "uri": "s3://x/a"}]}
    for owner in (ids["experiment"], ids["checkpoint"]):
        found.append((BEGIN, {"objectId": owner, "name": "w", "files": [announced("a", DATA, PART)]}))
        found.append((at.changing("trackArtifacts"), {"objectId": owner, "artifacts": [artifact]}))
    patch = {"patch": {"metadata": {"a": 1}}}
    return [
        *found,
        (at.changing("updateArtifact"), {"id": ids["artifact"], **patch}),
        (at.changing("updateCheckpoint"), {"id": ids["checkpoint"], **patch}),
        (at.changing("resumeExperiment"), {"id": ids["experiment"], "checkpointId": ids["checkpoint"]}),
        (at.changing("promoteCheckpoint"), {"checkpointId": ids["checkpoint"], "modelId": own_model}),
        (at.QUOTA, {"namespaceId": ids["namespace"], "bytes": 1}),
    ]


async def told(stranger: Uploader, ids: dict[str, str], own_model: str) -> list[Any]:
    """All that somebody hears of these ids, without them."""
    answers: list[Any] = []
    for document, given in mutations(ids, own_model):
        with pytest.raises(Refused) as caught:
            await stranger.change(document, **given)
        answers.append((document, caught.value.code, str(caught.value), caught.value.path))
    answers += [(await stranger.ask(NODE, id=id_))["node"] for id_ in ids.values()]
    urls = (f"files/{ids['file']}", f"artifacts/{ids['artifact']}.tar", f"artifacts/{ids['artifact']}.zip")
    for url in (*urls, f"uploads/{ids['upload']}/0/0"):
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
            answer = await get(stranger, url, method)
            answers.append((method, answer.status_code, answer.headers.get("content-length"), answer.text))
    text = repr(answers)
    for kind, id_ in ids.items():
        text = text.replace(id_, kind)
    return text.split("), (")


@pytest.mark.parametrize("kind", ["namespace", "tenant"])
async def test_what_is_hidden_answers_as_what_is_not_there(uploader: Uploader, database: Database, kind: str) -> None:
    run, place = await at.run_in(uploader, "secret/canary")
    checkpoint = await at.checkpoint_of(uploader, run)
    file = await stored(uploader, checkpoint)
    await uploader.change(at.QUOTA, namespaceId=place, bytes=10_000)
    under_way = await uploader.change(BEGIN, objectId=run, name="x", files=[announced("b", b"other", PART)])
    ids = {"file": file["id"], "artifact": file["artifact"], "upload": under_way["upload"]["id"]}
    ids |= {"checkpoint": checkpoint, "experiment": run, "namespace": place}
    missing = {each: f"{id_.partition('_')[0]}_{'0' * 32}" for each, id_ in ids.items()}
    stranger = await stranger_of(kind, uploader, database)
    where = {"namespace": "elsewhere"} if kind == "namespace" else {"namespace": "theirs"}
    own_model = (await stranger.change(MODEL, name="net", **where))["model"]["id"]
    heard = await told(stranger, ids, own_model)
    assert heard == await told(stranger, missing, own_model)
    assert "canary" not in repr(heard)
    for path in ("secret/canary", "secret", "nothing"):
        assert (await stranger.ask(USAGE, path=path))["namespace"] is None
    assert await refused(stranger.change(COMPLETE, id=file["upload"])) == "NOT_FOUND"
    await uploader.send(under_way["parts"], {"b": b"other"})
    assert (await uploader.complete(ids["upload"]))["artifact"]["status"] == "READY"
