"""Blobs in a folder: a file each, below its tenant's folder, under a name made of its digest and its id.

Bytes are written under their last name at once. Nobody reads them before a row of `blob` says that they are all there
and right; what never gets that far is removed with its upload.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from db.blobs.store import CHUNK, Address, Digest, Key, Missing, Refused, Session, Stored
from db.errors import StoreUnavailable

log = structlog.get_logger("modelbox.blobs")

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NO_ROOM: Final = "The store of files is full. Nothing was lost; its operator must make room."
LISTED: Final = 1_000
"""Files that a listing looks at before it lets others go on."""


class DiskStore:
    """A `BlobStore` whose bytes pass through the server."""

    is_direct = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def open(self, session: Session) -> str | None:
        """Make the folder for the file."""
        with _named_errors():
            await asyncio.to_thread(self._make_folder, session.key)
        return None

    def _make_folder(self, key: Key) -> None:
        shelf = self._place(key).parent
        for folder in (shelf.parent, shelf):
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                _keep_names(folder.parent)

    def _place(self, key: Key) -> Path:
        return self._folder / key.path

    async def addresses(self, session: Session, numbers: Sequence[int]) -> list[Address]:
        """None: bytes pass through the server."""
        raise NotImplementedError("a folder has no addresses of its own")

    async def received(self, session: Session) -> set[int]:
        """None: who writes the parts knows which are there."""
        raise NotImplementedError("a folder does not know parts")

    async def write(self, session: Session, offset: int, pieces: Sequence[bytes], digest: Digest | None = None) -> None:
        """Put bytes at their place and hash them, in one thread: to hand them to another would take as long."""
        with _named_errors():
            await asyncio.to_thread(self._write_and_hash, session.key, offset, pieces, digest)

    def _write_and_hash(self, key: Key, offset: int, pieces: Sequence[bytes], digest: Digest | None) -> None:
        self._write(key, offset, pieces)
        if digest is not None:
            for piece in pieces:
                digest.update(piece)

    def _write(self, key: Key, offset: int, pieces: Sequence[bytes]) -> None:
        with self._opened_or_made(key) as file:
            written = os.pwritev(file, pieces, offset) if pieces else 0
            if written < sum(map(len, pieces)):  # As when the disk is nearly full.
                rest = memoryview(b"".join(pieces))[written:]
                while rest:
                    offset, written = offset + written, os.pwrite(file, rest, offset + written)
                    rest = rest[written:]

    @contextlib.contextmanager
    def _opened(self, key: Key, flags: int) -> Iterator[int]:
        file = os.open(self._place(key), flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            yield file
        finally:
            os.close(file)

    @contextlib.contextmanager
    def _opened_or_made(self, key: Key) -> Iterator[int]:
        flags = os.O_WRONLY | os.O_CREAT
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(self._opened(key, flags))
            except FileNotFoundError:  # Its folder is not there.
                self._make_folder(key)
                file = stack.enter_context(self._opened(key, flags))
            yield file

    async def close(self, session: Session) -> None:
        """Have the disk keep the file and its name.

        Raises:
            Refused: it is not as long as it should be.
        """
        with _named_errors():
            await asyncio.to_thread(self._close, session)

    def _close(self, session: Session) -> None:
        size = session.parts.size
        try:
            if not size:
                self._write(session.key, 0, ())
            with self._opened(session.key, os.O_RDWR) as file:
                found = os.fstat(file).st_size
                if found != size:
                    raise Refused(f"{found} bytes are there, of {size}")
                os.fsync(file)
        except FileNotFoundError as error:
            raise Refused("nothing is there") from error
        _keep_names(self._place(session.key).parent)

    async def read(self, key: Key, offset: int, size: int) -> AsyncIterator[bytes]:
        """So many bytes, in pieces of at most CHUNK.

        Raises:
            Missing: there is no such file, or it is shorter.
        """
        with _named_errors(), contextlib.ExitStack() as stack:
            try:
                file = await asyncio.to_thread(stack.enter_context, self._opened(key, os.O_RDONLY))
            except FileNotFoundError as error:
                raise Missing(key.path) from error
            end = offset + size
            while offset < end:
                piece = await asyncio.to_thread(os.pread, file, min(CHUNK, end - offset), offset)
                if not piece:
                    raise Missing(key.path)
                yield piece
                offset += len(piece)

    async def stat(self, key: Key) -> Stored | None:
        """What lies there; None if nothing does."""
        try:
            with _named_errors():
                found = await asyncio.to_thread(os.stat, self._place(key))
        except FileNotFoundError:
            return None
        return Stored(key, found.st_size, _moment(found))

    async def remove(self, key: Key, token: str | None = None) -> None:
        """Remove the file, if it is there."""
        del token
        with _named_errors():
            await asyncio.to_thread(self._place(key).unlink, missing_ok=True)

    async def keys(self) -> AsyncIterator[Stored]:
        """Every file whose name is a key."""
        found = self._walk()
        with _named_errors():
            while batch := await asyncio.to_thread(lambda: list(islice(found, LISTED))):
                for stored in batch:
                    yield stored

    def _walk(self) -> Iterator[Stored]:
        for tenant in _entries(self._folder):
            for shelf in _entries(tenant.path):
                for entry in _entries(shelf.path):
                    key = Key.parse(f"{tenant.name}/{shelf.name}/{entry.name}")
                    with contextlib.suppress(FileNotFoundError):  # Removed a moment ago.
                        if key and entry.is_file(follow_symlinks=False):
                            found = entry.stat(follow_symlinks=False)
                            yield Stored(key, found.st_size, _moment(found))

    async def link(self, key: Key, *, media_type: str, disposition: str) -> str | None:
        """None: bytes pass through the server."""
        del key, media_type, disposition
        return None

    async def aclose(self) -> None:
        """Nothing is kept open."""


def _keep_names(folder: Path) -> None:
    """Have the disk keep which files are in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, by name; nothing when it is none."""
    try:
        with os.scandir(folder) as found:
            yield from sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return


def _moment(found: os.stat_result) -> datetime:
    return datetime.fromtimestamp(found.st_mtime, UTC)


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    """Raises StoreUnavailable for what the disk cannot do now; that a file is not there is for the caller to judge."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        log.exception("the folder of blobs fails")
        raise StoreUnavailable(NO_ROOM if error.errno in FULL else "") from error


def open_disk(folder: Path) -> DiskStore:
    """The store in a folder, which is made if need be.

    Raises:
        StoreUnavailable: it cannot be.
    """
    with _named_errors():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return DiskStore(folder)
