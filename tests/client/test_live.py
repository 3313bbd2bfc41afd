"""Following: a real server that is restarted under its followers, and every way in which a line can end."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from modelbox.api import Api
from modelbox.connection import Connection
from modelbox.errors import ModelBoxError, Refused, Unreachable
from modelbox.live import follow_events, follow_metrics, subscribe
from tests.acceptance.server import Server
from tests.client.records import EVENTS, FINISH, LOG, change, experiment

pytestmark = pytest.mark.acceptance
CALLS = 60
DOCUMENT = "subscription S($after: Cursor) { changes(after: $after) { cursor changes { objectName } } }"
DELETE = "mutation Delete($input: DeleteInput!) { deleteExperiment(input: $input) { userErrors { code message } } }"
Begin = Callable[[], Server]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Begin servers of one data folder at one address, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    servers: list[Server] = []

    def begin() -> Server:
        servers.append(Server(tmp_path / "data", "--port", str(port)))
        servers[-1].ready()
        return servers[-1]

    yield begin
    for server in servers:
        server.discard()


def keep_sending(address: str, id: str, finished: threading.Event) -> None:
    """Calls of one point, each until it is answered; what is sent again is stored once."""
    connection = Connection(address)
    for n in range(CALLS):
        call = {"objectId": id, "columns": {"steps": [n], "values": {"x": [n / 2]}}, "writer": "w", "sequence": n}
        while True:
            try:
                connection.change(LOG, call)
                break
            except Unreachable:
                time.sleep(0.05)
        time.sleep(0.02)
    finished.set()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_point_is_lost_or_comes_twice_when_the_server_is_restarted(begin: Begin, how: signal.Signals) -> None:
    server = begin()
    made = experiment(server, "followed")
    finished = threading.Event()
    batches = follow_metrics([made], after=Api(server.address).feed_cursor(made), server=server.address)
    writer = threading.Thread(target=keep_sending, args=(server.address, made, finished), daemon=True)
    writer.start()

    steps: list[Any] = []
    is_new = False
    for batch in batches:
        for series in batch.series:
            steps += series.columns.steps or []
        if len(steps) >= CALLS // 3 and not is_new:
            server.end(how)
            server, is_new = begin(), True
        if is_new and finished.wait(0):
            finished.clear()
            change(server, FINISH, id=made, status="COMPLETED")
    writer.join()

    assert steps == list(range(CALLS))


def test_events_go_on_from_where_another_left(server: Server) -> None:
    made = experiment(server, "eventful", namespace="eventful")

    def report(name: str) -> None:
        change(server, EVENTS, events=[{"objectId": made, "name": name}])

    stream = follow_events("eventful", server=server.address)
    cursor = next(stream).cursor
    report("first")
    assert [event.name for event in next(each for each in stream if each.events).events] == ["first"]
    stream.close()  # type: ignore[attr-defined]
    report("second")
    again = follow_events(of=made, after=cursor, server=server.address)
    names: list[str] = []
    while len(names) < 2:
        names += [event.name for event in next(again).events]
    assert names == ["first", "second"]


def test_what_is_not_there_or_goes_away_is_refused(server: Server) -> None:
    with pytest.raises(Refused) as caught:
        next(follow_metrics(["exp_" + "0" * 32], server=server.address))
    assert caught.value.code == "NOT_FOUND"

    made = experiment(server, "deleted")
    stream = follow_metrics([made], server=server.address)
    next(stream)
    change(server, DELETE, id=made)
    with pytest.raises(Refused) as caught:
        list(stream)
    assert caught.value.code == "NOT_FOUND"


def test_a_token_that_is_none_is_refused(server: Server) -> None:
    with pytest.raises(Refused) as caught:
        next(subscribe(DOCUMENT, server=server.address, token="mbx_" + "0" * 12 + "_" + "0" * 32))
    assert caught.value.code == "UNAUTHENTICATED"


def test_a_wrong_document_is_refused(server: Server) -> None:
    with pytest.raises(Refused) as caught:
        next(subscribe(DOCUMENT.replace("objectName", "nothing"), server=server.address))
    assert caught.value.code == "GRAPHQL_VALIDATION_FAILED"
    for missing in ("$after", "cursor"):
        with pytest.raises(ModelBoxError, match="after: Cursor"):
            subscribe(DOCUMENT.replace(missing, "x"), server=server.address)


def test_patience_ends() -> None:
    with pytest.raises(Unreachable, match="No server answers"):
        next(subscribe(DOCUMENT, server="http://127.0.0.1:9", patience=0.3))


# --- A peer that does, connection by connection, what a server does rarely ---

Turn = Callable[[ServerConnection], None]


@contextlib.contextmanager
def peer(*turns: Turn) -> Iterator[tuple[str, list[Any]]]:
    """The address of a server that takes its turns, and the cursors that it is asked to go on behind."""
    left, cursors = list(turns), []

    def handle(line: ServerConnection) -> None:
        assert json.loads(line.recv())["type"] == "connection_init"
        line.send('{"type": "connection_ack"}')
        cursors.append(json.loads(line.recv())["payload"]["variables"]["after"])
        left.pop(0)(line)

    with serve(handle, "127.0.0.1", 0, subprotocols=[Subprotocol("graphql-transport-ws")]) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.socket.getsockname()[1]}", cursors
        finally:
            server.shutdown()
            thread.join()


def frame(cursor: str) -> str:
    return json.dumps({"id": "1", "type": "next", "payload": {"data": {"changes": {"cursor": cursor, "changes": []}}}})


def error(code: str, **more: Any) -> str:
    return json.dumps({"id": "1", "type": "error", "payload": [{"message": "M", "extensions": {"code": code, **more}}]})


def partial(code: str) -> str:
    payload = {"data": None, "errors": [{"message": "M", "extensions": {"code": code}}]}
    return json.dumps({"id": "1", "type": "next", "payload": payload})


def says(*messages: str, closes: int | None = None) -> Turn:
    def turn(line: ServerConnection) -> None:
        for message in messages:
            line.send(message)
        line.close(*(() if closes is None else (closes,)))

    return turn


COMPLETE = '{"id": "1", "type": "complete"}'


def cut(line: ServerConnection) -> None:
    line.send(frame("b"))
    line.socket.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "turn",
    [
        cut,
        says(frame("b"), closes=1012),
        says(frame("b"), closes=1013),
        says(frame("b"), closes=4500),
        says(frame("b"), error("SERVICE_UNAVAILABLE")),
        says(frame("b"), partial("INTERNAL_SERVER_ERROR")),
    ],
)
def test_it_goes_on_behind_the_last_frame(turn: Turn) -> None:
    with peer(turn, says(closes=1014), says(frame("c"), COMPLETE)) as (address, cursors):
        stream = subscribe(DOCUMENT, after="a", server=address)
        assert [each["cursor"] for each in stream] == ["b", "c"]
        assert stream.cursor == "c"
    assert cursors == ["a", "b", "b"]


def test_who_lagged_goes_on_where_the_server_says() -> None:
    with peer(says(frame("b"), error("LAGGED", cursor="z")), says(COMPLETE)) as (address, cursors):
        assert [each["cursor"] for each in subscribe(DOCUMENT, server=address)] == ["b"]
    assert cursors == [None, "z"]


def test_a_ping_is_answered() -> None:
    heard: list[str] = []

    def turn(line: ServerConnection) -> None:
        line.send('{"type": "ping"}')
        heard.append(json.loads(line.recv())["type"])
        line.send(COMPLETE)

    with peer(turn) as (address, _):
        assert list(subscribe(DOCUMENT, server=address)) == []
    assert heard == ["pong"]


@pytest.mark.parametrize(
    ("turn", "code"),
    [
        (says(closes=4403), "UNAUTHENTICATED"),
        (says(closes=4400), "CLOSED_4400"),
        (says(error("FORBIDDEN")), "FORBIDDEN"),
        (says(partial("CURSOR_EXPIRED")), "CURSOR_EXPIRED"),
    ],
)
def test_a_refusal_ends_it(turn: Turn, code: str) -> None:
    with peer(turn) as (address, _):
        stream = subscribe(DOCUMENT, server=address)
        with pytest.raises(Refused) as caught:
            next(stream)
        assert caught.value.code == code
        assert list(stream) == []


def test_it_can_be_left_in_the_middle() -> None:
    with peer(says(frame("a"), frame("b"))) as (address, _):
        with subscribe(DOCUMENT, server=address) as stream:
            assert next(stream)["cursor"] == "a"
        assert list(stream) == []
