"""Following a server: subscriptions that go on by themselves from the last frame, with nothing lost and nothing twice.

The protocol is graphql-transport-ws, over a socket for each stream.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from modelbox import configuration, credentials
from modelbox.connection import AGAIN
from modelbox.errors import ModelBoxError, Refused, Unreachable

if TYPE_CHECKING:
    from types import TracebackType

    from websockets.sync.client import ClientConnection

    from modelbox.api import enums, inputs, types

LARGEST: Final = 1 << 26
"""Bytes of a frame."""

SILENCE: Final = 60.0
"""Seconds without a frame after which the line is taken for dead; the server sends one every 20."""

SHORTEST, LONGEST = 0.1, 5.0
"""Seconds between attempts, doubling."""

CLOSED: Final = {4403: "UNAUTHENTICATED"}
LATER: Final = frozenset({4408})
"""Close codes of the kind that refuses, after which the same may succeed."""

T = TypeVar("T")
Frame = dict[str, Any]


class _Lagged(Exception):
    """The server goes no further from where we are, and says where to go on."""


class Stream(Iterator[Frame]):
    """Frames of a subscription, until it completes.

    A cut line, a server that stops or one that is away is waited for; `patience` says for how many seconds at most.

    Raises:
        Refused: the server does not let you follow, or no longer; or the cursor is expired.
        Unreachable: `patience` is over.
    """

    def __init__(
        self, document: str, variables: dict[str, Any], server: str, token: str | None, patience: float | None
    ) -> None:
        if not re.search(r"\$after\b", document) or not re.search(r"\bcursor\b", document):
            message = (
                "A subscription that resumes declares `$after: Cursor`, gives it to its field, and selects `cursor`."
            )
            raise ModelBoxError("BAD_USER_INPUT", message)
        self.cursor: str | None = variables.get("after")
        """Behind the last frame: the `after` of another stream that goes on from here."""
        self._document = document
        self._variables = variables
        self._server = server
        self._token = token
        self._patience = patience
        self._socket: ClientConnection | None = None
        self._open = ExitStack()
        self._is_over = False

    def __next__(self) -> Frame:
        pause, since = SHORTEST, None
        while not self._is_over:
            try:
                frame = self._frame()
            except Unreachable as error:
                self._hang_up()
                since = since or time.monotonic()
                wait = error.wait_seconds or pause * random.uniform(0.5, 1)  # noqa: S311 - spreads followers
                if self._patience is not None and time.monotonic() + wait - since > self._patience:
                    self.close()
                    raise
                time.sleep(wait)
                pause = min(pause * 2, LONGEST)
            except _Lagged:
                self._hang_up()
            except BaseException:
                self.close()
                raise
            else:
                if frame is not None:
                    self.cursor = frame["cursor"]
                    return frame
                self.close()
        raise StopIteration

    def close(self) -> None:
        """End it."""
        self._is_over = True
        self._hang_up()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_socket", None) is not None:
            self._hang_up()

    def _hang_up(self) -> None:
        self._socket = None
        self._open.close()

    def _frame(self) -> Frame | None:
        """The next one; None when it is complete."""
        from websockets.exceptions import ConnectionClosed

        try:
            socket = self._socket or self._connected()
            while (told := json.loads(socket.recv(timeout=SILENCE)))["type"] in ("ping", "pong"):
                if told["type"] == "ping":
                    socket.send('{"type":"pong"}')
        except ConnectionClosed as error:
            raise _closed(error) from error
        except (OSError, EOFError) as error:
            raise Unreachable(f"The line to {self._server} broke ({type(error).__name__}).") from error
        if told["type"] == "error":
            raise self._error(told["payload"])
        return self._data(told["payload"]) if told["type"] == "next" else None

    def _connected(self) -> ClientConnection:
        """A socket on which it is subscribed."""
        from websockets.exceptions import InvalidHandshake, InvalidStatus
        from websockets.sync.client import connect
        from websockets.typing import Subprotocol

        url = f"{self._server.replace('http', 'ws', 1)}/graphql"
        kept = {"proxy": None} if credentials.is_loopback(self._server) else {}
        protocol = Subprotocol("graphql-transport-ws")
        try:
            line = connect(url, subprotocols=[protocol], max_size=LARGEST, close_timeout=1, **kept)
            self._socket = socket = self._open.enter_context(line)
        except InvalidStatus as error:
            raise _answered(self._server, error.response.status_code) from error
        except (InvalidHandshake, OSError) as error:
            raise Unreachable(f"No server answers at {self._server} ({type(error).__name__}).") from error
        signed = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        socket.send(json.dumps({"type": "connection_init", "payload": signed}))
        while json.loads(socket.recv(timeout=SILENCE))["type"] != "connection_ack":
            pass
        payload = {"query": self._document, "variables": {**self._variables, "after": self.cursor}}
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        return socket

    def _data(self, result: dict[str, Any]) -> Frame:
        if errors := result.get("errors"):
            raise self._error(errors)
        (frame,) = result["data"].values()
        return cast("Frame", frame)

    def _error(self, errors: Sequence[dict[str, Any]]) -> Exception:
        more = errors[0].get("extensions", {})
        code, message = str(more.get("code", "INTERNAL")), str(errors[0].get("message", ""))
        if code == "LAGGED" and more.get("cursor"):
            self.cursor = more["cursor"]
            return _Lagged(message)
        return Unreachable(message, code=code) if code in AGAIN else Refused(code, message)


def _closed(error: Any) -> Refused | Unreachable:
    code, reason = (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")
    if 4400 <= code < 4500 and code not in LATER:
        return Refused(CLOSED.get(code, f"CLOSED_{code}"), reason or "The server closed the line.")
    return Unreachable(f"The server closed the line ({code} {reason}).".replace(" )", ")"))


def _answered(server: str, status: int) -> Refused | Unreachable:
    if status >= 500 or status in (408, 429):
        return Unreachable(f"{server} answered {status}.")
    codes = {401: "UNAUTHENTICATED", 403: "FORBIDDEN", 404: "NOT_FOUND"}
    return Refused(codes.get(status, "BAD_REQUEST"), f"{server} answered {status}, and opens no stream.")


def subscribe(
    document: str,
    /,
    *,
    after: str | None = None,
    server: str | None = None,
    token: str | None = None,
    patience: float | None = None,
    **variables: Any,
) -> Stream:
    """Follow a subscription that declares `$after: Cursor` and selects `cursor`.

    Each frame is the value of its one field. `after` is the cursor to begin behind: that of a query, or of a stream
    that was left. Iterating raises as `Stream` says.
    """
    address = configuration.load(server=server).server
    if token is not None:
        credentials.check_secure(address)
    given = {name: value for name, value in {**variables, "after": after}.items() if value is not None}
    return Stream(document, given, address, token or credentials.token(address), patience)


def follow_metrics(
    objects: Sequence[Any],
    *,
    keys: Sequence[str] | None = None,
    key_prefix: str | None = None,
    every: int | None = None,
    coalesce: enums.Coalescing | None = None,
    **where: Any,
) -> Iterator[types.MetricBatch]:
    """Points of objects as they are logged, each once, until all of them have ended. `where` as of `subscribe`."""
    from modelbox.api import documents, types
    from modelbox.api.references import id_of

    ids = [id_of(each) for each in objects]
    named = list(keys) if keys is not None else None
    stream = subscribe(
        documents.METRIC_BATCHES,
        objectIds=ids,
        keys=named,
        keyPrefix=key_prefix,
        every=every,
        coalesce=coalesce,
        **where,
    )
    return _typed(stream, types.MetricBatch)


def follow_events(
    namespace: str | None = None,
    *,
    of: Any = None,
    filter: inputs.EventFilter | None = None,
    every: int | None = None,
    **where: Any,
) -> Iterator[types.EventBatch]:
    """Events of an object, or of a namespace and below it, as they are reported. `where` as of `subscribe`."""
    from modelbox.api import documents, types
    from modelbox.api.reading import sent
    from modelbox.api.references import id_of

    path = None if of is not None else namespace or configuration.load().namespace
    place = None if of is None else id_of(of)
    more = sent(filter=filter, every=every)
    stream = subscribe(documents.EVENT_BATCHES, namespace=path, objectId=place, **more, **where)
    return _typed(stream, types.EventBatch)


def _typed(stream: Stream, kind: type[T]) -> Iterator[T]:
    from modelbox.api.reading import reader

    read = reader(cast("Any", kind))
    with stream:
        for frame in stream:
            yield read(frame)
