"""Stored files, as they were stored or not at all: by `GET /files/…`, whole, in ranges, or by way of S3."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from app import content, ranges
from app.archives import Archive
from app.download_record import Download, DownloadRecord
from app.gateway import Gateway, address_of, bearer_token, request_id
from app.refusals import refusal
from db.access import Caller
from db.blobs import files, verified
from db.blobs.files import Owner, StoredFile
from db.blobs.store import BlobStore, Key, Missing
from db.blobs.uploading import store_of
from db.blobs.verified import Damaged
from db.errors import StoreUnavailable
from graphql_schema.errors import RequestError

log = structlog.get_logger("modelbox.downloads")

METHODS: Final = ["GET", "HEAD"]


def download_routes(gateway: Gateway, record: DownloadRecord, *, proxies: bool) -> list[BaseRoute]:
    """Where files and whole artifacts are read. With `proxies`, files in S3 come through the server, too."""
    files_app = _Files(gateway, record, proxies=proxies)
    archives = _Archives(gateway, record)
    return [
        Route("/files/{id}", files_app, methods=METHODS, name="file"),
        Route("/artifacts/{id}.{format}", archives, methods=METHODS, name="archive"),
    ]


@dataclass
class Sending:
    """The body of an answer on its way; `sent` counts what went out."""

    gateway: Gateway
    pieces: AsyncGenerator[bytes]
    sent: int = 0
    is_whole: bool = False

    async def send(self, send: Send) -> None:
        """Send it. Where a byte is wrong, the body breaks off, and its receiver sees that it does."""
        try:
            async with contextlib.aclosing(self.pieces):
                async for piece in self.pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    self.sent += len(piece)
        except (Damaged, Missing, StoreUnavailable) as error:
            await self._broken(error)
        else:
            self.is_whole = True
            await send({"type": "http.response.body", "body": b""})

    async def _broken(self, error: Exception) -> None:
        """Without its end, the server closes the connection: an answer that looks whole is never sent."""
        key = error.key if isinstance(error, Damaged) else Key.parse(str(error))
        log.error("a download broke off", reason=type(error).__name__, what=str(error), sent=self.sent)
        if key is not None and not isinstance(error, StoreUnavailable):
            await files.note_damage(self.gateway.database, key, datetime.now(UTC))


@dataclass
class _Files:
    """The application behind `/files/…`."""

    gateway: Gateway
    record: DownloadRecord
    proxies: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            exchange = await self._exchange(request)
            response = await exchange.response()
        except Exception as error:  # noqa: BLE001 - logged there, and masked
            await refusal(error, request_id(scope), content.HEADERS)(scope, receive, send)
            return
        if isinstance(response, Response):
            await response(scope, receive, send)
            return
        await exchange.serve(*response, send)

    async def _exchange(self, request: Request) -> _Exchange:
        database = self.gateway.database
        caller = await self.gateway.authenticate(bearer_token(request.headers))
        owner, file = await files.find_file(database, caller, request.path_params["id"])
        return _Exchange(self, request, caller, owner, file, store_of(database))


@dataclass
class _Exchange:
    """One request for a file that the caller may read."""

    app: _Files
    request: Request
    caller: Caller
    owner: Owner
    file: StoredFile
    store: BlobStore
    etag: str = field(init=False)

    def __post_init__(self) -> None:
        self.etag = f'"sha256-{self.file.key.digest}"'

    async def response(self) -> Response | tuple[int, dict[str, str], ranges.Span]:
        """A whole answer; or the begin of one: status, headers, and which bytes follow."""
        size, headers = self.file.parts.size, self._headers()
        if ranges.is_known(self.request.headers, self.etag, self.file.created_at):
            return Response(status_code=304, headers=headers)
        try:
            span = ranges.wanted(self.request.headers, size, self.etag, self.file.created_at)
        except ranges.Unsatisfiable:
            told = RequestError("RANGE_NOT_SATISFIABLE", f"The file has {size} bytes; the range begins behind them.")
            return refusal(told, request_id(self.request.scope), {"Content-Range": f"bytes */{size}"})
        if (address := await self._link()) is not None:
            return self._redirected(address, size if span is None else span.stop - span.start)
        if span is None:
            whole = {"Content-Digest": headers["Repr-Digest"], "Content-Length": str(size)}
            return 200, {**headers, **whole, **self._labels()}, ranges.Span(0, size)
        part = {"Content-Range": f"bytes {span.start}-{span.stop - 1}/{size}"}
        return 206, {**headers, **part, "Content-Length": str(span.stop - span.start), **self._labels()}, span

    def _headers(self) -> dict[str, str]:
        return {
            **content.HEADERS,
            "ETag": self.etag,
            "Last-Modified": format_datetime(self.file.created_at.astimezone(UTC), usegmt=True),
            "Accept-Ranges": "bytes",
            "Repr-Digest": content.digest_field(self.file.key.digest),
            # Nothing may keep it for others, or change it on the way.
            "Cache-Control": "private, no-cache, no-transform",
        }

    def _labels(self) -> dict[str, str]:
        """What it is called, and what a browser takes it for."""
        shown = content.shown_as(self.file.media_type) if "preview" in self.request.query_params else None
        kind = "attachment" if shown is None else "inline"
        return {
            "Content-Type": shown or content.sent_as(self.file.media_type),
            "Content-Disposition": content.disposition(kind, self.file.name),
        }

    def _redirected(self, address: str, byte_count: int) -> Response:
        self._note(byte_count, {"redirected": True})
        place = {"Location": address, "Cache-Control": "no-store"}
        return Response(status_code=307, headers={**content.HEADERS, **place})

    async def _link(self) -> str | None:
        """Where S3 has it. Not when it depends on an `ETag`, for S3 knows only its own."""
        if self.app.proxies or self.request.method == "HEAD" or "if-range" in self.request.headers:
            return None
        labels = self._labels()
        return await self.store.link(
            self.file.key, media_type=labels["Content-Type"], disposition=labels["Content-Disposition"]
        )

    async def serve(self, status: int, headers: Mapping[str, str], span: ranges.Span, send: Send) -> None:
        """Send the answer, and take note of what of it was sent."""
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        if self.request.method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        pieces = verified.read(self.store, self.file.key, self.file.parts, span.start, span.stop)
        sending = Sending(self.app.gateway, pieces)
        try:
            await sending.send(send)
        finally:
            self._note(sending.sent, {} if sending.is_whole else {"brokenOff": True})

    def _note(self, byte_count: int, also: Mapping[str, Any]) -> None:
        about = {"path": self.file.path, "digest": f"sha256:{self.file.key.digest}", **also}
        self.app.record.note(_download(self.request, self.caller, self.owner, about, byte_count))


def _download(request: Request, caller: Caller, owner: Owner, about: dict[str, Any], byte_count: int) -> Download:
    return Download(caller, owner, request_id(request.scope), address_of(request.scope), about, byte_count)


@dataclass
class _Archives:
    """The application behind `/artifacts/….tar` and `.zip`."""

    gateway: Gateway
    record: DownloadRecord

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            caller = await self.gateway.authenticate(bearer_token(request.headers))
            store = store_of(self.gateway.database)
            owner, stored = await files.find_artifact(self.gateway.database, caller, request.path_params["id"])
            archive = Archive.of(request.path_params["format"], store, owner.artifact_name, stored)
        except Exception as error:  # noqa: BLE001 - logged there, and masked
            await refusal(error, request_id(scope), content.HEADERS)(scope, receive, send)
            return
        await self._serve(request, caller, owner, archive, send)

    async def _serve(self, request: Request, caller: Caller, owner: Owner, archive: Archive, send: Send) -> None:
        headers = {**content.HEADERS, "Cache-Control": "private, no-store, no-transform", **archive.headers()}
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        if request.method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        sending = Sending(self.gateway, archive.pieces())
        try:
            await sending.send(send)
        finally:
            about = {"format": archive.format, "fileCount": len(archive.files)}
            also = {} if sending.is_whole else {"brokenOff": True}
            self.record.note(_download(request, caller, owner, {**about, **also}, sending.sent))
