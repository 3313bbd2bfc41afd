"""What stands beside a response's data, or in its place."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from db.errors import DomainError
from db.read.hole import Failure
from graphql_schema.errors import RequestError, RequestErrors


def refusal(error: DomainError) -> RequestErrors:
    """Why a request is refused, or a subscription ends."""
    extensions = {"argument": ".".join(error.path)} if error.path else {}
    if "cursor" in error.details:
        extensions["cursor"] = error.details["cursor"]
    return RequestErrors([RequestError(error.code, error.message, extensions=extensions)])


def with_errors(response: bytes, failures: Sequence[Failure]) -> bytes:
    """A response beside whose `data` the errors of holes stand that could not be filled."""
    if not failures:
        return response
    errors = [RequestError(one.code, one.message, path=one.path[1:]).formatted() for one in failures]
    return b'{"errors":' + orjson.dumps(errors) + b"," + response[1:]
