"""Questions and changes that wait out a server that is just being started again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import modelbox as mb

PATIENCE: Final = 30.0
PAUSE: Final = 0.5

Answer = dict[str, Any]


def ask(api: mb.Api, query: str, **variables: Any) -> Answer:
    """The `data` of a query. Raises ModelBoxError."""
    return _patiently(lambda: api.query(query, **variables))


def change(api: mb.Api, mutation: str, **input: Any) -> Answer:
    """The payload of a mutation; its key makes it safe to send it again. Raises ModelBoxError."""
    wanted = {"idempotencyKey": str(uuid4()), **input}
    return _patiently(lambda: api.change(mutation, wanted))


def _patiently(send: Callable[[], Answer]) -> Answer:
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            return send()
        except mb.Unreachable:
            if time.monotonic() > limit:
                raise
            time.sleep(PAUSE)
