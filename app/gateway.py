"""What the transports share: where to run operations, for whom, within which limits."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from starlette.datastructures import Headers
from starlette.types import Scope

from app.token_watch import TokenWatch
from db.access import Caller
from db.engine import Database
from db.feed.feed import Feed
from graphql_schema.broadcast import Live
from graphql_schema.documents import Documents
from graphql_schema.errors import RequestError
from graphql_schema.executor import Context
from graphql_schema.operation import Operation

MEBIBYTE: Final = 1_048_576
_BEARER: Final = re.compile(r"\s*bearer +([\w.~+/=-]+)\s*", re.ASCII | re.IGNORECASE)


Transport = Literal["http", "sse", "websocket"]


@dataclass(frozen=True)
class TransportLimits:
    """What a request and a socket may ask of the server; sizes in bytes, times in seconds.

    `body_bytes` is counted after decompression. The process that serves should refuse frames over
    `frame_bytes` itself (uvicorn's `ws_max_size`), so that they are never kept in memory.
    """

    body_bytes: int = 8 * MEBIBYTE
    execution_seconds: float = 10.0
    first_frame_bytes: int = 65_536
    frame_bytes: int = 8 * MEBIBYTE
    init_seconds: float = 5.0
    operations: int = 50
    messages_per_second: int = 100
    ping_seconds: float = 20.0
    keep_alive_seconds: float = 15.0
    """How long a stream of events may be silent; then it holds a comment, so that proxies keep it open."""

    socket_seconds: float = 86_400.0
    recheck_seconds: float = 20.0
    """How often the token behind an open socket is looked at again, though nothing seems to have changed."""


class Finished(NamedTuple):
    """One operation that was answered or refused; telemetry counts and logs it.

    `code` is the `extensions.code` of a refusal and None when a result was sent. `kind` and `name`
    are None when the document was refused before it could be understood.
    """

    transport: Transport
    request_id: str
    kind: str | None
    name: str | None
    code: str | None
    seconds: float


def unobserved(_finished: Finished) -> None:
    """The observer of those who do not count."""


def uncounted(_change: int) -> None:
    """The same for sockets and subscriptions."""


@dataclass
class Gateway:
    """All that the transports need to serve; made once by `create_app`.

    `authenticate` gets the bearer token, or None when there was none, and raises `RequestError`
    with the code `UNAUTHENTICATED` when that is not enough. `still_valid` says whether the token
    behind a caller is neither expired nor revoked; sockets ask it when tokens change. `observe`
    is called once for each operation, `count_sockets` with 1 and -1 as sockets open and close, and
    `count_subscriptions` likewise.
    """

    database: Database
    documents: Documents
    authenticate: Callable[[str | None], Awaitable[Caller]]
    still_valid: Callable[[Caller], Awaitable[bool]]
    limits: TransportLimits = field(default_factory=TransportLimits)
    observe: Callable[[Finished], None] = unobserved
    count_sockets: Callable[[int], None] = uncounted
    count_subscriptions: Callable[[int], None] = uncounted
    live: Live = field(init=False)
    """What all subscriptions share, over whichever transport."""

    def __post_init__(self) -> None:
        self.live = Live(Feed(self.database), self.database)

    def context(self, caller: Caller, request_id: str, address: str | None = None) -> Context:
        """What an operation is executed with. `address` is the caller's, for the audit trail."""
        return Context(self.database, caller, request_id, self.live, address)

    def token_watch(self) -> TokenWatch:
        """Watches the tokens behind what stays open."""
        return TokenWatch(self.still_valid, every=self.limits.recheck_seconds, following=self.live.access_of)

    def report(
        self,
        transport: Transport,
        request_id: str,
        operation: Operation | None,
        *,
        code: str | None,
        started: float,
    ) -> None:
        """Tell the observer of an operation that is over; `started` is of `time.perf_counter`."""
        kind = operation.kind if operation else None
        name = operation.name if operation else None
        self.observe(Finished(transport, request_id, kind, name, code, time.perf_counter() - started))


def request_id(scope: Scope) -> str:
    """The id that telemetry gave the request (`scope["state"]["request_id"]`), or a new one."""
    given = scope.get("state", {}).get("request_id")
    return given if isinstance(given, str) else new_request_id()


def address_of(scope: Scope) -> str | None:
    """The network address of who sent it: behind a trusted proxy, the one that the proxy names."""
    client = scope.get("client")
    return client[0] if client else None


def new_request_id() -> str:
    """An id for one operation, to be found again in logs, errors and audit rows."""
    return os.urandom(16).hex()


def bearer_token(headers: Headers) -> str | None:
    """The token in `Authorization: Bearer …`; None without that header, or when it is left empty.

    Raises:
        RequestError: `UNAUTHENTICATED`, the header says something else.
    """
    return given_token(", ".join(headers.getlist("authorization")))


def given_token(authorization: str) -> str | None:
    """The same for the value of the header, several of which are joined by commas."""
    return token_in(authorization) if authorization.strip() else None


def token_in(authorization: str) -> str:
    """The token in the value of that header, or of its like in `connection_init`.

    Raises:
        RequestError: `UNAUTHENTICATED`, there is none.
    """
    found = _BEARER.fullmatch(authorization)
    if found is None:
        raise RequestError("UNAUTHENTICATED", "`Authorization` must be `Bearer` and a token.")
    return found[1]
