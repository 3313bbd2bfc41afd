"""Samples, pages and whole series from the database: the same wherever the points are stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import asyncpg
import numpy as np
import pytest

from db.engine import Database
from db.metrics import read, want
from db.metrics.columns import NONE, Columns
from db.metrics.read import Page, Sample, Sampled, TooMany, Whole
from db.metrics.segment import SIZE
from db.metrics.tail import Damaged
from tests.db.metrics.layout import TENANT, Layout, columns, part
from tests.db.metrics.sample_reference import expected

COUNT = 20_000
Connection: TypeAlias = "asyncpg.Connection[Any]"


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with database.connection() as connection:
        yield connection


def walk(count: int = COUNT, **more: Any) -> Columns:
    return columns(np.random.default_rng(count).standard_normal(count).cumsum(), **more)


async def one(connection: Connection, request: read.Request) -> Any:
    [found] = await read.read(connection, TENANT, [request])
    if isinstance(found, Exception):
        raise found
    return found


@pytest.mark.parametrize("most", [40, 1000, 30_000])
@pytest.mark.parametrize("steps", ["even", "holes", "late", "none", "shuffled"])
async def test_samples_before_and_after_compaction(connection: Connection, most: int, steps: str) -> None:
    numbers = np.arange(COUNT)
    random = np.random.default_rng(1)
    shapes = {
        "holes": np.where(random.random(COUNT) < 0.1, NONE, numbers),
        "late": np.where(numbers < COUNT // 2, NONE, numbers),
        "none": np.full(COUNT, NONE),
        "shuffled": random.permutation(COUNT),
    }
    points = walk(steps=shapes.get(steps))
    found = []
    for compacted in (0, 100, SIZE, 15_000, COUNT):
        layout = Layout(connection)
        await layout.put(1, points, compacted=compacted)
        asked = [
            Sample(layout.owner, 1, most, method, lower=lower, upper=upper)
            for method in ("MINMAX", "LAST", "MEAN", "LTTB")
            for lower, upper in ((None, None), (None, 15_000.5), (4000, 4300), (-9, 100), (19_990, None))
        ]
        found.append([seen(result) for result in await read.read(connection, TENANT, asked)])
    assert all(other == found[0] for other in found)
    axis = "POSITION" if steps == "none" else "STEP"
    wanted = expected(points, axis, "MINMAX", most, low=4000, high=4300)
    positions, values, *_, raw_count, _ = found[0][2]
    assert (positions, values, raw_count) == (wanted.positions, wanted.values, wanted.raw_count)


def seen(found: Sampled) -> tuple[Any, ...]:
    assert isinstance(found, Sampled), found
    points = found.columns
    assert isinstance(points.values, np.ndarray)
    arrays = (points.positions, points.values, points.steps, points.times, found.x)
    return (*(array.tolist() for array in arrays), found.raw_count, found.is_exact)


@pytest.mark.parametrize("compacted", [0, 5000, SIZE * 4, COUNT])
async def test_every_point_page_by_page(connection: Connection, compacted: int) -> None:
    layout, points = Layout(connection), walk(times=7)
    await layout.put(1, points, compacted=compacted, call=333)
    forward, start, has_more = [], 0, True
    while has_more:
        page = await one(connection, Page(layout.owner, 1, "FLOAT", start, 3000))
        assert page.has_before == (start > 0)
        forward.append(page.points)
        start, has_more = int(page.points.positions[-1]) + 1, page.has_after
    backward: list[read.Points] = []
    end, has_more = COUNT, True
    while has_more:
        page = await one(connection, Page(layout.owner, 1, "FLOAT", end, 3000, is_backward=True))
        assert page.has_after == (end < COUNT)
        backward.insert(0, page.points)
        end, has_more = int(page.points.positions[0]), page.has_before
    for pages in (forward, backward):
        assert len(pages) == 7
        assert np.concatenate([page.positions for page in pages]).tolist() == list(range(COUNT))
        assert np.concatenate([page.values for page in pages]).tobytes() == points.values.tobytes()
        assert np.concatenate([page.steps for page in pages]).tobytes() == points.steps.tobytes()
        assert set(np.concatenate([page.times for page in pages]).tolist()) == {7}


async def test_pages_beyond_the_ends(connection: Connection) -> None:
    layout = Layout(connection)
    await layout.put(1, walk(5000), compacted=4500)
    after = await one(connection, Page(layout.owner, 1, "FLOAT", 9000, 10))
    assert (len(after.points), after.has_before, after.has_after) == (0, True, False)
    before = await one(connection, Page(layout.owner, 1, "FLOAT", 0, 10, is_backward=True))
    assert (len(before.points), before.has_before, before.has_after) == (0, False, True)
    last = await one(connection, Page(layout.owner, 1, "FLOAT", 2**62, 10, is_backward=True))
    assert last.points.positions.tolist() == list(range(4990, 5000))
    nothing = await one(connection, Page(layout.owner, 2, "FLOAT", 0, 10))
    assert (len(nothing.points), nothing.has_before, nothing.has_after) == (0, False, False)


async def test_pages_of_what_was_rolled_up(connection: Connection) -> None:
    layout, points = Layout(connection), walk()
    await layout.put(1, points, compacted=19_000, rolled=[0, 4096, 8192, 12_288])
    whole = (await one(connection, Whole(layout.owner, 1, "FLOAT"))).positions.tolist()
    assert len(whole) < 4000
    assert whole[-(COUNT - 16_384) :] == list(range(16_384, COUNT))
    assert all(points.values[[at]].tobytes() for at in whole)
    forward: list[int] = []
    for start in (0, *whole[6:69:7]):
        page = await one(connection, Page(layout.owner, 1, "FLOAT", start + bool(forward), 7))
        assert (page.has_before, page.has_after) == (bool(forward), True)
        forward += page.points.positions.tolist()
    assert forward == whole[:70]
    backward: list[int] = []
    end, has_more = 16_390, True
    while has_more:
        page = await one(connection, Page(layout.owner, 1, "FLOAT", end, 40, is_backward=True))
        backward = page.points.positions.tolist() + backward
        end, has_more = backward[0], page.has_before
        assert page.has_after
    assert backward == [at for at in whole if at < 16_390]


async def test_samples_of_what_was_rolled_up(connection: Connection) -> None:
    layout, points = Layout(connection), walk()
    await layout.put(1, points, compacted=19_000, rolled=[0, 4096])
    for method in ("MINMAX", "LTTB", "LAST", "MEAN"):
        found = await one(connection, Sample(layout.owner, 1, 1000, method))
        assert (found.raw_count, found.is_exact) == (COUNT, False)
        assert 0 < len(found.columns) <= 1000
    coarse = await one(connection, Sample(layout.owner, 1, 40))
    wanted = expected(points, "STEP", "MINMAX", 40)
    assert coarse.columns.positions.tolist() == wanted.positions
    part_of = await one(connection, Sample(layout.owner, 1, 1000, lower=100, upper=2000))
    assert 0 < part_of.raw_count < 1900
    assert ((part_of.x >= 100) & (part_of.x <= 2000)).all()


@pytest.mark.parametrize("compacted", [0, 15_000, COUNT])
async def test_a_whole_series(connection: Connection, compacted: int) -> None:
    layout, points = Layout(connection), walk(steps=np.where(np.arange(COUNT) % 3 == 0, NONE, np.arange(COUNT) // 2))
    await layout.put(1, points, compacted=compacted)
    whole = await one(connection, Whole(layout.owner, 1, "FLOAT"))
    assert whole.values.tobytes() == points.values.tobytes()
    assert whole.steps.tobytes() == points.steps.tobytes()
    some = await one(connection, Whole(layout.owner, 1, "FLOAT", 900, 1000))
    assert some.positions.tolist() == [at for at in range(1800, 2002) if at % 3]


async def test_a_range_of_a_series_without_steps_is_one_of_positions(connection: Connection) -> None:
    layout = Layout(connection)
    await layout.put(1, walk(steps=NONE), compacted=15_000)
    found = await one(connection, Whole(layout.owner, 1, "FLOAT", 14_990, 15_010))
    assert found.positions.tolist() == list(range(14_990, 15_011))


async def test_strings_and_bytes(connection: Connection) -> None:
    layout = Layout(connection)
    await layout.opaque(1, [f"line {number}" for number in range(100)])
    await layout.opaque(2, [b"\0" * number for number in range(100)], step=0)
    pages = [Page(layout.owner, 1, "STRING", 90, 20), Page(layout.owner, 2, "BYTES", 10, 3, is_backward=True)]
    strings, binaries = await read.read(connection, TENANT, pages)
    assert strings.points.values == [f"line {number}" for number in range(90, 100)]
    assert strings.points.steps.tolist() == list(range(90, 100))
    assert (strings.has_before, strings.has_after) == (True, False)
    assert binaries.points.values == [b"\0" * number for number in (7, 8, 9)]
    assert set(binaries.points.steps.tolist()) == {NONE}
    assert np.diff(binaries.points.times).tolist() == [1, 1]
    assert (binaries.has_before, binaries.has_after) == (True, True)
    whole, some, unstepped = await read.read(
        connection,
        TENANT,
        [
            Whole(layout.owner, 1, "STRING"),
            Whole(layout.owner, 1, "STRING", 5, 6),
            Whole(layout.owner, 2, "BYTES", 5, 6),
        ],
    )
    assert len(whole) == 100
    assert some.values == ["line 5", "line 6"]
    assert unstepped.positions.tolist() == [5, 6]


async def test_another_metric_as_x(connection: Connection) -> None:
    layout = Layout(connection)
    await layout.put(1, walk(9000), compacted=9000, call=9000)
    await layout.put(2, columns(-np.arange(5000.0), steps=2 * np.arange(5000)), compacted=4096, first_seq=500)
    found = await one(connection, Sample(layout.owner, 1, 100, "LAST", "METRIC", 2, lower=-1000, upper=-10.0))
    assert found.raw_count == 991
    assert found.x.tolist() == sorted(found.x.tolist())
    assert (-found.x * 2).tolist() == found.columns.steps.tolist()


async def test_many_series_in_one_statement(connection: Connection) -> None:
    layouts = [Layout(connection) for _ in range(5)]
    for number, layout in enumerate(layouts):
        for series in (1, 2, 3):
            points = walk(100 * series + 1000 * number)
            await layout.put(series, points, compacted=50 * number, first_seq=100 * series)
    asked = [Sample(layout.owner, series, 50) for layout in layouts for series in (1, 2, 3, 4)]
    await read.read(connection, TENANT, asked)  # the driver's look at types
    queries: list[str] = []
    with connection.query_logger(lambda record: queries.append(record.query)):
        found = await read.read(connection, TENANT, asked)
        await asyncio.sleep(0)  # the driver tells a moment later
    assert queries == [want.STORED]
    counts = [100 * series + 1000 * number if series < 4 else 0 for number in range(5) for series in (1, 2, 3, 4)]
    assert [result.raw_count for result in found] == counts
    assert await read.read(connection, TENANT, []) == []


async def test_batches_of_several_series(connection: Connection) -> None:
    layout, points = Layout(connection), walk(30)
    for seq in (2, 1, 3):  # rows have no order of their own
        here = part(points, 10 * seq - 10, 10 * seq)
        await layout.batch(seq, [(7, columns([0.5, seq])), (1, here), (9, columns([]))])
    await layout.batch(4, [])
    whole, other, empty = await read.read(
        connection, TENANT, [Whole(layout.owner, series, "FLOAT") for series in (1, 7, 9)]
    )
    assert whole.values.tolist() == points.values.tolist()
    assert other.values.tolist() == [0.5, 1, 0.5, 2, 0.5, 3]
    assert len(empty) == 0


async def test_a_damaged_segment_fails_alone(connection: Connection) -> None:
    layout = Layout(connection)
    await layout.put(1, walk(5000), compacted=5000)
    await layout.put(2, walk(5000), compacted=5000, first_seq=9)
    await connection.execute("UPDATE metric_segment SET data = set_byte(data, 100, 0) WHERE series_id = 2")
    good, bad = await read.read(connection, TENANT, [Whole(layout.owner, series, "FLOAT") for series in (1, 2)])
    assert len(good) == 5000
    assert isinstance(bad, Damaged)


async def test_a_damaged_row_of_the_tail_fails_its_object_alone(connection: Connection) -> None:
    good, bad = Layout(connection), Layout(connection)
    for layout in (good, bad):
        await layout.put(1, walk(50))
    await connection.execute("UPDATE metric_batch SET data = substr(data, 9) WHERE owner_id = $1", bad.owner)
    results = await read.read(connection, TENANT, [Sample(layout.owner, 1) for layout in (bad, good)])
    assert isinstance(results[0], Damaged)
    assert results[1].raw_count == 50


async def test_much_is_decoded_in_a_thread(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(connection)
    await layout.put(1, walk(), compacted=15_000)
    asked: list[read.Request] = [Sample(layout.owner, 1), Page(layout.owner, 1, "FLOAT", 14_000, 2000)]
    sampled, page = await read.read(connection, TENANT, asked)
    monkeypatch.setattr(read, "LITTLE", 0)
    same, also = await read.read(connection, TENANT, asked)
    assert seen(same) == seen(sampled)
    assert also.points.values.tobytes() == page.points.values.tobytes()


async def test_whole_series_have_a_limit(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(want, "MOST", 10_000)
    monkeypatch.setattr(read, "MOST", 10_000)
    layout = Layout(connection)
    await layout.put(1, walk(9000), compacted=9000)
    await layout.put(2, walk(9000), compacted=9000, first_seq=50)
    await layout.put(3, walk(900), first_seq=100)
    asked: list[read.Request] = [
        Whole(layout.owner, 1, "FLOAT"),
        Sample(layout.owner, 2),
        Whole(layout.owner, 2, "FLOAT", 0, 99),
    ]
    first, sampled, some = await read.read(connection, TENANT, asked)
    assert [len(first), sampled.raw_count, len(some)] == [9000, 9000, 100]
    results = await read.read(connection, TENANT, [Whole(layout.owner, one, "FLOAT") for one in (1, 2, 3)])
    assert [isinstance(result, TooMany) for result in results] == [False, True, False]
