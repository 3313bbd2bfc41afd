"""The store of files that the settings name, open for as long as it is needed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from db.blobs.disk import open_disk
from db.blobs.s3 import open_s3

if TYPE_CHECKING:
    from app.settings import Settings
    from db.blobs.store import BlobStore
    from db.engine import Database


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[BlobStore]:
    """The store.

    Raises:
        StoreUnavailable: its folder cannot be made.
    """
    store = await _opened(settings)
    try:
        yield store
    finally:
        await store.aclose()


async def _opened(settings: Settings) -> BlobStore:
    parts = urlsplit(settings.blob_url or "")
    if parts.scheme != "s3":
        return open_disk(settings.blob_folder)
    return await open_s3(
        parts.netloc,
        parts.path,
        endpoint_url=settings.s3_endpoint_url,
        public_endpoint_url=settings.s3_public_endpoint_url,
        region=settings.s3_region,
    )


@contextlib.asynccontextmanager
async def available(settings: Settings, database: Database) -> AsyncIterator[None]:
    """The store, as that of the database, unless it has one."""
    if database.blobs is not None:
        yield
        return
    async with opened(settings) as store:
        database.blobs = store
        try:
            yield
        finally:
            database.blobs = None
