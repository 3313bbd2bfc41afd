"""The one way to a server: GraphQL and files over HTTP, by a pool of kept connections.

Redirects of files (to a bucket) are followed by hand: our token stays with our server.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final
from urllib.parse import urljoin, urlsplit

import urllib3

from modelbox.errors import Refused, Unreachable

AGAIN: Final = frozenset({"INTERNAL_SERVER_ERROR", "RATE_LIMITED", "SERVICE_UNAVAILABLE"})
"""Codes of the server's after which the same request may succeed."""

PIECE: Final = 1 << 20
LONGEST_WAIT: Final = 300.0
"""Seconds, whatever the server asks for: it may be mistaken."""

FINE: Final = frozenset({200, 204, 206})


class Connection:
    """A server and the token to sign in with. Safe to use from several threads; not after a fork."""

    def __init__(self, server: str, token: str | None = None, *, timeout: float = 30.0, connections: int = 4) -> None:
        self.server = server.rstrip("/")
        self._token = token
        limits = urllib3.Timeout(connect=min(timeout, 10.0), read=timeout)
        self._pool = urllib3.PoolManager(maxsize=connections, block=False, timeout=limits, retries=False)

    def ask(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """The `data` of an operation.

        Raises:
            Refused: with the code of the first error.
            Unreachable: there was no answer, or one that says "later".
        """
        return self.send(_json({"query": query, "variables": variables}))

    def send(self, body: bytes) -> dict[str, Any]:
        """The `data` of an operation that is JSON already. Raises as `ask`."""
        headers = {"Content-Type": "application/json", "Accept": "application/graphql-response+json"}
        answer = self._request("POST", f"{self.server}/graphql", headers, body)
        found = _parsed(answer)
        if errors := found.get("errors"):
            raise _error(errors[0], answer)
        if answer.status == 413:  # Not ours, but that of a proxy with a limit of its own: smaller calls may pass.
            raise Refused("PAYLOAD_TOO_LARGE", f"A call of {len(body):,} bytes is too large for {self.server}.")
        data = found.get("data")
        if answer.status != 200 or not isinstance(data, dict):
            raise Unreachable(f"{self.server} answered {answer.status}, and not as a ModelBox server would.")
        return data

    def change(self, query: str, input: Mapping[str, Any]) -> dict[str, Any]:
        """The payload of a document's one mutation.

        Raises:
            Refused: with the code of the first user error; or as `ask`.
        """
        return payload(self.ask(query, input=dict(input)))

    def put(self, reference: str, body: bytes | IO[bytes], size: int, headers: Mapping[str, str]) -> None:
        """Send bytes to a place that the server named. Raises as `ask`."""
        place, ours = self._place(reference)
        told = {**headers, "Content-Length": str(size)}
        answer = self._request("PUT", place, told, body, ours=ours)
        if answer.status not in FINE:
            raise _failure(answer, place)

    def get(self, reference: str, start: int = 0) -> Iterator[bytes]:
        """The bytes at a place that the server named, from `start` on. Raises as `ask`, also in between."""
        place, ours = self._place(reference)
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
        answer = self._request("GET", place, headers, ours=ours, preload=False)
        if answer.status == 307:
            answer.release_conn()
            elsewhere = urljoin(place, answer.headers.get("Location", ""))
            answer = self._request("GET", elsewhere, headers, ours=False, preload=False)
        try:
            if answer.status not in FINE:
                raise _failure(answer, place)
            if start and answer.status != 206:
                raise Unreachable(f"{urlsplit(place).netloc} does not send parts of files.")
            yield from answer.stream(PIECE)
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"The answer of {urlsplit(place).netloc} broke off ({_cause(error)}).") from error
        finally:
            answer.close()

    def _place(self, reference: str) -> tuple[str, bool]:
        """Where a reference leads, and whether that is our server, and gets our token: only what names no host."""
        place = urljoin(f"{self.server}/", reference)
        return place, not urlsplit(reference).netloc and urlsplit(place)[:2] == urlsplit(self.server)[:2]

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | IO[bytes] | None = None,
        *,
        ours: bool = True,
        preload: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        signed = {"Authorization": f"Bearer {self._token}"} if ours and self._token else {}
        try:
            return self._pool.request(
                method, url, body=body, headers={**headers, **signed}, redirect=False, preload_content=preload
            )
        except urllib3.exceptions.HTTPError as error:
            where = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
            raise Unreachable(f"No server answers at {where} ({_cause(error)}).") from error

    def close(self) -> None:
        """Close what is kept open."""
        self._pool.clear()


def _json(document: dict[str, Any]) -> bytes:
    try:
        return json.dumps(document, allow_nan=False).encode()
    except ValueError:
        return json.dumps(_spelled(document), allow_nan=False).encode()


def _spelled(value: Any) -> Any:
    """JSON has no word for NaN and infinities, which stand in people's settings and metadata: as texts."""
    if isinstance(value, Mapping):
        return {key: _spelled(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    return value


def payload(data: Mapping[str, Any]) -> dict[str, Any]:
    """The one field of a mutation's data. Raises Refused with its first user error."""
    (found,) = data.values()
    for error in found["userErrors"]:
        raise Refused(error["code"], error["message"])
    made: dict[str, Any] = found
    return made


def _cause(error: urllib3.exceptions.HTTPError) -> str:
    """The innermost reason, in words; never a URL, for those can hold secrets."""
    reason: BaseException = error
    while (inner := reason.__cause__ or reason.__context__) is not None:
        reason = inner
    return getattr(reason, "strerror", None) or type(reason).__name__


def _parsed(answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    try:
        found = json.loads(answer.data)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("errors", []), list):
        return {}
    return found


def _failure(answer: urllib3.BaseHTTPResponse, place: str) -> Refused | Unreachable:
    errors = _parsed(answer).get("errors")
    if errors:
        return _error(errors[0], answer)
    where = urlsplit(place).netloc
    if answer.status >= 500 or answer.status in (408, 429):
        return Unreachable(f"{where} answered {answer.status}.", wait_seconds=_wait(answer))
    return Refused("STORE_REFUSED", f"{where} answered {answer.status} {answer.reason}.")


def _error(error: Any, answer: urllib3.BaseHTTPResponse) -> Refused | Unreachable:
    if not isinstance(error, Mapping):  # Of a proxy, say.
        return Unreachable(f"An answer {answer.status}, and not as a ModelBox server would give it.")
    code = str((error.get("extensions") or {}).get("code", "INTERNAL"))
    message = str(error.get("message", ""))
    if answer.status >= 500 or answer.status in (408, 429) or code in AGAIN:
        return Unreachable(message, code=code, wait_seconds=_wait(answer))
    return Refused(code, message)


def _wait(answer: urllib3.BaseHTTPResponse) -> float | None:
    told = answer.headers.get("Retry-After", "")
    return min(float(told), LONGEST_WAIT) if told.isdecimal() else None
