"""Uploads to a real server: it is killed in the middle, and its memory stays where it was, however much comes."""

from __future__ import annotations

import asyncio
import hashlib
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import pytest

from tests.acceptance.server import Server
from tests.uploader import BEGIN, MIB, RESUME, Uploader, announced

pytestmark = pytest.mark.acceptance

MAKE = 'mutation { createExperiment(input: {name: "run"}) { experiment { id } } }'
PART: Final = 5 * MIB
MOST_GROWTH: Final = 32 * 10**6
KILLS: Final = 3
SMALL: Final = 10_000
LARGE: Final = 5 << 30


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    begun: list[Server] = []
    yield begun
    for server in begun:
        server.discard()


def begin(servers: list[Server], tmp_path: Path) -> Server:
    servers.append(Server(tmp_path / "data"))
    servers[-1].ready()
    # A line for each of ten thousand requests: somebody must read them, or the server waits to write the next.
    threading.Thread(target=_read, args=[servers[-1]], daemon=True).start()
    return servers[-1]


def _read(server: Server) -> None:
    for _ in server.process.stdout or ():
        pass


def client(http: httpx.AsyncClient, server: Server) -> Uploader:
    return Uploader(http, f"{server.address}/graphql")


async def test_the_server_is_killed_while_parts_arrive(servers: list[Server], tmp_path: Path) -> None:
    """Whenever it dies, the same files begun again go on; what was acknowledged is not asked for any more."""
    chance = random.Random(7)
    data = chance.randbytes(12 * PART + 1)
    told = [announced("weights", data, PART)]
    server = begin(servers, tmp_path)
    run = server.graphql(MAKE)["createExperiment"]["experiment"]["id"]
    acknowledged: set[int] = set()
    for _ in range(KILLS):
        async with httpx.AsyncClient(timeout=30) as http:
            uploader = client(http, server)
            begun = await uploader.change(BEGIN, objectId=run, name="w", files=told)
            assert acknowledged.isdisjoint(part["number"] for part in begun["parts"])
            sending = asyncio.create_task(_send(uploader, begun["parts"], data, acknowledged))
            await asyncio.sleep(chance.random() * 0.1)
            server.process.send_signal(signal.SIGKILL)
            await asyncio.gather(sending, return_exceptions=True)
        server.discard()
        server = begin(servers, tmp_path)
    async with httpx.AsyncClient(timeout=30) as http:
        payload = await client(http, server).upload(run, "w", {"weights": data}, PART)
    assert payload["artifact"]["status"] == "READY"
    (blob,) = [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()]
    assert blob.read_bytes() == data


async def _send(uploader: Uploader, parts: list[dict[str, Any]], data: bytes, acknowledged: set[int]) -> None:
    async def one(part: dict[str, Any]) -> None:
        answer = await uploader.put(part, data[part["offset"] : part["offset"] + part["size"]])
        if answer.is_success:
            acknowledged.add(part["number"])

    await asyncio.gather(*map(one, parts))


async def test_the_server_is_killed_while_it_verifies(servers: list[Server], tmp_path: Path) -> None:
    data = random.Random(8).randbytes(20 * PART)
    server = begin(servers, tmp_path)
    run = server.graphql(MAKE)["createExperiment"]["experiment"]["id"]
    async with httpx.AsyncClient(timeout=30) as http:
        uploader = client(http, server)
        begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("weights", data, PART)])
        await uploader.send(begun["parts"], {"weights": data})
        completing = asyncio.create_task(uploader.complete(begun["upload"]["id"]))
        await asyncio.sleep(0.02)
        server.process.send_signal(signal.SIGKILL)
        await asyncio.gather(completing, return_exceptions=True)
    server.discard()
    server = begin(servers, tmp_path)
    async with httpx.AsyncClient(timeout=30) as http:
        uploader = client(http, server)
        begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("weights", data, PART)])
        assert begun["missingPartCount"] == 0


# --- Memory ---


class Watch:
    """The most memory of the process that serves, from now on."""

    def __init__(self, server: Server) -> None:
        family = [each for each in server.family() if "postgres" not in each.name()]
        self._process = max(family, key=lambda each: int(each.memory_info().rss))
        self.before = self.most = int(self._process.memory_info().rss)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            try:
                self.most = max(self.most, int(self._process.memory_info().rss))
            except psutil.NoSuchProcess:
                return

    def growth(self) -> int:
        """Bytes more than at the begin."""
        self._over.set()
        self._thread.join()
        return self.most - self.before


async def test_ten_thousand_small_files_take_little_memory(servers: list[Server], tmp_path: Path) -> None:
    server = begin(servers, tmp_path)
    run = server.graphql(MAKE)["createExperiment"]["experiment"]["id"]
    files = {f"{number % 10}/{number}.bin": number.to_bytes(4, "big") * 64 for number in range(SMALL)}
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=8)) as http:
        uploader = client(http, server)
        await uploader.upload(run, "warm", {"a": bytes(PART)})
        watch = Watch(server)
        told = [announced(*each) for each in files.items()]
        begun = await uploader.change(BEGIN, objectId=run, name="many", files=told)
        while begun["parts"]:
            batches = [begun["parts"][at::8] for at in range(8)]
            await asyncio.gather(*(uploader.send(batch, files) for batch in batches))
            begun = await uploader.change(RESUME, id=begun["upload"]["id"])
        payload = await uploader.complete(begun["upload"]["id"])
    assert payload["artifact"]["fileCount"] == SMALL
    assert watch.growth() < MOST_GROWTH


@pytest.mark.parametrize(
    "size", [pytest.param(256 << 20, id="256 MiB"), pytest.param(LARGE, id="5 GiB", marks=pytest.mark.chaos)]
)
async def test_a_large_file_takes_little_memory(servers: list[Server], tmp_path: Path, size: int) -> None:
    server = begin(servers, tmp_path)
    run = server.graphql(MAKE)["createExperiment"]["experiment"]["id"]
    part_size = 8 * MIB
    rest = random.Random(9).randbytes(part_size - 8)
    parts = [number.to_bytes(8, "big") for number in range(size // part_size)]
    whole, digests = hashlib.sha256(), []
    for begins in parts:
        whole.update(begins + rest)
        digests.append(f"sha256:{hashlib.sha256(begins + rest).hexdigest()}")
    told = {"path": "large", "size": size, "digest": f"sha256:{whole.hexdigest()}", "partDigests": digests}
    async with httpx.AsyncClient(timeout=60) as http:
        uploader = client(http, server)
        await uploader.upload(run, "warm", {"a": bytes(PART)})
        watch = Watch(server)
        begun = await uploader.change(BEGIN, objectId=run, name="large", files=[told])
        for part in begun["parts"]:
            assert (await uploader.put(part, parts[part["number"]] + rest)).status_code == 204
        payload = await uploader.complete(begun["upload"]["id"])
    assert payload["artifact"]["totalSize"] == size
    assert watch.growth() < MOST_GROWTH
