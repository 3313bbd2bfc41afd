"""GraphQL over HTTP with nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

PATIENCE = 30.0
"""Seconds for which a change is sent again and again while no server answers."""

PAUSE = 0.5
"""Seconds between two attempts."""


class DemoFailed(Exception):
    """The server refused something, or is not there; the message says what to do."""


class NotThere(DemoFailed):
    """No server answers; one may soon."""


@dataclass(frozen=True)
class Connection:
    """A server's GraphQL endpoint, and the token to sign in with (none on a laptop)."""

    url: str
    token: str | None = None

    @classmethod
    def from_environment(cls) -> Connection:
        """What `MODELBOX_URL` and `MODELBOX_TOKEN` name; the local server by default."""
        base = os.environ.get("MODELBOX_URL", "http://127.0.0.1:8000").rstrip("/")
        return cls(f"{base}/graphql", os.environ.get("MODELBOX_TOKEN"))

    def send(self, query: str, **variables: Any) -> dict[str, Any]:
        """The `data` of a response. Raises DemoFailed."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/graphql-response+json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url, body, headers)  # noqa: S310 - the URL is the user's own
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            raise (NotThere if error.code == 503 else DemoFailed)(_refusal(error)) from error
        except OSError as error:
            raise NotThere(f"No server answers at {self.url} ({error}). Start one with `make serve`.") from error
        if "errors" in answer:
            raise DemoFailed(answer["errors"][0]["message"])
        data: dict[str, Any] = answer["data"]
        return data

    def change(self, query: str, input: dict[str, Any]) -> dict[str, Any]:
        """The payload of a mutation, which must not be refused.

        While no server answers it is sent again: a writer's sequence or a key makes that safe. Raises DemoFailed.
        """
        wanted = input if "writer" in input else {"idempotencyKey": str(uuid4()), **input}
        return self.repeat(query, wanted)

    def repeat(self, query: str, input: dict[str, Any]) -> dict[str, Any]:
        """The same for a mutation that changes nothing when it is sent again, and takes no key."""
        (payload,) = self.look(query, input=input).values()
        for error in payload["userErrors"]:
            raise DemoFailed(f"{error['code']}: {error['message']}")
        found: dict[str, Any] = payload
        return found

    def put(self, reference: str, content: bytes, headers: dict[str, str]) -> None:
        """Send bytes to a place that the server named. Raises DemoFailed."""
        self._transfer(self._request(reference, content, headers, "PUT"))

    def get(self, reference: str) -> bytes:
        """The bytes at a place that the server named. Raises DemoFailed."""
        return self._transfer(self._request(reference, None, {}, "GET"))

    def _request(
        self, reference: str, content: bytes | None, headers: dict[str, str], method: str
    ) -> urllib.request.Request:
        """What is relative is our server's, and gets our token; what is not, or redirected, must not see it."""
        place = urllib.parse.urljoin(self.url, reference)
        request = urllib.request.Request(place, content, headers, method=method)  # noqa: S310 - the server named it
        if self.token and not urllib.parse.urlsplit(reference).netloc:
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        return request

    def _transfer(self, request: urllib.request.Request) -> bytes:
        limit = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - the server named it
                    content: bytes = response.read()
                    return content
            except urllib.error.HTTPError as error:
                if error.code < 500 or time.monotonic() > limit:
                    raise DemoFailed(_refusal(error)) from error
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() > limit:
                    raise NotThere(f"No server answers at {self.url} ({error}).") from error
            time.sleep(PAUSE)

    def look(self, query: str, **variables: Any) -> dict[str, Any]:
        """The same as `send`; while no server answers, it is sent again. Raises DemoFailed."""
        limit = time.monotonic() + PATIENCE
        while True:
            try:
                return self.send(query, **variables)
            except NotThere:
                if time.monotonic() > limit:
                    raise
                time.sleep(PAUSE)


def _refusal(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        return f"The server answered {error.code} {error.reason}."
