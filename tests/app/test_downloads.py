"""Downloads over the wire: whole, in ranges, as archives, by way of S3; labelled so that nothing runs; recorded."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import random
import tarfile
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from app.download_record import DownloadRecord
from app.main import create_app
from app.settings import Settings
from db.access import Role
from db.blobs.s3 import open_s3
from db.engine import Database
from tests.app.serving import serving
from tests.app.tokens import new_token
from tests.app.uploading import PART, new_run, somebody
from tests.s3.server import S3Server
from tests.uploader import Uploader, digest_of

TRACK = """mutation ($input: TrackArtifactsInput!) { trackArtifacts(input: $input) {
  artifacts { files { nodes { id downloadUrl } } } userErrors { code message path } } }"""
LIST = "query ($id: ID!) { node(id: $id) { ... on Artifact { archiveUrl allFiles { path downloadUrl isDamaged } } } }"
AUDIT = """query ($id: ID!) { node(id: $id) { ... on Experiment {
  auditEvents(first: 50, filter: {action: {in: [DOWNLOAD]}}) {
    nodes { byteCount address actorName after } } } } }"""
NOBODY = "0" * 32


@pytest.fixture
def record(database: Database) -> DownloadRecord:
    return DownloadRecord(database)


@pytest.fixture(params=["disk", "s3"])
async def uploader(
    request: pytest.FixtureRequest, database: Database, record: DownloadRecord
) -> AsyncIterator[Uploader]:
    """On S3, bytes come through the server: the redirect has a test of its own."""
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        database.blobs = await open_s3(server.bucket, os.urandom(8).hex(), endpoint_url=server.endpoint)
    app = create_app(Settings(downloads="proxy"), database, downloads=record)
    async with serving(app) as address, httpx.AsyncClient(timeout=30) as http:
        headers = {"Authorization": f"Bearer {await new_token(database)}"}
        yield Uploader(http, f"http://{address}/graphql", headers)
    assert database.blobs is not None
    await database.blobs.aclose()


@pytest.fixture
async def run(uploader: Uploader) -> str:
    return await new_run(uploader)


async def stored(uploader: Uploader, run: str, files: dict[str, bytes], **also: Any) -> dict[str, str]:
    """Upload files; where each is read."""
    payload = await uploader.upload(run, "files", files, PART, **also)
    found = (await uploader.ask(LIST, id=payload["artifact"]["id"]))["node"]
    return {"": found["archiveUrl"], **{file["path"]: file["downloadUrl"] for file in found["allFiles"]}}


async def get(uploader: Uploader, url: str, method: str = "GET", **headers: str) -> httpx.Response:
    place = urljoin(uploader.endpoint, url)
    return await uploader.http.request(method, place, headers={**uploader.headers, **headers})


# --- Whole, and in ranges ---


@pytest.mark.parametrize("size", [0, 1, 70_000, 2 * PART + 3])
async def test_a_whole_file(uploader: Uploader, run: str, size: int) -> None:
    data = os.urandom(size)
    urls = await stored(uploader, run, {"a/weights.bin": data})
    answer = await get(uploader, urls["a/weights.bin"])
    assert (answer.status_code, answer.content) == (200, data)
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    assert answer.headers["content-digest"] == answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert answer.headers["content-length"] == str(size)
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"].startswith('attachment; filename="weights.bin"')
    head = await get(uploader, urls["a/weights.bin"], "HEAD")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(size))


async def test_ranges_of_all_kinds(uploader: Uploader, run: str) -> None:
    data = os.urandom(2 * PART + 100)
    url = (await stored(uploader, run, {"a": data}))["a"]
    chance, size = random.Random(1), len(data)
    edges = [0, 1, PART - 1, PART, PART + 1, 2 * PART, size - 1]
    for _ in range(40):
        first = chance.choice([*edges, chance.randrange(size)])
        last = chance.choice([*(edge for edge in edges if edge >= first), chance.randrange(first, size)])
        answer = await get(uploader, url, Range=f"bytes={first}-{last}")
        assert (answer.status_code, answer.content) == (206, data[first : last + 1])
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
        assert "content-digest" not in answer.headers
    for given, wanted in (("-10", data[-10:]), (f"{size - 5}-", data[-5:]), (f"7-{size * 9}", data[7:])):
        assert (await get(uploader, url, Range=f"bytes={given}")).content == wanted
    for given in ("5-4", "a-b", "-", "0-1,3-4", "0-1;x"):
        answer = await get(uploader, url, Range=f"bytes={given}")
        assert (answer.status_code, len(answer.content)) == (200, size)
    beyond = await get(uploader, url, Range=f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


async def test_what_is_known_is_not_sent_again(uploader: Uploader, run: str) -> None:
    url = (await stored(uploader, run, {"a": b"0123456789"}))["a"]
    first = await get(uploader, url)
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    for headers in ({"If-None-Match": etag}, {"If-None-Match": f'"x", W/{etag}'}, {"If-Modified-Since": modified}):
        assert (await get(uploader, url, **headers)).status_code == 304
    for given in (etag, modified):
        assert (await get(uploader, url, Range="bytes=1-2", **{"If-Range": given})).content == b"12"
    for given in ('"other"', f"W/{etag}", "Tue, 01 Jan 2019 00:00:00 GMT", "nonsense"):
        assert (await get(uploader, url, Range="bytes=1-2", **{"If-Range": given})).content == b"0123456789"


# --- Archives ---


async def test_archives(uploader: Uploader, run: str) -> None:
    files = {f"d/{number}/ü.bin": os.urandom(number * 997) for number in range(20)}
    files |= {"long/" + "n" * 180: b"long", "large": os.urandom(PART + 1), "empty": b""}
    url = (await stored(uploader, run, files))[""]
    tar = await get(uploader, url)
    assert int(tar.headers["content-length"]) == len(tar.content)
    with tarfile.open(fileobj=io.BytesIO(tar.content)) as archive:
        assert {entry.name: archive.extractfile(entry).read() for entry in archive} == files  # type: ignore[union-attr]
    zipped = await get(uploader, url.replace(".tar", ".zip"))
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as archive_:
        assert archive_.testzip() is None
        assert {name: archive_.read(name) for name in archive_.namelist()} == files
    assert (await get(uploader, url.replace(".tar", ".rar"))).status_code == 404


# --- Labels ---


@pytest.mark.parametrize(
    ("media_type", "sent", "shown"),
    [
        ("image/png", "image/png", "image/png"),
        ("image/svg+xml", "application/octet-stream", None),
        ("text/html", "application/octet-stream", "text/plain; charset=utf-8"),
        ("application/json", "application/json", "text/plain; charset=utf-8"),
        ("application/pdf", "application/octet-stream", None),
        ("application/javascript", "application/octet-stream", None),
        ("video/mp4; codecs=x", "video/mp4", "video/mp4"),
    ],
)
async def test_nothing_that_a_user_stored_runs(
    uploader: Uploader, run: str, media_type: str, sent: str, shown: str | None
) -> None:
    told = await uploader.upload(run, "files", {"a": b"<script>alert(1)</script>"}, media_types={"a": media_type})
    url = told["artifact"]["files"]["nodes"][0]["downloadUrl"]
    plain, preview = await get(uploader, url), await get(uploader, f"{url}?preview")
    assert plain.headers["content-type"] == sent
    assert plain.headers["content-disposition"].startswith("attachment")
    assert preview.headers["content-type"] == (shown or sent)
    assert preview.headers["content-disposition"].startswith("inline" if shown else "attachment")
    for answer in (plain, preview):
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("name", ['a"b.bin', "a;b=c.bin", "ünï.bin", "100%.bin", "a b'c.bin"])
async def test_no_name_breaks_out_of_its_header(uploader: Uploader, run: str, name: str) -> None:
    answer = await get(uploader, (await stored(uploader, run, {name: b"x"}))[name])
    value = answer.headers["content-disposition"]
    quoted, _, extended = value.removeprefix('attachment; filename="').partition("\"; filename*=UTF-8''")
    assert '"' not in quoted
    assert httpx.URL(f"http://x/{extended}").path == f"/{name}"


# --- Wrong bytes ---


async def test_a_flipped_bit_breaks_the_transfer(
    uploader: Uploader, run: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "s3" in request.node.name:
        pytest.skip("bytes on disk are flipped here; those in a bucket in the tests of the store")
    data = os.urandom(2 * PART)
    urls = await stored(uploader, run, {"a": data, "b": b"right"})
    (path,) = [path for path in (tmp_path / "blobs").rglob("*") if digest_of(data)[7:] in path.name]
    with path.open("r+b") as file:
        file.seek(PART + 77)
        file.write(bytes([data[PART + 77] ^ 16]))
    for url in (urls["a"], urls[""], urls[""].replace(".tar", ".zip")):
        with pytest.raises(httpx.RemoteProtocolError):
            await get(uploader, url)
    assert (await get(uploader, urls["a"], Range=f"bytes=0-{PART - 1}")).content == data[:PART]
    with pytest.raises(httpx.RemoteProtocolError):
        await get(uploader, urls["a"], Range=f"bytes={PART}-{PART + 5}")
    assert (await get(uploader, urls["b"])).content == b"right"
    answered = await uploader.ask(
        "query ($id: ID!) { node(id: $id) { ... on Experiment {"
        " artifacts { nodes { allFiles { path isDamaged } } } } } }",
        id=run,
    )
    (artifact,) = answered["node"]["artifacts"]["nodes"]
    assert artifact["allFiles"] == [{"path": "a", "isDamaged": True}, {"path": "b", "isDamaged": False}]


async def test_damaged_bytes_that_come_again_heal(
    uploader: Uploader, run: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "s3" in request.node.name:
        pytest.skip("bytes on disk are flipped here")
    data = os.urandom(1_000)
    urls = await stored(uploader, run, {"a": data})
    (path,) = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    path.write_bytes(b"wrong" + data[5:])
    with pytest.raises(httpx.RemoteProtocolError):
        await get(uploader, urls["a"])
    payload = await uploader.upload(run, "again", {"b": data})
    (again,) = payload["artifact"]["files"]["nodes"]
    for url in (urls["a"], again["downloadUrl"]):
        assert (await get(uploader, url)).content == data


# --- Who may ---


async def test_strangers_and_readers(uploader: Uploader, run: str) -> None:
    urls = await stored(uploader, run, {"a": b"secret"})
    reader = await somebody(uploader, Role.READER, "default")
    stranger = await somebody(uploader, Role.ADMIN, "elsewhere")
    for url in (urls["a"], urls[""]):
        assert (await get(reader, url)).status_code == 200
        kind = url.partition("_")[0]
        theirs = await get(stranger, url)
        missing = await get(stranger, f"{kind}_{NOBODY}{'.tar' if '.tar' in url else ''}")
        assert (theirs.status_code, theirs.content) == (missing.status_code, missing.content)
        assert theirs.status_code == 404
        assert (await get(Uploader(uploader.http, uploader.endpoint), url)).status_code == 401
        assert (await get(uploader, url, "POST")).status_code == 405


async def test_tracked_files_are_never_opened(uploader: Uploader, run: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    files = [{"path": "a", "uri": f"file://{tmp_path}/secret"}]
    given = {"objectId": run, "artifacts": [{"name": "x", "files": files}]}
    (artifact,) = (await uploader.change(TRACK, **given))["artifacts"]
    (file,) = artifact["files"]["nodes"]
    assert file["downloadUrl"] is None
    answer = await get(uploader, f"files/{file['id']}")
    assert answer.status_code == 404
    assert b"secret" not in answer.content


@pytest.mark.parametrize(
    "path", ["files/..%2f..%2fetc%2fpasswd", "files/fil_", "files/%00", "files/file:x", "artifacts/art_x.tar", "files/"]
)
async def test_odd_addresses_lead_nowhere(uploader: Uploader, path: str) -> None:
    assert (await get(uploader, path)).status_code in (404, 405)


# --- The record ---


async def test_downloads_stand_in_the_audit_trail(record: DownloadRecord, uploader: Uploader, run: str) -> None:
    urls = await stored(uploader, run, {"a": b"0123456789"})
    reader = await somebody(uploader, Role.READER, "default")
    await get(reader, urls["a"])
    for first in range(3):
        await get(uploader, urls["a"], Range=f"bytes={first}-{first + 1}")
    await get(uploader, urls[""])
    await get(uploader, urls["a"], "HEAD")
    await record.write(datetime.now(UTC))
    events = (await uploader.ask(AUDIT, id=run))["node"]["auditEvents"]["nodes"]
    found = {(event["actorName"], event["after"].get("format", "file"), event["byteCount"]) for event in events}
    assert found == {("READER-default", "file", 10), ("local", "file", 6), ("local", "tar", 2048)}


# --- By way of S3 ---


async def test_files_in_a_bucket_are_read_there(
    record: DownloadRecord, s3_server: S3Server, run_on_s3: tuple[Uploader, str]
) -> None:
    """The address is good by itself, for a moment; our token stays with us."""
    uploader, run = run_on_s3
    data = os.urandom(PART + 1)
    url = (await stored(uploader, run, {"a/ü.png": data}, media_types={"a/ü.png": "image/png"}))["a/ü.png"]
    answer = await get(uploader, url)
    assert (answer.status_code, answer.headers["cache-control"]) == (307, "no-store")
    assert answer.headers["location"].startswith(s3_server.endpoint)
    there = await uploader.http.get(answer.headers["location"])
    assert (there.status_code, there.content) == (200, data)
    assert there.headers["content-type"] == "image/png"
    assert there.headers["content-disposition"].startswith("attachment")
    await record.write(datetime.now(UTC))
    (event,) = (await uploader.ask(AUDIT, id=run))["node"]["auditEvents"]["nodes"]
    assert (event["byteCount"], event["after"]["redirected"]) == (len(data), True)


@pytest.fixture
async def run_on_s3(
    database: Database, record: DownloadRecord, s3_server: S3Server
) -> AsyncIterator[tuple[Uploader, str]]:
    database.blobs = await open_s3(s3_server.bucket, os.urandom(8).hex(), endpoint_url=s3_server.endpoint)
    app = create_app(Settings(), database, downloads=record)
    async with serving(app) as address, httpx.AsyncClient(timeout=30) as http:
        uploader = Uploader(http, f"http://{address}/graphql", {"Authorization": f"Bearer {await new_token(database)}"})
        yield uploader, await new_run(uploader)
    await database.blobs.aclose()


async def test_who_read_a_model_is_one_query(record: DownloadRecord, uploader: Uploader) -> None:
    make = """mutation { createModel(input: {name: "m"}) { model { id } } }"""
    model = (await uploader.ask(make))["createModel"]["model"]["id"]
    version = """mutation ($input: CreateModelVersionInput!) {
      createModelVersion(input: $input) { modelVersion { id } userErrors { code message path } } }"""
    for number in (1, 2):
        made = (await uploader.change(version, modelId=model))["modelVersion"]["id"]
        await get(uploader, (await stored(uploader, made, {"a": bytes(number)}))["a"])
    await record.write(datetime.now(UTC))
    asked = """query ($id: ID!) { node(id: $id) { ... on Model {
      downloads(first: 5) { nodes { objectName byteCount at actorName } } } } }"""
    events = (await uploader.ask(asked, id=model))["node"]["downloads"]["nodes"]
    assert sorted((event["objectName"], event["byteCount"]) for event in events) == [("1", 1), ("2", 2)]
