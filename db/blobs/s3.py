"""The door to blobs in a bucket of S3, or of what speaks its protocol.

What is behind it is heavy, and is imported by who has a bucket and nobody else: half a second, and some forty MB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from db.blobs.s3_store import S3Store


@dataclass(frozen=True)
class Limits:
    """How long S3 is waited for, and how many calls of ours it has at a time."""

    connect_seconds: float = 5.0
    read_seconds: float = 20.0
    """Until the next bytes of an answer."""

    call_seconds: float = 300.0
    """For a call with all its attempts. S3 may need minutes to join ten thousand parts."""

    attempts: int = 3
    calls: int = 32
    """Calls under way at a time, beside reads."""

    reads: int = 64
    """Reads under way at a time. One ends when its reader has read it, which may be slow."""

    wait_seconds: float = 10.0
    """How long one more call, or read, waits for its turn."""

    address_seconds: int = 3_600
    """How long a client may send bytes to an address."""


@dataclass(frozen=True)
class Bucket:
    """Where blobs lie. All keys begin with `prefix`, and what else the bucket holds is left alone."""

    name: str
    prefix: str = ""
    endpoint_url: str | None = None
    """None is AWS."""

    public_endpoint_url: str | None = None
    """The name by which clients reach the endpoint, if it is another."""

    region: str | None = None

    @property
    def root(self) -> str:
        """What every key begins with: nothing, or folders that end with a slash."""
        folders = self.prefix.strip("/")
        return f"{folders}/" if folders else ""


async def open_s3(
    bucket: str,
    prefix: str,
    *,
    endpoint_url: str | None = None,
    public_endpoint_url: str | None = None,
    region: str | None = None,
    limits: Limits | None = None,
) -> S3Store:
    """The store in a bucket. Nothing is asked of S3 yet, so that a server starts while S3 is away.

    Credentials are found where AWS has them: in variables, in files, from the machine.
    """
    from db.blobs import s3_store  # noqa: PLC0415 - heavy, see above

    return await s3_store.opened(
        Bucket(bucket, prefix, endpoint_url, public_endpoint_url, region), limits=limits or Limits()
    )
