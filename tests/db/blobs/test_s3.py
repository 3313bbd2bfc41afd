"""The store in a bucket, by itself, against a server of S3."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
import structlog

from db.blobs.s3 import Limits, open_s3
from db.blobs.s3_store import S3Store
from db.blobs.store import CHUNK, Missing, Refused, Session
from db.errors import StoreUnavailable
from tests.s3 import files
from tests.s3.server import REGION, S3Server

SMALL, LONG = 3_000, files.PART_SIZE + 7


@pytest.fixture
async def store(s3_server: S3Server) -> AsyncIterator[S3Store]:
    """A store of its own, below a folder whose name has to be escaped."""
    store = await open_s3(s3_server.bucket, f"{uuid4().hex}/é & co", endpoint_url=s3_server.endpoint, region=REGION)
    yield store
    await store.aclose()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


@pytest.mark.parametrize("size", [0, 1, SMALL, LONG])
async def test_a_file_is_brought_read_and_removed(store: S3Store, client: httpx.AsyncClient, size: int) -> None:
    file = await files.opened(store, files.file_of(size))
    assert await store.received(file.session) == set()
    await files.sent(client, store, file)
    await store.close(file.session)
    await store.close(file.session)
    key = file.session.key
    found = await store.stat(key)
    assert found is not None
    assert found.size == size
    assert await store.received(file.session) == set(range(len(file.session.parts)))
    assert await files.content_of(store, key, 0, size) == file.content
    assert await files.content_of(store, key, size // 3, size // 2) == file.content[size // 3 : size // 3 + size // 2]
    for _ in range(2):
        await store.remove(key, file.session.token)
    assert await store.stat(key) is None
    with pytest.raises(Missing):
        await files.content_of(store, key, 0, size)


async def test_pieces_are_small(store: S3Store, client: httpx.AsyncClient) -> None:
    file = await files.uploaded(client, store, files.file_of(3 * CHUNK))
    assert max([len(piece) async for piece in store.read(file.session.key, 0, 3 * CHUNK)]) <= CHUNK


@pytest.mark.parametrize("start", [0, SMALL - 1, SMALL, SMALL + 1])
async def test_what_is_shorter_is_missing(store: S3Store, client: httpx.AsyncClient, start: int) -> None:
    file = await files.uploaded(client, store, files.file_of(SMALL))
    with pytest.raises(Missing):
        await files.content_of(store, file.session.key, start, SMALL + 1 - start + 1)


async def test_a_file_without_all_its_parts_is_refused(store: S3Store, client: httpx.AsyncClient) -> None:
    for size in (SMALL, LONG):
        file = await files.opened(store, files.file_of(size))
        with pytest.raises(Refused):
            await store.close(file.session)
    (address,) = await store.addresses(file.session, [1])
    await files.put(client, address, file.part(1))
    assert await store.received(file.session) == {1}
    with pytest.raises(Refused):
        await store.close(file.session)


async def test_a_file_that_was_never_opened_or_was_given_up_is_refused(store: S3Store) -> None:
    file = files.file_of(LONG)
    with pytest.raises(Refused):
        await store.close(file.session)
    file = await files.opened(store, file)
    await store.remove(file.session.key)  # Without the token, as who lost it does.
    assert await store.received(file.session) == set()
    with pytest.raises(Refused):
        await store.close(file.session)


@pytest.mark.parametrize("size", [SMALL, LONG])
async def test_other_bytes_are_not_taken(
    s3_server: S3Server, store: S3Store, client: httpx.AsyncClient, size: int
) -> None:
    if not s3_server.checks:
        pytest.skip("this server of S3 looks at no digest: MODELBOX_TEST_S3=seaweedfs")
    file = await files.opened(store, files.file_of(size))
    (address,) = await store.addresses(file.session, [0])
    part = file.part(0)
    for other in (bytes([part[0] ^ 1]) + part[1:], part[:-1], part + b"\0"):
        # The header that the address was signed with cannot be changed; httpx sends what it is given.
        headers = {**address.headers, "Content-Length": str(len(other))}
        assert await files.put(client, dataclasses.replace(address, headers=headers), other) >= 400
    assert await files.put(client, dataclasses.replace(address, headers={}), part) >= 400
    assert await store.received(file.session) == set()


async def test_addresses_expire(s3_server: S3Server, client: httpx.AsyncClient) -> None:
    if not s3_server.checks:
        pytest.skip("this server of S3 looks at no signature: MODELBOX_TEST_S3=seaweedfs")
    limits = Limits(address_seconds=1)
    store = await open_s3(s3_server.bucket, uuid4().hex, endpoint_url=s3_server.endpoint, region=REGION, limits=limits)
    file = files.file_of(SMALL)
    (address,) = await store.addresses(file.session, [0])
    await asyncio.sleep(2.1)
    assert await files.put(client, address, file.content) == 403
    await store.aclose()


async def test_a_part_of_another_size_does_not_count(store: S3Store, client: httpx.AsyncClient) -> None:
    file = await files.opened(store, files.file_of(LONG))
    shorter = files.file_of(LONG - 1)
    lying = Session(file.session.key, shorter.session.parts, file.session.token)
    (address,) = await store.addresses(lying, [1])
    assert await files.put(client, address, shorter.part(1)) == 200
    assert await store.received(file.session) == set()


async def test_more_parts_than_a_page_has(store: S3Store, client: httpx.AsyncClient) -> None:
    file = await files.opened(store, files.file_of(1_005 * 10, 10))
    addresses = await store.addresses(file.session, range(1_005))
    at_once = asyncio.Semaphore(16)

    async def send(number: int) -> None:
        async with at_once:
            assert await files.put(client, addresses[number], file.part(number)) == 200

    await asyncio.gather(*map(send, range(1_005)))
    assert await store.received(file.session) == set(range(1_005))
    await store.remove(file.session.key, file.session.token)


async def test_everything_is_listed_that_has_a_key(
    s3_server: S3Server, store: S3Store, client: httpx.AsyncClient
) -> None:
    whole = await files.uploaded(client, store, files.file_of(SMALL))
    begun = await files.opened(store, files.file_of(LONG))
    base = (await store.addresses(whole.session, [0]))[0].url.partition(whole.session.key.path)[0]
    if not s3_server.checks:  # It takes what is not signed.
        await client.put(f"{base}notes.txt", content=b"not ours")
    assert await files.paths(store) == sorted([(whole.session.key.path, SMALL), (begun.session.key.path, 0)])


async def test_a_link_answers_with_the_headers_that_were_asked_for(store: S3Store, client: httpx.AsyncClient) -> None:
    file = await files.uploaded(client, store, files.file_of(SMALL))
    disposition = "attachment; filename=\"a b.txt\"; filename*=UTF-8''%C3%A9.txt"
    url = await store.link(file.session.key, media_type="application/x-test", disposition=disposition)
    assert url is not None
    answer = await client.get(url)
    assert answer.content == file.content
    assert answer.headers["content-type"] == "application/x-test"
    assert answer.headers["content-disposition"] == disposition
    part = await client.get(url, headers={"Range": "bytes=1-2"})
    assert (part.status_code, part.content) == (206, file.content[1:3])


async def test_clients_may_know_s3_by_another_name(s3_server: S3Server) -> None:
    store = await open_s3(
        s3_server.bucket,
        "x",
        endpoint_url=s3_server.endpoint,
        public_endpoint_url="https://files.example.com:9443",
        region=REGION,
    )
    (address,) = await store.addresses(files.file_of(SMALL).session, [0])
    assert address.url.startswith(f"https://files.example.com:9443/{s3_server.bucket}/x/")
    await store.aclose()


async def test_on_aws_the_bucket_is_in_the_hosts_name(s3_server: S3Server) -> None:
    del s3_server  # For its credentials.
    for bucket, host in (
        ("ours", "https://ours.s3.eu-central-1.amazonaws.com/"),
        ("our.own", "https://s3.eu-central-1.amazonaws.com/our.own/"),
    ):
        store = await open_s3(bucket, "", region="eu-central-1")
        (address,) = await store.addresses(files.file_of(SMALL).session, [0])
        assert address.url.startswith(f"{host}{files.TENANT.hex}/")
        await store.aclose()


async def test_a_bucket_that_is_not_there_is_not_an_empty_one(s3_server: S3Server) -> None:
    store = await open_s3("no-such-bucket-here", "", endpoint_url=s3_server.endpoint, region=REGION)
    file = files.file_of(SMALL)
    with structlog.testing.capture_logs() as lines:
        with pytest.raises(StoreUnavailable):
            await store.stat(file.session.key)
        with pytest.raises(StoreUnavailable):
            await files.content_of(store, file.session.key, 0, SMALL)
    assert ["MODELBOX_BLOB_URL" in line["advice"] for line in lines] == [True, True]
    await store.aclose()


async def test_wrong_credentials_are_for_the_operator(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    if not s3_server.checks:
        pytest.skip("this server of S3 looks at no signature: MODELBOX_TEST_S3=seaweedfs")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    store = await open_s3(s3_server.bucket, "", endpoint_url=s3_server.endpoint, region=REGION)
    with structlog.testing.capture_logs() as lines, pytest.raises(StoreUnavailable) as caught:
        await store.stat(files.file_of(SMALL).session.key)
    assert "credentials" in lines[0]["advice"]
    assert "secret" not in f"{lines}{caught.value}".lower()
    await store.aclose()


def test_who_has_no_bucket_imports_nothing_heavy() -> None:
    program = "import sys, db.blobs.s3; sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
