"""The store in a bucket, while the network and S3 do what they do on bad days."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from db.blobs.s3 import Limits, open_s3
from db.blobs.s3_store import S3Store
from db.blobs.store import CHUNK
from db.errors import StoreUnavailable
from tests.s3 import fault_proxy, files
from tests.s3.fault_proxy import Fault, FaultProxy
from tests.s3.server import REGION, S3Server

PATIENT = Limits(attempts=1)
ONE_TRY = Limits(attempts=1, connect_seconds=2, read_seconds=0.5, wait_seconds=5)
SOME_TRIES = Limits(attempts=3, connect_seconds=2, read_seconds=0.5, wait_seconds=5)
SMALL, LONG = 3_000, files.PART_SIZE + 7
ONCE = (Fault.INTERNAL_ERROR, Fault.RESET, Fault.LOST_ANSWER, Fault.EXPIRED)
BODIES = (Fault.TRUNCATED, Fault.RESET_AT_99, Fault.HANG_IN_BODY)
SEEDS = range(6)


@pytest.fixture
async def proxy(s3_server: S3Server) -> AsyncIterator[FaultProxy]:
    async with fault_proxy.between(s3_server.address) as proxy:
        yield proxy


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=httpx.Timeout(0.5)) as client:
        yield client


class Stores:
    """Stores on one place in the bucket: straight to S3, and through the proxy."""

    def __init__(self, s3: S3Server, proxy: FaultProxy) -> None:
        self._s3, self._proxy, self._prefix = s3, proxy, uuid4().hex
        self._open: list[S3Store] = []

    async def straight(self) -> S3Store:
        return await self._opened(self._s3.endpoint, SOME_TRIES)

    async def faulty(self, limits: Limits = ONE_TRY) -> S3Store:
        return await self._opened(self._proxy.endpoint, limits)

    async def _opened(self, endpoint: str, limits: Limits) -> S3Store:
        store = await open_s3(self._s3.bucket, self._prefix, endpoint_url=endpoint, region=REGION, limits=limits)
        self._open.append(store)
        return store

    async def aclose(self) -> None:
        for each in self._open:
            await each.aclose()


@pytest.fixture
async def stores(s3_server: S3Server, proxy: FaultProxy) -> AsyncIterator[Stores]:
    stores = Stores(s3_server, proxy)
    yield stores
    await stores.aclose()


async def _life(client: httpx.AsyncClient, store: S3Store, straight: S3Store, size: int) -> None:
    """Bring a file, read it, remove it; what lies there afterwards is the same, whatever happened on the way."""
    file = await files.uploaded(client, store, files.file_of(size))
    key = file.session.key
    assert await files.paths(straight) == [(key.path, size)]
    assert await files.again(lambda: files.content_of(store, key, 0, size)) == file.content
    await files.again(lambda: store.remove(key, file.session.token))
    assert await files.paths(straight) == []


@pytest.mark.parametrize("size", [0, SMALL, LONG])
async def test_any_one_call_may_fail_once(
    stores: Stores, proxy: FaultProxy, client: httpx.AsyncClient, size: int
) -> None:
    store, straight = await stores.faulty(PATIENT), await stores.straight()
    client.timeout = httpx.Timeout(30)
    for _ in range(2):  # The first of a store looks for the bucket, too.
        proxy.begin(fault_proxy.nothing)
        await _life(client, store, straight, size)
    names = [call.name for call in proxy.calls]
    for number in range(1, len(names) + 1):
        for fault in ONCE:
            proxy.begin(fault_proxy.only(number, fault))
            await _life(client, store, straight, size)
            assert [call.number for call, _ in proxy.faults] == [number], names


@pytest.mark.parametrize("seed", SEEDS)
async def test_three_calls_in_ten_may_fail(
    stores: Stores, proxy: FaultProxy, client: httpx.AsyncClient, seed: int
) -> None:
    store, straight = await stores.faulty(), await stores.straight()
    proxy.begin(fault_proxy.seeded(seed))
    for size in (0, 1, SMALL, LONG):
        await _life(client, store, straight, size)
    assert proxy.faults


async def test_calls_are_tried_again_before_anybody_hears_of_it(
    stores: Stores, proxy: FaultProxy, client: httpx.AsyncClient
) -> None:
    straight, store = await stores.straight(), await stores.faulty(SOME_TRIES)
    file = await files.uploaded(client, straight, files.file_of(SMALL))
    for fault in (Fault.INTERNAL_ERROR, Fault.SLOW_DOWN, Fault.RESET, Fault.HANG):
        proxy.begin(fault_proxy.only(1, fault))
        assert await store.stat(file.session.key) is not None
        assert len(proxy.calls) == 2


@pytest.mark.parametrize("fault", BODIES)
async def test_a_body_that_breaks_off_is_read_on_from_there(
    stores: Stores, proxy: FaultProxy, client: httpx.AsyncClient, fault: Fault
) -> None:
    straight, store = await stores.straight(), await stores.faulty()
    file = await files.uploaded(client, straight, files.file_of(3 * CHUNK + 11))
    proxy.begin(fault_proxy.only(1, fault))
    assert await files.content_of(store, file.session.key, 0, len(file.content)) == file.content
    assert [call.method for call in proxy.calls] == ["GET", "GET"]


async def test_a_body_that_breaks_off_every_time_ends_in_an_error(
    stores: Stores, proxy: FaultProxy, client: httpx.AsyncClient
) -> None:
    straight, store = await stores.straight(), await stores.faulty()
    file = await files.uploaded(client, straight, files.file_of(SMALL))
    proxy.begin(fault_proxy.every(Fault.TRUNCATED))
    received: list[bytes] = []
    with pytest.raises(StoreUnavailable):
        await files.content_of(store, file.session.key, 0, SMALL, received)
    assert file.content.startswith(b"".join(received))
    assert len(proxy.calls) < 20


@pytest.mark.parametrize("fault", [each for each in Fault if each not in {Fault.WRONG_ETAG, *BODIES}])
async def test_what_fails_every_time_is_told_as_such(stores: Stores, proxy: FaultProxy, fault: Fault) -> None:
    store = await stores.faulty()
    file = files.file_of(SMALL)
    proxy.begin(fault_proxy.every(fault))
    for work in (store.stat(file.session.key), store.close(file.session), store.remove(file.session.key)):
        with pytest.raises(StoreUnavailable) as caught:
            await work
        assert str(caught.value) == StoreUnavailable.__doc__
        assert caught.value.__cause__ is None
    with pytest.raises(StoreUnavailable):
        await files.content_of(store, file.session.key, 0, SMALL)
    with pytest.raises(StoreUnavailable):
        await files.paths(store)


async def test_a_call_that_waits_too_long_for_its_turn_is_refused(stores: Stores, proxy: FaultProxy) -> None:
    store = await stores.faulty(Limits(attempts=1, read_seconds=2, calls=1, wait_seconds=0.05))
    proxy.begin(fault_proxy.every(Fault.HANG))
    key = files.file_of(1).session.key
    answers = await asyncio.gather(*(store.stat(key) for _ in range(4)), return_exceptions=True)
    assert [type(each) for each in answers] == [StoreUnavailable] * 4
    assert len(proxy.calls) == 1
