"""Blobs in a folder: a file each, below its tenant's folder, under a name made of its digest and its id.

Bytes are written under their last name at once. Nobody reads them before a row of `blob` says that they are all there
and right; what never gets that far is removed with its upload.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from db.blobs.store import CHUNK, Address, Digest, Key, Missing, Refused, Session, Source, Stored
from db.errors import StoreUnavailable

log = structlog.get_logger("modelbox.blobs")

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NO_ROOM: Final = "The store of files is full. Nothing was lost; its operator must make room."
DRAFT: Final = ".part"
BUFFER: Final = 1 << 18
"""What a thread receives at a time: so much stays in the processor's cache while it is written and hashed."""

LISTED: Final = 1_000
"""Files that a listing looks at before it lets others go on."""


class DiskStore:
    """A `BlobStore` whose bytes pass through the server."""

    is_direct = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._local = threading.local()

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

    def _draft(self, key: Key) -> Path:
        """Where bytes arrive: beside their place, which they take when they are all there."""
        return self._folder / f"{key.path}{DRAFT}"

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
        with self._draft_opened(key) as file:
            _write_all(file, pieces, offset)

    async def receive(self, session: Session, offset: int, size: int, source: Source, digest: Digest) -> int:
        """Take up to so many bytes from a source, in one thread: write and hash them while the processor has them."""
        with _named_errors():
            return await asyncio.to_thread(self._receive, session.key, offset, size, source, digest)

    def _receive(self, key: Key, offset: int, size: int, source: Source, digest: Digest) -> int:
        memory, done = self._memory(), 0
        with self._draft_opened(key) as file:
            while done < size and (count := source(memory[: size - done])):
                _write_all(file, (memory[:count],), offset + done)
                digest.update(memory[:count])
                done += count
        return done

    def _memory(self) -> memoryview:
        """This thread's own."""
        if not hasattr(self._local, "memory"):
            self._local.memory = memoryview(bytearray(BUFFER))
        found: memoryview = self._local.memory
        return found

    @contextlib.contextmanager
    def _opened(self, path: Path, flags: int) -> Iterator[int]:
        file = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            yield file
        finally:
            os.close(file)

    @contextlib.contextmanager
    def _draft_opened(self, key: Key) -> Iterator[int]:
        """The draft, to write into, which nobody makes whole meanwhile.

        Raises:
            Refused: it was made whole before: what comes late must not change bytes that were looked through.
        """
        if self._place(key).exists():
            raise Refused("the file is whole")
        flags = os.O_WRONLY | os.O_CREAT
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(self._opened(self._draft(key), flags))
            except FileNotFoundError:  # Its folder is not there.
                self._make_folder(key)
                file = stack.enter_context(self._opened(self._draft(key), flags))
            fcntl.flock(file, fcntl.LOCK_SH)
            if not _is_still(file, self._draft(key)):
                raise Refused("the file was made whole while the part was sent")
            yield file

    async def close(self, session: Session) -> None:
        """Have the disk keep the file, and give it its name: from then on nothing is written into it.

        Raises:
            Refused: it is not as long as it should be.
        """
        with _named_errors():
            await asyncio.to_thread(self._close, session)

    def _close(self, session: Session) -> None:
        place, draft, size = self._place(session.key), self._draft(session.key), session.parts.size
        if place.exists():
            return
        try:
            if not size:
                self._write(session.key, 0, ())
            with self._opened(draft, os.O_RDWR) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                found = os.fstat(file).st_size
                if found != size:
                    raise Refused(f"{found} bytes are there, of {size}")
                os.fsync(file)
                draft.rename(place)
        except FileNotFoundError as error:
            if not place.exists():  # Else another process was faster.
                raise Refused("nothing is there") from error
        _keep_names(place.parent)

    async def reopen(self, session: Session) -> None:
        """Make a draft of a file again whose bytes were found wrong before anybody had it."""
        with _named_errors(), contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(self._place(session.key).rename, self._draft(session.key))

    async def read(self, key: Key, offset: int, size: int, digest: Digest | None = None) -> AsyncGenerator[bytes]:
        """So many bytes, in pieces of at most CHUNK, each read and hashed in one thread.

        Raises:
            Missing: there is no such file, or it is shorter.
        """
        if not size and await self.stat(key) is None:
            raise Missing(key.path)
        loop, end = asyncio.get_running_loop(), offset + size
        while offset < end:
            wanted = min(CHUNK, end - offset)
            with _named_errors():
                piece = await loop.run_in_executor(None, self._read, key, offset, wanted, digest)
            yield piece
            offset += len(piece)

    def _read(self, key: Key, offset: int, size: int, digest: Digest | None) -> bytes:
        """One piece. To open the file again for each costs little, and leaves nothing open when its reader leaves."""
        try:
            with self._opened(self._place(key), os.O_RDONLY) as file:
                piece = os.pread(file, size, offset)
        except FileNotFoundError as error:
            raise Missing(key.path) from error
        if not piece:
            raise Missing(key.path)
        if digest is not None:
            digest.update(piece)
        return piece

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
            for path in (self._draft(key), self._place(key)):
                await asyncio.to_thread(path.unlink, missing_ok=True)

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
                    key = Key.parse(f"{tenant.name}/{shelf.name}/{entry.name}".removesuffix(DRAFT))
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


def _is_still(file: int, path: Path) -> bool:
    """Whether an open file is the one that has this name."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _write_all(file: int, pieces: Sequence[bytes | memoryview], offset: int) -> None:
    written = os.pwritev(file, pieces, offset) if pieces else 0
    if written < sum(map(len, pieces)):  # As when the disk is nearly full.
        rest = memoryview(b"".join(pieces))[written:]
        while rest:
            offset, written = offset + written, os.pwrite(file, rest, offset + written)
            rest = rest[written:]


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
