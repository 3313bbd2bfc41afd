"""A GraphQL request as both transports carry it: decoded JSON, then its parameters."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, NoReturn

import msgspec

from graphql_schema.errors import RequestError
from graphql_schema.typed_variables import Unread, Variables

MAX_OPERATION_NAME: Final = 1_000
PARAMETERS: Final = ("query", "variables", "operationName", "extensions")

_QUOTED: Final = tuple(b'"%s"' % name.encode() for name in PARAMETERS)
_SHORTEST: Final = len(',"query":0')
"""How much room a parameter needs that stands there once more."""

_NAMES: Final = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """What to run. `extensions` may be sent and hold nothing that the server looks at."""

    query: str
    variables: Variables = None
    operation_name: str | None = None


_ABSENT: Final = msgspec.Raw()


class Parameters(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The parameters of a request that is plainly right, none of them read yet."""

    query: msgspec.Raw
    variables: msgspec.Raw = _ABSENT
    operation_name: msgspec.Raw = msgspec.field(default=_ABSENT, name="operationName")
    extensions: msgspec.Raw = _ABSENT

    def request(self, what: str) -> GraphQLRequest | None:
        """The request; None when something about it needs a closer look. `what` names the text in refusals."""
        name = _name.decode(self.operation_name) if self.operation_name else None
        if self.extensions:
            _object.decode(self.extensions)
        text = bytes(self.variables)
        if text.startswith(b"{"):
            return GraphQLRequest(_string.decode(self.query), Unread(text, partial(decode, text, what)), name)
        return GraphQLRequest(_string.decode(self.query), None, name) if text in (b"", b"null") else None

    def fill(self, size: int) -> bool:
        """Whether they take so much of a body of this size that none can stand in it twice."""
        given = (self.query, self.variables, self.operation_name, self.extensions)
        taken = sum(len(name) + 2 + len(memoryview(text)) for name, text in zip(_QUOTED, given, strict=True) if text)
        return size - taken < _SHORTEST


_parameters: Final = msgspec.json.Decoder(Parameters)
_string: Final = msgspec.json.Decoder(str)
_name: Final = msgspec.json.Decoder(
    Annotated[str, msgspec.Meta(max_length=MAX_OPERATION_NAME, pattern="^[!-~]*$")] | None
)
_object: Final = msgspec.json.Decoder(dict[str, Any] | None)


def read_body(body: bytes) -> GraphQLRequest:
    """The request in the body of a POST.

    Raises:
        RequestError: `BAD_REQUEST`, it is none.
    """
    request = read_plainly(body, "The body")
    if request:
        return request
    # What is not plainly right, the slower way finds the words for.
    value = decode(body, "The body")
    if isinstance(value, dict):
        refuse_repeated(body)
    return read(value)


def read_plainly(text: bytes, what: str) -> GraphQLRequest | None:
    """The request, when it is plainly right and names nothing twice; `what` names the text in refusals of its parts."""
    try:
        parameters = _parameters.decode(text)
        request = parameters.request(what)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return request if parameters.fill(len(text)) or not _may_repeat(text) else None


def decode(text: bytes | str, what: str) -> Any:
    """The value of a JSON text; `what` names it in the refusal.

    Strings may come out with lone surrogates, for whoever reads them to name the place.

    Raises:
        RequestError: `BAD_REQUEST`.
    """
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise bad_request(f"{what} nests too deeply.") from None
    except UnicodeError:
        raise bad_request(f"{what} is not UTF-8.") from None
    except msgspec.DecodeError as error:
        return _decode_surrogates(text, what, error)


def _decode_surrogates(text: bytes | str, what: str, error: msgspec.DecodeError) -> Any:
    r"""JSON's grammar allows the escape `\ud800` alone, and only the slower decoder does, too."""
    escape = b"\\u" if isinstance(text, bytes) else "\\u"
    if escape in text:  # type: ignore[operator]
        try:
            return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        except (ValueError, RecursionError):
            pass
    reason = str(error).removeprefix("JSON is malformed: ").rstrip(".")
    raise bad_request(f"{what} is not JSON: {reason}.") from None


def _finite(text: str) -> float:
    """A number; beyond a double it is refused here as it is by the faster decoder, and not read as infinite."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def refuse_repeated(body: bytes) -> None:
    """Refuse a JSON object that names a parameter twice: programs differ about which one counts.

    Raises:
        RequestError: `BAD_REQUEST`, with the parameter's name.
    """
    if not _may_repeat(body):
        return
    try:
        pairs = json.loads(body, object_pairs_hook=list)
    except RecursionError:
        raise bad_request("The body nests too deeply.") from None
    refuse_repeated_names([name for name, _ in pairs])


def _may_repeat(body: bytes) -> bool:
    return any(body.count(name) > 1 for name in _QUOTED)


def refuse_repeated_names(names: list[str]) -> None:
    """The same for a list of names, as in a URL."""
    for name in PARAMETERS:
        if names.count(name) > 1:
            raise bad_request(f"`{name}` is given {names.count(name)} times. Send it once.")


def read(value: object) -> GraphQLRequest:
    """The parameters in a decoded JSON value.

    Raises:
        RequestError: `BAD_REQUEST`, with the parameter's name and what it should be.
    """
    if isinstance(value, list):
        raise bad_request("Batches of operations are not served. Send each operation as its own request.")
    if not isinstance(value, dict):
        raise bad_request(f"A request is a JSON object with the key `query`, not {_kind(value)}.")
    _expect_object(value, "extensions")
    return GraphQLRequest(
        query=_query(value),
        variables=_expect_object(value, "variables"),
        operation_name=_operation_name(value),
    )


def bad_request(message: str) -> RequestError:
    """A request that is no GraphQL request."""
    return RequestError("BAD_REQUEST", message)


def _query(value: Mapping[str, Any]) -> str:
    query = value.get("query")
    if isinstance(query, str):
        return query
    if query is None:
        raise bad_request("`query` is missing. Send the GraphQL document in it, as a string.")
    raise bad_request(f"`query` must be a string, not {_kind(query)}.")


def _operation_name(value: Mapping[str, Any]) -> str | None:
    name = value.get("operationName")
    if name is None:
        return None
    if not isinstance(name, str):
        raise bad_request(f"`operationName` must be a string, not {_kind(name)}.")
    if not name.isascii() or len(name) > MAX_OPERATION_NAME:
        raise bad_request(f"`operationName` must be a GraphQL name of at most {MAX_OPERATION_NAME} characters.")
    return name


def _expect_object(value: Mapping[str, Any], parameter: str) -> Mapping[str, Any] | None:
    given = value.get(parameter)
    if given is None or isinstance(given, dict):
        return given
    raise bad_request(f"`{parameter}` must be a JSON object, not {_kind(given)}.")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return _NAMES.get(type(value), "an object")
