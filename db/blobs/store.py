"""The seam between files and where they lie: a folder, or a bucket.

A store keeps bytes by keys that are made here, of ids and digests, never of anything that a client wrote. It does not
judge them: that bytes are what their digest says is found out in `db.blobs.verification` and `db.blobs.verified`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, TypeAlias
from uuid import UUID

_KEY: Final = re.compile(r"([0-9a-f]{32})/([0-9a-f]{2})/(\2[0-9a-f]{62})\.([0-9a-f]{32})")

CHUNK: Final = 1 << 20
"""The most bytes that are read, hashed or passed on at a time."""

PIECES: Final = 512
"""The most pieces in which they are written: fewer than any system takes at once."""


class Digest(Protocol):
    """A hash that takes bytes, as those of hashlib."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more of them."""
        ...


Source: TypeAlias = Callable[[memoryview], int]
"""Fills memory with the next bytes, in a thread that is not the loop's; how many they were, 0 if there are none now."""


class Missing(Exception):
    """The store has no such bytes."""


class Refused(Exception):
    """The store did not take the bytes as they are: a part is missing there, or is another one."""


@dataclass(frozen=True)
class Key:
    """Where bytes lie: in their tenant's place, by their SHA-256 and an id that is used once."""

    tenant_id: UUID
    digest: str
    """64 hex digits."""

    id: UUID

    @property
    def path(self) -> str:
        """The key as text: three parts, of digits and a dot."""
        return f"{self.tenant_id.hex}/{self.digest[:2]}/{self.digest}.{self.id.hex}"

    @classmethod
    def parse(cls, path: str) -> Key | None:
        """The key of a path that one has made; None for any other."""
        found = _KEY.fullmatch(path)
        return cls(UUID(found[1]), found[3], UUID(found[4])) if found else None


@dataclass(frozen=True)
class Part:
    """A stretch of a file that is sent by itself."""

    number: int
    offset: int
    size: int
    digest: bytes
    """SHA-256, 32 bytes."""


@dataclass(frozen=True)
class Parts:
    """A file as a sequence of parts of one size, but for the last. A file without bytes has none."""

    size: int
    part_size: int
    digests: bytes
    """32 for each part, one after the other."""

    def __len__(self) -> int:
        return (self.size + self.part_size - 1) // self.part_size

    def __iter__(self) -> Iterator[Part]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, number: int) -> Part:
        if not 0 <= number < len(self):
            raise IndexError(number)
        offset = number * self.part_size
        digest = self.digests[32 * number : 32 * number + 32]
        return Part(number, offset, min(self.part_size, self.size - offset), digest)


@dataclass(frozen=True)
class Session:
    """A file on its way into the store. `token` is the store's own name of it, if it gives one."""

    key: Key
    parts: Parts
    token: str | None = None


@dataclass(frozen=True)
class Address:
    """Where a client sends a part by itself, by PUT with these headers, until then."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Stored:
    """What the store has under a key."""

    key: Key
    size: int
    modified_at: datetime


class BlobStore(Protocol):
    """What every store can do. What cannot be done now raises StoreUnavailable, and can be tried again."""

    is_direct: bool
    """Whether clients send their bytes to the store itself, by addresses that it gives; else to us, by `write`."""

    async def open(self, session: Session) -> str | None:
        """Make ready for a file; the session's token. Called again for one that has a token, it does nothing."""
        ...

    async def addresses(self, session: Session, numbers: Sequence[int]) -> list[Address]:
        """Where these parts are sent; of a direct store."""
        ...

    async def received(self, session: Session) -> set[int]:
        """Numbers of the parts that the store has, of a direct store. Those of the wrong size do not count."""
        ...

    async def write(self, session: Session, offset: int, pieces: Sequence[bytes], digest: Digest | None = None) -> None:
        """Put bytes at their place, one piece after the other; of a store that is not direct.

        At most PIECES of them. Not durable before `close`. `digest` takes the same bytes.
        """
        ...

    async def receive(self, session: Session, offset: int, size: int, source: Source, digest: Digest) -> int:
        """Put up to so many bytes of a source at their place and hash them; of a store that is not direct.

        Returns how many they were: fewer when the source has none left at the moment. What the source raises goes
        through.
        """
        ...

    async def close(self, session: Session) -> None:
        """Make the file whole and durable under its key. Done again, it changes nothing.

        Raises:
            Refused: parts are missing, or not as they were announced.
        """
        ...

    async def reopen(self, session: Session) -> None:
        """Take parts again for a file that was closed and found wrong; of a store that is not direct."""
        ...

    def read(self, key: Key, offset: int, size: int, digest: Digest | None = None) -> AsyncGenerator[bytes]:
        """So many bytes, in pieces of at most CHUNK. Once there are no more, `digest` has taken all of them.

        Raises:
            Missing: there is nothing under the key, or it is shorter.
        """
        ...

    async def stat(self, key: Key) -> Stored | None:
        """What lies there; None if nothing does."""
        ...

    async def remove(self, key: Key, token: str | None = None) -> None:
        """Remove the bytes, and a session that was not closed. What is not there is no fault."""
        ...

    def keys(self) -> AsyncIterator[Stored]:
        """Everything that lies in the store, open sessions' files too."""
        ...

    async def link(self, key: Key, *, media_type: str, disposition: str) -> str | None:
        """An address where anybody can read them for a minute, with these headers; None if they pass through us."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...
