"""The live curves of the newest running experiments, drawn in the terminal.

It follows the list of running experiments (`experimentUpdates`), and of each its points (`metricBatches`): first those
that there are, then those that come. After a lost connection it goes on behind the last cursor. It ends when they end.

    python examples/watch.py train/loss validation/accuracy --namespace demo
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import ConnectionClosed

RUNNING = """
subscription Running($namespace: String!, $after: Cursor) {
  experimentUpdates(namespace: $namespace, filter: {status: {eq: RUNNING}}, first: 6, after: $after) {
    cursor
    added { id name }
  }
}
"""
# The cursor is read in the snapshot of the points: what comes after it is not among them, and what is not among them
# comes after it.
HISTORY = """
query History($id: ID!, $ids: [ID!]!, $keys: [String!]!) {
  feedCursor(objectIds: $ids)
  node(id: $id) {
    ... on Experiment { metrics(keys: $keys) { nodes { key sample(maxPoints: 500) { x columns { values } } } } }
  }
}
"""
POINTS = """
subscription Points($ids: [ID!]!, $keys: [String!]!, $after: Cursor) {
  metricBatches(objectIds: $ids, keys: $keys, after: $after, every: 100) {
    cursor
    series { key columns { steps values } }
  }
}
"""
STATUS = "query Status($id: ID!) { node(id: $id) { ... on Experiment { status } } }"

COLOURS = (36, 33, 35, 32, 34, 31)
"""Those of the terminal, by their ANSI codes."""

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""What each dot of a Braille character, by row and column, adds to U+2800."""

MESSAGE_BYTES = 1 << 24
PAUSE = 1.0
"""Seconds before another attempt."""

Points = list[tuple[float, float]]


@dataclass
class Curve:
    """What is known of one experiment: its points by key, and the cursor behind them."""

    id: str
    name: str
    points: dict[str, Points] = field(default_factory=dict)
    cursor: str | None = None
    status: str = "RUNNING"

    def add(self, key: str, steps: Sequence[float | None], values: Sequence[float | str]) -> None:
        """Take points. NaN and the infinities come as texts; without a step, the position stands for it."""
        known = self.points.setdefault(key, [])
        for step, value in zip(steps, values, strict=True):
            known.append((len(known) if step is None else step, float(value)))

    def figures(self, keys: Sequence[str]) -> str:
        """The newest step, and the newest value of each key."""
        last = {key: max(self.points[key], key=lambda point: point[0]) for key in keys if self.points.get(key)}
        values = "".join(f"  {key} {value:<8.4g}" for key, (_, value) in last.items())
        return f"step {max((step for step, _ in last.values()), default=0):<6g}{values}"


# --- Drawing ---


def plot(curves: Sequence[Points], width: int, height: int, *, coloured: bool, logarithmic: bool = False) -> list[str]:
    """Lines of so many Braille characters, with the ends of the axes beside and below them."""
    finite = [sorted(_shown(points, logarithmic=logarithmic)) for points in curves]
    everything = [point for points in finite for point in points]
    if not everything:
        return [" " * 9 + "┤" + " " * width] * height
    left, right = min(x for x, _ in everything), max(x for x, _ in everything)
    low, high = min(y for _, y in everything), max(y for _, y in everything)
    across, up = (2 * width - 1) / ((right - left) or 1), (4 * height - 1) / ((high - low) or 1)
    cells: dict[tuple[int, int], tuple[int, int]] = {}
    for number, points in enumerate(finite):
        for x, y in line([(round((x - left) * across), round((high - y) * up)) for x, y in points]):
            dots, _ = cells.get((y // 4, x // 2), (0, 0))
            cells[y // 4, x // 2] = dots | DOTS[y % 4][x % 2], number
    rows = ["".join(_cell(cells.get((y, x)), coloured=coloured) for x in range(width)) for y in range(height)]
    top, bottom = (10**high, 10**low) if logarithmic else (high, low)
    labels = {0: f"{top:.3g}", height - 1: f"{bottom:.3g}"}
    below = f"{left:<{width // 2}g}{right:>{width - width // 2}g}"
    return [*(f"{labels.get(y, ''):>8} ┤{row}" for y, row in enumerate(rows)), " " * 10 + below]


def _shown(points: Points, *, logarithmic: bool) -> Points:
    """The points that have a place: finite ones, and on a logarithmic axis positive ones."""
    if logarithmic:
        return [(x, math.log10(y)) for x, y in points if 0 < y < math.inf]
    return [point for point in points if math.isfinite(point[1])]


def line(corners: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The dots from each corner to the next."""
    yield from corners[:1]
    for (x, y), (next_x, next_y) in pairwise(corners):
        count = max(abs(next_x - x), abs(next_y - y))
        for n in range(1, count + 1):
            yield x + round((next_x - x) * n / count), y + round((next_y - y) * n / count)


def _cell(cell: tuple[int, int] | None, *, coloured: bool) -> str:
    if cell is None:
        return " "
    dots, number = cell
    return _in_colour(chr(0x2800 + dots), number) if coloured else chr(0x2800 + dots)


def _in_colour(text: str, number: int) -> str:
    return f"\x1b[{COLOURS[number % len(COLOURS)]}m{text}\x1b[0m"


class Screen:
    """Draws over what it drew before; where that cannot be, now and then below it."""

    def __init__(self, keys: Sequence[str], *, logarithmic: bool) -> None:
        self._keys = keys
        self._logarithmic = logarithmic
        self._is_terminal = sys.stdout.isatty()
        self._drawn = 0
        self.pause = 0.2 if self._is_terminal else 5.0

    def draw(self, curves: Sequence[Curve]) -> None:
        """Show all curves, and what they stand at."""
        size = shutil.get_terminal_size()
        height = max(4, min(16, size.lines - len(curves) - 4))
        points = [curve.points.get(self._keys[0], []) for curve in curves]
        look = {"coloured": self._is_terminal, "logarithmic": self._logarithmic}
        lines = [self._keys[0], *plot(points, min(size.columns, 100) - 12, height, **look)]
        lines += [self._legend(number, curve) for number, curve in enumerate(curves)]
        over = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
        print(over + "\n".join(lines), flush=True)
        self._drawn = len(lines) if self._is_terminal else 0

    def say(self, sentence: str) -> None:
        """Something that is to stay."""
        print(sentence, flush=True)
        self._drawn = 0

    def _legend(self, number: int, curve: Curve) -> str:
        mark = _in_colour("●", number) if self._is_terminal else "●"
        return f"{mark} {curve.name:<24} {curve.figures(self._keys)}  {curve.status}"


# --- Following ---


class Watch:
    """The experiments that are followed, over one connection after the other."""

    def __init__(self, namespace: str, keys: Sequence[str]) -> None:
        self.curves: dict[str, Curve] = {}
        self._namespace = namespace
        self._keys = list(keys)
        self._cursor: str | None = None
        self._ended = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        """Whether there were experiments, and all of them are over."""
        return bool(self.curves) and all(curve.status != "RUNNING" for curve in self.curves.values())

    async def over(self, session: AsyncClientSession) -> None:
        """Follow until all is over. Raises a group of errors when that fails."""
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self._runs(session, tasks))
            for curve in self.curves.values():
                if curve.status == "RUNNING":
                    tasks.create_task(self._follow(session, curve))
            await self._ended.wait()
            running.cancel()

    async def _runs(self, session: AsyncClientSession, tasks: asyncio.TaskGroup) -> None:
        variables = {"namespace": self._namespace, "after": self._cursor}
        async for data in session.subscribe(GraphQLRequest(RUNNING, variable_values=variables)):
            update = data["experimentUpdates"]
            for row in update["added"]:
                if row["id"] not in self.curves:
                    self.curves[row["id"]] = Curve(row["id"], row["name"])
                    tasks.create_task(self._follow(session, self.curves[row["id"]]))
            self._cursor = update["cursor"]

    async def _follow(self, session: AsyncClientSession, curve: Curve) -> None:
        """All points of one experiment, from the first to the last."""
        wanted = {"ids": [curve.id], "keys": self._keys}
        if curve.cursor is None:
            await self._begin(session, curve, wanted)
        request = GraphQLRequest(POINTS, variable_values={**wanted, "after": curve.cursor})
        async for data in session.subscribe(request):
            for series in data["metricBatches"]["series"]:
                curve.add(series["key"], series["columns"]["steps"], series["columns"]["values"])
            curve.cursor = data["metricBatches"]["cursor"]
        # It completes when the experiment has ended and all is told.
        found = await session.execute(GraphQLRequest(STATUS, variable_values={"id": curve.id}))
        curve.status = found["node"]["status"] if found["node"] else "DELETED"
        if self.has_ended:
            self._ended.set()

    async def _begin(self, session: AsyncClientSession, curve: Curve, wanted: dict[str, Any]) -> None:
        found = await session.execute(GraphQLRequest(HISTORY, variable_values={**wanted, "id": curve.id}))
        for series in found["node"]["metrics"]["nodes"] if found["node"] else []:
            curve.add(series["key"], series["sample"]["x"], series["sample"]["columns"]["values"])
        curve.cursor = found["feedCursor"]


def refusal(error: BaseException) -> tuple[str, str] | None:
    """The code and the sentence with which the server refused; None when the connection just broke."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := refusal(each))), None)
    if isinstance(error, TransportQueryError) and error.errors:
        first = error.errors[0]
        return first.get("extensions", {}).get("code", ""), first["message"]
    if isinstance(error, ConnectionClosed) and error.rcvd and 4400 <= error.rcvd.code < 4500:
        return str(error.rcvd.code), error.rcvd.reason
    return refusal(error.__cause__) if error.__cause__ else None


async def drawn(watch: Watch, screen: Screen) -> None:
    """Draw again and again."""
    while True:
        if watch.curves:
            screen.draw(list(watch.curves.values()))
        await asyncio.sleep(screen.pause)


async def follow(url: str, token: str | None, watch: Watch, screen: Screen) -> None:
    """Connect, and connect again, until all is over. Raises SystemExit when there is no point in that."""
    was_connected = False
    while not watch.has_ended:
        failure: BaseException | None = None
        try:
            async with Client(transport=transport(url, token)) as session:
                was_connected = True
                await watch.over(session)
        except* (TransportError, OSError) as errors:
            failure = errors
        if failure:
            code, sentence = refusal(failure) or ("", "")
            if not was_connected and not code:
                sys.exit(f"No server answers at {url}. Start one with `make serve`.")
            if code not in {"", "NOT_FOUND", "UNAVAILABLE"}:
                sys.exit(f"{code}: {sentence}")
            screen.say(sentence or "The connection broke; trying again.")
            await asyncio.sleep(PAUSE)


def transport(url: str, token: str | None) -> WebsocketsTransport:
    """A new one for each connection: what is subscribed on it ends with it, what is known outlives it."""
    return WebsocketsTransport(
        url,
        init_payload={"Authorization": f"Bearer {token}"} if token else None,
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        connect_args={"max_size": MESSAGE_BYTES},
    )


async def main() -> None:
    """Read the command line and watch."""
    parser = argparse.ArgumentParser(prog="watch.py", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("keys", nargs="*", default=["train/loss", "validation/accuracy"], help="the first is drawn")
    parser.add_argument("--namespace", default="demo", help="experiments there and below; demo when absent")
    parser.add_argument("--log", action="store_true", help="a logarithmic axis")
    wanted = parser.parse_args()
    server = os.environ.get("MODELBOX_SERVER", "http://127.0.0.1:8000").rstrip("/")
    watch, screen = Watch(wanted.namespace, wanted.keys), Screen(wanted.keys, logarithmic=wanted.log)
    screen.say(f"Waiting for experiments in {wanted.namespace} (Ctrl-C to leave)")
    drawing = asyncio.create_task(drawn(watch, screen))
    try:
        url = server.replace("http", "ws", 1) + "/graphql"
        await follow(url, os.environ.get("MODELBOX_TOKEN"), watch, screen)
    finally:
        drawing.cancel()
    screen.draw(list(watch.curves.values()))


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
