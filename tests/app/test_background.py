"""Work that nobody asked for: repeated, outliving its faults, ended with the server."""

from __future__ import annotations

import asyncio
from datetime import datetime

import httpx
import pytest
from structlog.testing import capture_logs

from app import background, main
from app.background import Tick
from app.main import create_app
from app.settings import Settings
from db.engine import Database
from db.errors import Unavailable
from db.jobs import compaction
from db.jobs.queue import Queue, Work
from tests.postgres import connected


class Diary:
    """Work that notes when it was done, and fails as it is told."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.times: list[datetime] = []
        self.enough = asyncio.Event()

    async def __call__(self, now: datetime) -> None:
        self.times.append(now)
        if len(self.times) > 3:
            self.enough.set()
        if self.faults:
            raise self.faults.pop()


async def test_a_tick_is_repeated_until_the_end(database: Database) -> None:
    diary = Diary()
    async with background.running([Tick("diary", diary, 0.01)], Queue(database, [])):
        await asyncio.wait_for(diary.enough.wait(), 10)
    done = len(diary.times)
    await asyncio.sleep(0.05)
    assert len(diary.times) == done
    assert diary.times == sorted(diary.times)
    assert diary.times[0].tzinfo is not None


async def test_a_tick_outlives_its_faults(database: Database) -> None:
    diary = Diary(Unavailable(), ValueError("broken"))
    with capture_logs() as lines:
        async with background.running([Tick("diary", diary, 0.01)], Queue(database, [])):
            await asyncio.wait_for(diary.enough.wait(), 10)
    assert [(line["event"], line["tick"]) for line in lines] == [("tick failed", "diary")]


TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'modelbox'"


async def test_a_process_takes_part_again_after_its_connection_was_lost(
    dsn: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "AGAIN_SECONDS", 0.01)
    due, done = ["before", "after"], []

    async def find(_database: Database, _now: datetime) -> list[str]:
        return due[:1]

    async def do(_database: Database, piece: str, _now: datetime) -> None:
        done.append(due.pop(0))
        assert piece == done[-1]

    queue = Queue(database, [Work("pieces", find, do, 0.05)])
    async with background.running([], queue), asyncio.timeout(20):
        while "before" in due:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
        async with connected(dsn) as owner:
            await owner.execute(TERMINATE)
        while due:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.01)
    assert done == ["before", "after"]


CREATE = """
    mutation {
        createExperiment(input: {name: "quiet", stallAfterSeconds: 1}) { experiment { id } userErrors { message } }
    }
"""
STATUS = "query Status($id: ID!) { node(id: $id) { ... on Experiment { status } } }"


async def test_the_application_marks_silent_experiments(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "TICK", 0.01)
    app = create_app(Settings(), database)
    browser = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
    async with app.router.lifespan_context(app), browser, asyncio.timeout(10):
        made = (await browser.post("/graphql", json={"query": CREATE})).json()
        asked = {"query": STATUS, "variables": {"id": made["data"]["createExperiment"]["experiment"]["id"]}}
        while (await browser.post("/graphql", json=asked)).json()["data"]["node"]["status"] != "STALLED":  # noqa: ASYNC110
            await asyncio.sleep(0.05)


LOG = """
    mutation Log($id: ID!, $sequence: SafeInt!, $points: [MetricPointInput!]!) {
        logMetrics(input: {objectId: $id, writer: "w", sequence: $sequence, points: $points}) {
            pointCount replayed userErrors { message }
        }
    }
"""
LEFT = "SELECT (SELECT count(*) FROM metric_batch), (SELECT count(*) FROM metric_segment)"


async def test_the_application_compacts_long_tails(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """And knows a batch that comes again after its row of the tail is gone."""
    monkeypatch.setattr(main, "TICK", 0.01)
    monkeypatch.setattr(compaction, "ROWS", 3)
    app = create_app(Settings(), database)
    browser = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")

    async def log(id_: str, sequence: int) -> tuple[int, bool]:
        points = [{"key": "loss", "step": sequence, "value": 0.5}]
        sent = {"query": LOG, "variables": {"id": id_, "sequence": sequence, "points": points}}
        payload = (await browser.post("/graphql", json=sent)).json()["data"]["logMetrics"]
        return payload["pointCount"], payload["replayed"]

    async with app.router.lifespan_context(app), browser, asyncio.timeout(10):
        made = (await browser.post("/graphql", json={"query": CREATE})).json()
        id_ = made["data"]["createExperiment"]["experiment"]["id"]
        assert [await log(id_, sequence) for sequence in range(3)] == [(1, False)] * 3
        async with database.connection() as connection:
            while tuple(await connection.fetchrow(LEFT)) != (0, 1):  # noqa: ASYNC110 - PostgreSQL has no event for it
                await asyncio.sleep(0.05)
        assert await log(id_, 1) == (0, True)
