"""How stored files are labelled when they go out, so that no browser runs one."""

from __future__ import annotations

from base64 import b64encode
from typing import Final
from urllib.parse import quote

# Nothing here is a document that a browser would run a script of. SVG, HTML, XML and PDF are none of them.
SAFE: Final = frozenset({
    "application/gzip", "application/json", "application/octet-stream", "application/x-tar", "application/zip",
    "application/vnd.apache.parquet", "audio/flac", "audio/mpeg", "audio/ogg", "audio/wav", "audio/webm", "image/avif",
    "image/bmp", "image/gif", "image/jpeg", "image/png", "image/tiff", "image/webp", "text/csv", "text/plain",
    "video/mp4", "video/ogg", "video/webm",
})  # fmt: skip
SHOWN: Final = frozenset({
    "audio/flac", "audio/mpeg", "audio/ogg", "audio/wav", "audio/webm", "image/avif", "image/bmp", "image/gif",
    "image/jpeg", "image/png", "image/webp", "video/mp4", "video/ogg", "video/webm",
})  # fmt: skip
"""Types that a preview shows as they are."""

READABLE: Final = frozenset({"application/json", "application/x-ndjson", "application/yaml", "application/toml"})
"""Types beside `text/…` that a preview shows as plain text."""

UNKNOWN: Final = "application/octet-stream"
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src 'self'; media-src 'self'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
"""Of everything that came from a user."""


def essence(media_type: str | None) -> str:
    """A media type without its parameters."""
    return (media_type or UNKNOWN).partition(";")[0].strip().lower()


def sent_as(media_type: str | None) -> str:
    """The type that a download has."""
    found = essence(media_type)
    return found if found in SAFE else UNKNOWN


def shown_as(media_type: str | None) -> str | None:
    """The type in which a preview is shown; None for what is only downloaded."""
    found = essence(media_type)
    if found.startswith("text/") or found in READABLE:
        return "text/plain; charset=utf-8"
    return found if found in SHOWN else None


def disposition(kind: str, name: str) -> str:
    """`Content-Disposition` for a file of any name (RFC 6266): ASCII for old readers, UTF-8 for all others."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def digest_field(digest: str) -> str:
    """The value of `Content-Digest` and `Repr-Digest` (RFC 9530) for a SHA-256 in hex."""
    return f"sha-256=:{b64encode(bytes.fromhex(digest)).decode()}:"
