"""Where the parts meet: settings and a database become the application that is served."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount

from app import background, blobs, download_record
from app.auth import SignIn
from app.background import Tick
from app.download_record import DownloadRecord
from app.downloads import download_routes
from app.gateway import Gateway, TransportLimits
from app.graphql_http import GraphQLFirst, graphql_routes
from app.graphql_ws import socket_routes
from app.health import Readiness, health_routes, metrics_routes
from app.measures import Measures
from app.origin import origin_middleware
from app.telemetry import Observer, RequestTelemetry
from app.uploads import upload_routes
from app.web import web_routes
from db.feed.nats_bus import NatsBus
from db.feed.postgres_bus import PostgresBus
from db.jobs import (
    abandoned,
    answered,
    checkpoints,
    compaction,
    completion,
    purge,
    records,
    retention,
    stalled,
    sweep,
)
from db.jobs.queue import Queue, Work
from graphql_schema import schema
from graphql_schema.documents import Documents
from graphql_schema.limits import DocumentLimits

if TYPE_CHECKING:
    from app.settings import Settings
    from db.engine import Database
    from db.feed.bus import Bus

TICK: Final = 10.0
"""Seconds between two looks for work: how late a silent experiment may be marked."""

SLOW_TICK: Final = 600.0
"""The same for work that nobody waits for."""


def create_app(
    settings: Settings,
    database: Database,
    readiness: Readiness | None = None,
    bus: Bus | None = None,
    downloads: DownloadRecord | None = None,
) -> Starlette:
    """The whole application on an open database; `readiness` is for who wants to stop it gently.

    `bus` carries hints between processes in another way than the settings say; `downloads` is for who wants to write
    them into the audit trail at another moment.
    """
    numbers = Measures()
    readiness = readiness or Readiness(database)
    downloads = downloads or DownloadRecord(database)
    gateway = create_gateway(settings, database, numbers)
    files = [*upload_routes(gateway), *download_routes(gateway, downloads, proxies=settings.downloads == "proxy")]
    guarded = [*graphql_routes(gateway), *socket_routes(gateway), *files]
    numbered = metrics_routes(numbers, database, gateway.authenticate)
    routes = [*guarded, *numbered, *health_routes(readiness), *web_routes()]
    middleware = [  # The first stands outermost.
        Middleware(RequestTelemetry, numbers),
        *origin_middleware(hosts=(*settings.allowed_hosts, settings.host), cors_origins=settings.cors_origins),
        Middleware(GraphQLFirst, f"{settings.base_path}/graphql", gateway),
    ]
    queue = Queue(database, [*works(), *tidying(settings)])
    recording = Tick("record of downloads", downloads.write, download_record.SECONDS)
    ticks = [Tick("numbers", partial(numbers.sample, database), TICK), recording]

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with (
            blobs.available(settings, database),
            gateway.live.feed.connected(bus or bus_of(settings, database)),
            background.running(ticks, queue),
        ):
            yield
            await downloads.write(datetime.now(UTC))

    return Starlette(routes=_below(settings.base_path, routes, readiness), middleware=middleware, lifespan=lifespan)


def works() -> list[Work]:
    """What is done in the background whatever the settings."""
    return [
        Work("stalled experiments", stalled.find, stalled.mark, TICK),
        Work("checkpoint retention", checkpoints.find, checkpoints.drop, SLOW_TICK / 10),
        Work("compaction", compaction.find, compaction.do, TICK),
        Work("completion of uploads", completion.find, completion.do, TICK),
        Work("raw metrics", retention.find, retention.roll_up, SLOW_TICK),
        Work("kept answers", answered.find, answered.forget, SLOW_TICK),
        Work("job records", records.find, records.forget, SLOW_TICK),
    ]


def tidying(settings: Settings) -> list[Work]:
    """What keeps the store of files tidy."""
    grace = timedelta(hours=settings.blob_grace_hours)
    ages = purge.Ages(deleted=timedelta(days=settings.deleted_files_days), retired=grace)
    return [
        Work("forgetting files", partial(purge.find, ages=ages), partial(purge.forget, ages=ages), SLOW_TICK),
        Work("abandoned uploads", abandoned.find, abandoned.do, SLOW_TICK),
        Work("unreferenced blobs", sweep.find, partial(sweep.do, grace=grace), 6 * SLOW_TICK),
    ]


def bus_of(settings: Settings, database: Database) -> Bus:
    """How processes hear of each other's commits."""
    return NatsBus(settings.nats_url.get_secret_value()) if settings.nats_url else PostgresBus(database)


def create_gateway(settings: Settings, database: Database, numbers: Measures) -> Gateway:
    """What both GraphQL transports share."""
    is_open = settings.auth == "auto" and settings.exposed is None
    sign_in = SignIn(database, open_to_local_user=is_open)
    return Gateway(
        database=database,
        documents=Documents(schema.graphql_schema, schema.registry, document_limits(settings)),
        authenticate=sign_in,
        still_valid=sign_in.still_valid,
        limits=transport_limits(settings),
        observe=Observer(numbers).operation,
        count_sockets=numbers.sockets,
        count_subscriptions=numbers.subscriptions,
    )


def document_limits(settings: Settings) -> DocumentLimits:
    """How large a GraphQL document may be."""
    return DocumentLimits(
        query_bytes=settings.max_query_bytes,
        tokens=settings.max_tokens,
        depth=settings.max_depth,
        aliases=settings.max_aliases,
        root_fields=settings.max_root_fields,
        directives=settings.max_directives,
    )


def transport_limits(settings: Settings) -> TransportLimits:
    """What a request and a socket may ask."""
    return TransportLimits(
        body_bytes=settings.max_body_bytes,
        frame_bytes=settings.max_body_bytes,
        execution_seconds=settings.request_timeout,
        operations=settings.max_socket_operations,
        messages_per_second=settings.max_socket_messages,
        socket_seconds=settings.socket_lifetime,
    )


def _below(base_path: str, routes: list[BaseRoute], readiness: Readiness) -> list[BaseRoute]:
    """Everything below the base path; health at the root, too, where probes look for it."""
    if not base_path:
        return routes
    return [Mount(base_path, routes=routes), *health_routes(readiness)]
