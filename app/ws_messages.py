"""The messages and close codes of the subprotocol graphql-transport-ws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
import orjson

from app import graphql_request, operations
from app.graphql_request import GraphQLRequest
from graphql_schema.errors import RequestError

SUBPROTOCOL: Final = "graphql-transport-ws"

GOING_AWAY: Final = 1001
TRY_AGAIN_LATER: Final = 1013
BAD_GATEWAY: Final = 1014
MALFORMED: Final = 4400
UNAUTHORIZED: Final = 4401
FORBIDDEN: Final = 4403
WRONG_SUBPROTOCOL: Final = 4406
INIT_TIMEOUT: Final = 4408
ID_IN_USE: Final = 4409
SECOND_INIT: Final = 4429
INTERNAL_ERROR: Final = 4500

MAX_ID: Final = 1_000
MAX_REASON_BYTES: Final = 123


class Close(Exception):
    """The socket is to be closed, with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")


class Gone(Exception):
    """The peer has left, or is as good as gone."""


@dataclass(frozen=True, slots=True)
class ConnectionInit:
    """The client's first message; the payload may hold its token."""

    payload: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a pong."""

    payload: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a ping, or is a sign of life."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Begins an operation of any kind."""

    id: str
    request: GraphQLRequest


@dataclass(frozen=True, slots=True)
class Complete:
    """The client has heard enough of an operation."""

    id: str


Message = ConnectionInit | Ping | Pong | Subscribe | Complete


def read(text: str) -> Message:
    """The message in a text frame.

    Raises:
        Close: 4400, it is none that a client may send.
    """
    try:
        return _plain(text) or _message(graphql_request.decode(text, "The frame"))
    except RequestError as error:
        raise Close(MALFORMED, error.message) from None


class _Subscribe(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The message that may be long, when it is plainly right."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]
    type: Literal["subscribe"]
    payload: msgspec.Raw


_subscribes: Final = msgspec.json.Decoder(_Subscribe)


def _plain(text: str) -> Subscribe | None:
    """Most messages by far; what is not plainly right, the slower way finds the words for."""
    try:
        message = _subscribes.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    request = graphql_request.read_plainly(bytes(message.payload), "The frame")
    return Subscribe(message.id, request) if request else None


def ack() -> str:
    """The connection is initialised."""
    return '{"type":"connection_ack"}'


def ping() -> str:
    """Asks for a pong."""
    return '{"type":"ping"}'


def pong(payload: Mapping[str, Any] | None) -> str:
    """The answer to a ping, with its payload."""
    return '{"type":"pong"}' if payload is None else _written({"type": "pong", "payload": payload})


def before_result(operation_id: str) -> bytes:
    """What stands before a result of an operation, which is finished JSON and goes out as it is."""
    return f'{{"id":{_written(operation_id)},"type":"next","payload":'.encode()


AFTER_RESULT: Final = b"}"


def refused(operation_id: str, errors: Sequence[RequestError]) -> str:
    """The end of an operation that could not be run, or not to its end."""
    payload = operations.dump_errors(errors).decode()
    return f'{{"id":{_written(operation_id)},"type":"error","payload":{payload}}}'


def complete(operation_id: str) -> str:
    """The end of an operation after its last result."""
    return f'{{"id":{_written(operation_id)},"type":"complete"}}'


def _message(value: object) -> Message:
    if not isinstance(value, dict):
        raise Close(MALFORMED, "A message is a JSON object.")
    match value.get("type"):
        case "connection_init":
            return ConnectionInit(_payload(value))
        case "ping":
            return Ping(_payload(value))
        case "pong":
            _payload(value)
            return Pong()
        case "subscribe":
            return _subscribe(value)
        case "complete":
            return Complete(_id(value))
        case str(unknown):
            raise Close(MALFORMED, f"A client sends no message of type {unknown[:40]!a}.")
        case _:
            raise Close(MALFORMED, "A message needs a `type`, which is a string.")


def _subscribe(value: Mapping[str, Any]) -> Subscribe:
    payload = value.get("payload")
    if not isinstance(payload, dict):
        raise Close(MALFORMED, "The `payload` of `subscribe` is an object with the key `query`.")
    return Subscribe(_id(value), graphql_request.read(payload))


def _id(value: Mapping[str, Any]) -> str:
    given = value.get("id")
    if not isinstance(given, str) or not 0 < len(given) <= MAX_ID:
        raise Close(MALFORMED, f"The message's `id` must be a string of 1 to {MAX_ID} characters.")
    _written(given)
    return given


def _payload(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    payload = value.get("payload")
    if payload is None:
        return None
    if not isinstance(payload, dict):
        raise Close(MALFORMED, "The message's `payload` must be an object or null.")
    return payload


def _written(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        raise Close(MALFORMED, "The message holds text or a number that cannot be sent back.") from None
