"""Points of stored series, whatever is compacted: samples, pages and whole series, many in one statement."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final
from uuid import UUID

import asyncpg
import numpy as np

from db.errors import DomainError, TooSlow
from db.metrics import sample, stored
from db.metrics.axis import Axis, Range
from db.metrics.columns import NONE, Floats, Ints
from db.metrics.sample import Ask, Method, Missing
from db.metrics.stored import Found
from db.metrics.tail import Damaged
from db.metrics.tail_rows import LITTLE
from db.metrics.want import MOST, Form, Want

PATIENCE: Final = 8.0
"""Seconds for all decoding and choosing. A thread cannot be stopped from outside, so what is left then is refused."""

MOST_AGAIN: Final = 5_000
"""Segments that are read again as points, where figures do not suffice."""


class TooMany(DomainError):
    """These are more than 2 000 000 points. Ask for a smaller range, or for a sample."""

    code: ClassVar[str] = "LIMIT_EXCEEDED"


class TooLong(TooMany):
    """These values are more than 32 MiB of text. Ask for a smaller range, or for fewer points at once."""


# --- What is asked ---


@dataclass(frozen=True, slots=True)
class Sample:
    """At most `max_points` points that show a series of floats.

    `lower` and `upper` are bounds of x, both within, in its unit: steps, seconds, or values of the metric
    `x_series_id`. `origin` is where relative time begins, in microseconds since 1970. In a series without any step,
    steps are positions. The result is a `Sampled`.
    """

    owner_id: UUID
    series_id: int
    max_points: int = 1000
    method: str = "MINMAX"
    axis: str = "STEP"
    x_series_id: int | None = None
    origin: int = 0
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The `limit` points from position `start` on, or if `is_backward` those before it. The result is a `Paged`."""

    owner_id: UUID
    series_id: int
    kind: str
    start: int
    limit: int
    is_backward: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """All points of a series, or those with a step in a range; both ends are within. The result is `Points`.

    All of one `read` together may come to 2 000 000 points; beyond, the result is `TooMany`.
    """

    owner_id: UUID
    series_id: int
    kind: str
    lower: int | None = None
    upper: int | None = None


Request = Sample | Page | Whole


# --- What is answered ---


@dataclass(frozen=True, slots=True)
class Points:
    """Points of one series.

    `kind` is FLOAT, STRING or BYTES. `positions` count the series' points in order of arrival; they have gaps where
    points were rolled up. `steps` and `times` (microseconds since 1970) hold `NONE` where none was given.
    """

    kind: str
    positions: Ints
    steps: Ints
    times: Ints
    values: Floats | list[str] | list[bytes]

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, slots=True)
class Sampled:
    """The points that show a series, in order of x and then of position.

    `x` holds integers for steps, else doubles. `raw_count` points were in range, `non_finite_count` of them not
    finite; `is_exact` says that they are all here.
    """

    columns: Points
    x: Ints | Floats
    raw_count: int
    non_finite_count: int
    method: str
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Paged:
    """A page in order of position, and whether there are points before it and after it."""

    points: Points
    has_before: bool
    has_after: bool


async def read(connection: asyncpg.Connection[Any], tenant_id: UUID, requests: Sequence[Request]) -> list[Any]:
    """A result for each request, or the exception that it came to.

    One statement reads for all. A second follows only where figures turn out not to suffice, as for series in which
    some points have a step and others none. So the connection is in a transaction that sees one snapshot.
    """
    if not requests:
        return []
    # The same sample may be asked for in a thousand places. Whole series count in each of theirs.
    keys = [request if isinstance(request, Sample) else place for place, request in enumerate(requests)]
    distinct = dict(zip(keys, requests, strict=True))
    results = dict(zip(distinct, await _results(connection, tenant_id, [*distinct.values()]), strict=True))
    return _within_limit(requests, [results[key] for key in keys])


async def _results(connection: asyncpg.Connection[Any], tenant_id: UUID, requests: Sequence[Request]) -> list[Any]:
    deadline = time.monotonic() + PATIENCE
    asked = [_Asked(request, _wants(request), []) for request in requests]
    found = iter(await stored.fetch(connection, tenant_id, [want for one in asked for want in one.wants]))
    for one in asked:
        one.found.extend(next(found) for _ in one.wants)
    results = await _answers(asked, deadline)
    while missing := [number for number, result in enumerate(results) if isinstance(result, Missing)]:
        segments = np.cumsum([len(results[number].positions) for number in missing])
        allowed = int(np.searchsorted(segments, MOST_AGAIN, "right"))
        for number in missing[allowed:]:
            results[number] = TooSlow()
        missing = missing[:allowed]
        again = [asked[number] for number in missing]
        places = [(one.wants[0], one.found[0], results[number]) for one, number in zip(again, missing, strict=True)]
        await stored.fetch_points(connection, tenant_id, places)
        for number, result in zip(missing, await _answers(again, deadline), strict=True):
            results[number] = result
    return results


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, the one or two series that it looks at, and what was found of them."""

    request: Request
    wants: Sequence[Want]
    found: list[Found]


def _wants(request: Request) -> list[Want]:
    owner, series = request.owner_id, request.series_id
    if isinstance(request, Sample):
        if request.x_series_id is not None:
            return [Want.of_range(owner, one, Range(Axis.POSITION)) for one in (series, request.x_series_id)]
        ask = _ask(request, is_stepped=True)
        return [Want.of_range(owner, series, ask.range, ask.buckets)]
    if isinstance(request, Whole):
        want = Want.of_range(owner, series, _steps(request, is_stepped=True))
        return [want if request.kind == "FLOAT" else replace(want, form=Form.OPAQUE_RANGE)]
    form = Form.BACKWARD if request.is_backward else Form.FORWARD
    if request.kind != "FLOAT":
        form = Form.OPAQUE_BACKWARD if request.is_backward else Form.OPAQUE_FORWARD
    return [Want(owner_id=owner, series_id=series, form=form, low=request.start, high=request.limit)]


def _ask(request: Sample, *, is_stepped: bool) -> Ask:
    axis = Axis(request.axis)
    if axis is Axis.STEP and not is_stepped:
        axis = Axis.POSITION
    return Ask(request.max_points, Method(request.method), Range(axis, request.lower, request.upper, request.origin))


def _steps(request: Whole, *, is_stepped: bool) -> Range:
    """Without bounds, points without a step are within too."""
    is_bounded = request.lower is not None or request.upper is not None
    return Range(Axis.STEP if is_bounded and is_stepped else Axis.POSITION, request.lower, request.upper)


async def _answers(asked: Sequence[_Asked], deadline: float) -> list[Any]:
    def answer() -> list[Any]:
        return [_answer(one) if time.monotonic() < deadline else TooSlow() for one in asked]

    work = max(len(asked), stored.work([found for one in asked for found in one.found]))
    return await asyncio.to_thread(answer) if work > LITTLE else answer()


def _answer(asked: _Asked) -> Any:
    """The result of a request, `Missing`, or the exception."""
    if any(found.is_refused for found in asked.found):
        return TooMany()
    if any(found.is_too_long for found in asked.found):
        return TooLong()
    request = asked.request
    try:
        if isinstance(request, Sample):
            return _sampled(request, asked)
        if request.kind != "FLOAT":
            return _opaque_page(request, asked) if isinstance(request, Page) else _opaque_whole(request, asked)
        return _page(request, asked) if isinstance(request, Page) else _whole(request, asked)
    except (DomainError, Damaged) as error:
        return error


def _sampled(request: Sample, asked: _Asked) -> Sampled | Missing:
    first, *more = [stored.known(want, found) for want, found in zip(asked.wants, asked.found, strict=True)]
    other = None
    if more:
        points = sample.points_in(more[0], Range(Axis.POSITION))
        assert not isinstance(points, Missing)  # noqa: S101 (all of it was wanted)
        other = points.columns
    ask = _ask(request, is_stepped=stored.is_stepped(asked.wants[0], asked.found[0]))
    found = sample.sample(first, ask, other)
    if isinstance(found, Missing):
        return found
    return Sampled(
        _floats(found.points), found.x, found.raw_count, found.non_finite_count, found.method, found.is_exact
    )


def _whole(request: Whole, asked: _Asked) -> Points | Missing:
    want, found = asked.wants[0], asked.found[0]
    range_ = _steps(request, is_stepped=stored.is_stepped(want, found))
    points = sample.points_in(stored.known(want, found), range_)
    return points if isinstance(points, Missing) else _floats(points)


def _page(request: Page, asked: _Asked) -> Paged | Missing:
    want, found = asked.wants[0], asked.found[0]
    points = sample.points_in(stored.known(want, found), Range(Axis.POSITION))
    if isinstance(points, Missing):
        return points
    begin, end = _bounds(request, points.positions)
    last = found.end + len(stored.tail_of(want, found)) - 1
    return Paged(
        _floats(points.at(slice(begin, end))),
        has_before=begin > 0 or min(found.segments, default=0 if request.is_backward else found.end) > 0,
        has_after=int(points.positions[end - 1] if end > begin else request.start - 1) < last,
    )


def _bounds(request: Page, positions: Ints) -> tuple[int, int]:
    """Where the page is among these points."""
    at = int(np.searchsorted(positions, request.start))
    if request.is_backward:
        return max(0, at - request.limit), at
    return at, min(at + request.limit, len(positions))


def _floats(points: sample.Points) -> Points:
    columns = points.columns
    return Points("FLOAT", points.positions, columns.steps, columns.times, columns.values)


def _opaque_whole(request: Whole, asked: _Asked) -> Points:
    found = asked.found[0]
    is_bounded = request.lower is not None or request.upper is not None
    if is_bounded and found.is_stepped:
        found.opaque = [point for point in found.opaque if point.step is not None]
    return _opaque(request.kind, found)


def _opaque_page(request: Page, asked: _Asked) -> Paged:
    found = asked.found[0]
    points = _opaque(request.kind, found)
    first, last = points.positions[[0, -1]] if len(points) else (request.start, request.start - 1)
    return Paged(points, has_before=min(int(first), found.end) > 0, has_after=int(last) < found.end - 1)


def _opaque(kind: str, found: Found) -> Points:
    rows = sorted(found.opaque)
    return Points(
        kind,
        np.array([row.position for row in rows], np.int64),
        np.array([NONE if row.step is None else row.step for row in rows], np.int64),
        np.array([NONE if row.time is None else row.time for row in rows], np.int64),
        [row.value for row in rows],  # type: ignore[arg-type]
    )


def _within_limit(requests: Sequence[Request], results: list[Any]) -> list[Any]:
    """Whole series together are within the limit: the tail too, of which the statement knew nothing."""
    left = MOST
    for number, (request, result) in enumerate(zip(requests, results, strict=True)):
        if isinstance(request, Whole) and isinstance(result, Points):
            left -= len(result)
            if left < 0:
                results[number] = TooMany()
    return results
