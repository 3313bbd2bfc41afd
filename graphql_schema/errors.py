"""What a caller is told when a request, a field or a mutation is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class RequestError(Exception):
    """A whole request that is refused before anything is executed: no `data` in its answer.

    `code` is one of the words that GraphQL tools know (`GRAPHQL_PARSE_FAILED`,
    `GRAPHQL_VALIDATION_FAILED`, `BAD_USER_INPUT`, `UNAUTHENTICATED`, `FORBIDDEN`, `RATE_LIMITED`,
    `LIMIT_EXCEEDED`, `SERVICE_UNAVAILABLE`, `INTERNAL_SERVER_ERROR`).
    """

    code: str
    message: str
    locations: Sequence[Mapping[str, int]] = ()
    path: Sequence[str | int] = ()
    extensions: Mapping[str, Any] = field(default_factory=dict)

    def formatted(self) -> dict[str, Any]:
        """The error as an entry of the response's `errors` list."""
        entry: dict[str, Any] = {"message": self.message}
        if self.locations:
            entry["locations"] = list(self.locations)
        if self.path:
            entry["path"] = list(self.path)
        entry["extensions"] = {"code": self.code, **self.extensions}
        return entry


@dataclass(eq=False)
class RequestErrors(Exception):
    """Several request errors found at once, as validation does."""

    errors: Sequence[RequestError]
