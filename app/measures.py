"""The numbers that Prometheus reads, with labels that no caller can multiply without bound."""

from __future__ import annotations

import os
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

if TYPE_CHECKING:
    from app.gateway import Finished
    from db.engine import Database

MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus_client shares numbers among processes; read when it is imported."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OTHER: Final = "other"
MOST_NAMES: Final = 100
LONGEST_NAME: Final = 64
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class OperationNames:
    """Names of operations as labels: callers invent them, so only the first hundred get their own."""

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._known: set[str] = set()

    def label(self, name: str | None) -> str:
        """The name; `anonymous` for none; `other` when there are too many, or it is very long."""
        if name is None:
            return "anonymous"
        if name in self._known:
            return name
        if len(self._known) >= self._most or len(name) > LONGEST_NAME:
            return OTHER
        self._known.add(name)
        return name


class Measures:
    """All numbers of one application, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._names = OperationNames()
        self._shared = os.environ.get(MULTIPROCESS)
        self._operations = Histogram(
            "modelbox_operation_seconds",
            "Time from an operation's arrival to the end of its answer.",
            ("operation", "kind", "transport"),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._refusals = Counter(
            "modelbox_operations_refused",
            "Operations that got an error and no result, by its code.",
            ("code", "transport"),
            registry=self._registry,
        )
        self._requests = Counter(
            "modelbox_http_requests", "HTTP requests, by status.", ("status",), registry=self._registry
        )
        self._sockets = self._gauge("modelbox_sockets", "Open sockets.")
        self._subscriptions = self._gauge("modelbox_subscriptions", "Running subscriptions.")
        self._connections_in_use = self._gauge(
            "modelbox_database_connections_in_use", "Database connections that are working."
        )
        self._connections_most = self._gauge(
            "modelbox_database_connections_limit", "The most database connections that may be open."
        )
        if not self._shared:
            ProcessCollector(registry=self._registry)

        # The library looks a child up under a lock; these few are looked up for every request.
        self._durations = cache(self._operations.labels)
        self._statuses = cache(lambda status: self._requests.labels("gone" if status is None else str(status)))

    def operation(self, finished: Finished) -> None:
        """Count an operation that is over."""
        if finished.kind is not None:
            name = self._names.label(finished.name)
            self._durations(name, finished.kind, finished.transport).observe(finished.seconds)
        if finished.code is not None:
            self._refusals.labels(finished.code, finished.transport).inc()

    def request(self, status: int | None) -> None:
        """Count an HTTP request; without a status, the caller left before the answer."""
        self._statuses(status).inc()

    def sockets(self, change: int) -> None:
        """Count a socket that opened (1) or closed (-1)."""
        self._sockets.inc(change)

    def subscriptions(self, change: int) -> None:
        """Count a subscription that began (1) or ended (-1)."""
        self._subscriptions.inc(change)

    async def sample(self, database: Database, _now: datetime | None = None) -> None:
        """Look at the pool of connections; a job, since another process may be the one that is asked."""
        self._connections_in_use.set(database.in_use)
        self._connections_most.set(database.size)

    def exposition(self) -> bytes:
        """The numbers as Prometheus reads them, of all processes that serve the port."""
        if not self._shared:
            return generate_latest(self._registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone, self._shared)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)

    def _gauge(self, name: str, what: str) -> Gauge:
        return Gauge(name, what, registry=self._registry, multiprocess_mode="livesum")


def forget_process(pid: int) -> None:
    """Take a dead process's sockets and connections out of the sums."""
    mark_process_dead(pid, os.environ.get(MULTIPROCESS))  # type: ignore[no-untyped-call]
