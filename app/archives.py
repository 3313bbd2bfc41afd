"""All files of an artifact as one stream, a tar or a zip, made while it is sent; every byte verified on its way.

The files are packed as they are: weights do not shrink, and a stream that is only copied costs nothing.
"""

from __future__ import annotations

import contextlib
import tarfile
import zipfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from app import content
from db.blobs import verified
from db.blobs.files import StoredFile
from db.blobs.store import CHUNK, BlobStore
from db.errors import NotFound

FORMATS: Final = {"tar": "application/x-tar", "zip": "application/zip"}
OLDEST_ZIP: Final = 1980
"""The first year that a zip can tell."""


@dataclass(frozen=True)
class Archive:
    """An artifact's files as an archive."""

    format: str
    name: str
    store: BlobStore
    files: Sequence[StoredFile]

    @classmethod
    def of(cls, format_: str, store: BlobStore, name: str, files: Sequence[StoredFile]) -> Archive:
        """The archive of that format.

        Raises:
            NotFound: there are none of it.
        """
        if format_ not in FORMATS:
            raise NotFound
        return cls(format_, name, store, files)

    def headers(self) -> dict[str, str]:
        """What it is called. How long it is nobody knows before a zip is made."""
        length = {"Content-Length": str(self._tar_size())} if self.format == "tar" else {}
        file_name = content.disposition("attachment", f"{self.name}.{self.format}")
        return {"Content-Type": FORMATS[self.format], "Content-Disposition": file_name, **length}

    def pieces(self) -> AsyncGenerator[bytes]:
        """Its bytes.

        Raises:
            Damaged, Missing, StoreUnavailable: a file cannot be read, or is not what it was.
        """
        return self._gathered(self._tar() if self.format == "tar" else self._zip())

    @staticmethod
    async def _gathered(pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """The same in pieces of some size: ten thousand small files are not twenty thousand small sends."""
        waiting: list[bytes] = []
        size = 0
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                waiting.append(piece)
                size += len(piece)
                if size >= CHUNK:
                    yield b"".join(waiting)
                    waiting, size = [], 0
        if waiting:
            yield b"".join(waiting)

    def _content(self, file: StoredFile) -> contextlib.aclosing[AsyncGenerator[bytes]]:
        return contextlib.aclosing(verified.read(self.store, file.key, file.parts))

    # --- tar (POSIX.1-2001) ---

    async def _tar(self) -> AsyncGenerator[bytes]:
        for file in self.files:
            yield _tar_header(file)
            async with self._content(file) as pieces:
                async for piece in pieces:
                    yield piece
            yield bytes(-file.parts.size % tarfile.BLOCKSIZE)
        yield bytes(2 * tarfile.BLOCKSIZE)

    def _tar_size(self) -> int:
        block = tarfile.BLOCKSIZE
        return 2 * block + sum(
            len(_tar_header(file)) + file.parts.size + -file.parts.size % block for file in self.files
        )

    # --- zip ---

    async def _zip(self) -> AsyncGenerator[bytes]:
        """Written by the standard library into a sink that cannot go back, so that sums follow the bytes."""
        sink = _Sink()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:  # type: ignore[call-overload]
            for file in self.files:
                with archive.open(_zip_entry(file), "w", force_zip64=file.parts.size >= zipfile.ZIP64_LIMIT) as entry:
                    async with self._content(file) as pieces:
                        async for piece in pieces:
                            entry.write(piece)
                            yield sink.taken()
                yield sink.taken()
        yield sink.taken()


def _tar_header(file: StoredFile) -> bytes:
    """The header of a file, with a longer one before it where its name or size needs that."""
    entry = tarfile.TarInfo(file.path)
    entry.size, entry.mtime, entry.mode = file.parts.size, int(file.created_at.timestamp()), 0o644
    return entry.tobuf(tarfile.PAX_FORMAT)


def _zip_entry(file: StoredFile) -> zipfile.ZipInfo:
    at = file.created_at
    moment = (max(at.year, OLDEST_ZIP), at.month, at.day, at.hour, at.minute, at.second)
    entry = zipfile.ZipInfo(file.path, moment)
    entry.file_size, entry.external_attr = file.parts.size, 0o644 << 16
    return entry


class _Sink:
    """What a zip is written into: keeps what was written until it is taken, and cannot seek."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._place = 0

    def write(self, piece: bytes) -> int:
        """Keep it."""
        self._pieces.append(bytes(piece))
        self._place += len(piece)
        return len(piece)

    def flush(self) -> None:
        """Nothing waits."""

    def taken(self) -> bytes:
        """All that was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
