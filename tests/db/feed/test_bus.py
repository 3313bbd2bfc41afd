"""Hints between processes: heard soon, by the others only, and again after the way was cut."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from db.engine import Database
from db.feed import bus, feed, postgres_bus
from db.feed.bus import Bus, Heard, Outbox
from db.feed.feed import Feed
from db.feed.nats_bus import NatsBus
from db.feed.postgres_bus import PostgresBus
from tests.db.feed.streams import TENANT, commit, eventually, until
from tests.postgres import connected

CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE 'LISTEN%'
"""
INSTALL = ["apt-get", "install", "-y", "--no-install-recommends", "nats-server"]


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[Database]:
    """The same database, as another process has it open."""
    database = await Database.connect(dsn)
    yield database
    await database.close()


class Kept:
    """A bus that keeps what is sent, and leads nowhere: all hints are lost."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, text: str) -> None:
        self.sent.append(text)

    async def hear(self, heard: Heard) -> None:
        heard(None)
        await asyncio.get_running_loop().create_future()


def nats_program() -> str | None:
    return shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")


@pytest.fixture(scope="session")
def nats() -> str:
    """The program of a NATS server; installed first, where that is allowed."""
    if nats_program() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(INSTALL, capture_output=True, timeout=120, check=False)
    program = nats_program()
    if program is None:
        pytest.skip("nats-server is missing, and could not be installed: it is the Debian package nats-server")
    return program


@contextlib.contextmanager
def nats_server(program: str, port: int) -> Iterator[str]:
    process = subprocess.Popen([program, "-a", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.01)
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    return number


@contextlib.asynccontextmanager
async def two_processes(
    here: Database, there: Database, buses: tuple[Bus, Bus], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Feed]:
    """A feed that hears of `there`'s commits by the bus alone: it does not look by itself."""
    monkeypatch.setattr(feed, "LOOK_INTERVAL", 60.0)
    follower = Feed(here)
    async with follower.connected(buses[0]), Feed(there).connected(buses[1]):
        yield follower


async def hears(follower: Feed, there: Database) -> None:
    """Commits of the other process are seen soon."""
    stream, delays = uuid4(), []
    async with follower.following(TENANT, [stream]) as watch, asyncio.timeout(20):
        await watch.look()
        for number in range(1, 21):
            began = time.perf_counter()
            await commit(there, stream)
            await until(watch, [number])
            delays.append(time.perf_counter() - began)
    assert sorted(delays)[10] < 0.05, delays


async def test_notifications_of_postgresql(
    database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    buses = PostgresBus(database), PostgresBus(other)
    async with two_processes(database, other, buses, monkeypatch) as follower:
        await eventually(lambda: all(each.is_open for each in buses))
        await hears(follower, other)


async def test_a_listener_that_was_cut_listens_again(
    database: Database, other: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_bus, "FIRST_WAIT", 0.3)
    buses = PostgresBus(database), PostgresBus(other)
    async with two_processes(database, other, buses, monkeypatch) as follower:
        stream = uuid4()
        async with follower.following(TENANT, [stream]) as watch:
            await eventually(lambda: all(each.is_open for each in buses))
            async with connected(dsn) as admin:
                await admin.execute(CUT)
            await eventually(lambda: not any(each.is_open for each in buses))
            await commit(other, stream)
            await until(watch, [1])
            await eventually(lambda: all(each.is_open for each in buses))
        await hears(follower, other)


async def test_messages_of_nats(
    nats: str, database: Database, other: Database, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nats_server(nats, port) as url:
        buses = NatsBus(url), NatsBus(url)
        async with two_processes(database, other, buses, monkeypatch) as follower:
            await eventually(lambda: all(each.is_open for each in buses))
            await hears(follower, other)


async def test_a_nats_server_that_comes_late_and_goes(
    nats: str, database: Database, other: Database, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    buses = NatsBus(f"nats://127.0.0.1:{port}"), NatsBus(f"nats://127.0.0.1:{port}")
    async with two_processes(database, other, buses, monkeypatch) as follower:
        for _ in range(2):
            with nats_server(nats, port):
                await eventually(lambda: all(each.is_open for each in buses))
                await hears(follower, other)
            await eventually(lambda: not any(each.is_open for each in buses))
            await commit(other, uuid4())


async def test_what_is_committed_together_is_one_hint() -> None:
    kept, streams = Kept(), [uuid4() for _ in range(50)]
    outbox = Outbox(kept)
    for stream in streams:
        outbox.add(TENANT, [stream])
    await outbox.close()
    assert [set(bus.read(text) or ()) for text in kept.sent] == [set(streams)]


async def test_hints_keep_their_distance() -> None:
    kept, stream = Kept(), uuid4()
    outbox = Outbox(kept)
    began = time.perf_counter()
    while time.perf_counter() - began < 0.1:
        outbox.add(TENANT, [stream])
        await asyncio.sleep(0)
    await outbox.close()
    assert len(kept.sent) <= 0.1 / bus.INTERVAL + 2


def test_a_long_hint_is_split() -> None:
    streams = {uuid4() for _ in range(1_000)}
    texts = list(bus.written(streams))
    assert all(len(text) <= bus.MOST_BYTES for text in texts)
    assert {stream for text in texts for stream in bus.read(text) or ()} == streams


@pytest.mark.parametrize("text", ["x", "0" * 31, "zz" * 16])
def test_a_hint_that_cannot_be_read_means_all(text: str) -> None:
    assert bus.read(text) is None
