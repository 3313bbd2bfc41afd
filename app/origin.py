"""Who may talk to the server from a browser: the names in `Host` and the pages in `Origin`.

Without this, any web page that a person visits is admin of the server on their laptop: directly,
since a socket knows no same-origin policy and a form needs no permission, or by a name of its own
that it lets point to 127.0.0.1. Both checks stand before every route and every transport.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import orjson
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

LOOPBACK: Final = ("localhost", "*.localhost")
FETCH_METADATA: Final = (b"sec-fetch-site", b"sec-fetch-mode")
MAX_REMEMBERED: Final = 300
"""Characters of Host and Origin whose judgement is kept."""

DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def origin_middleware(*, hosts: Collection[str], cors_origins: Collection[str]) -> list[Middleware]:
    """The checks, to stand outermost, and the CORS answers for the pages that may call.

    `hosts` are names besides the loopback ones; `*.example.com` stands for all names below. Plain
    IP addresses are always right: a name is what an attacker can point at somebody else's machine.

    Raises ValueError for a CORS origin that is not `scheme://host[:port]`.
    """
    origins = [canonical_origin(origin) for origin in cors_origins]
    guard = Middleware(OriginGuard, hosts=hosts, cors_origins=origins)
    if not origins:
        return [guard]
    answers = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "HEAD", "POST", "PUT"],
        allow_headers=["Authorization", "Content-Type", "Content-Encoding", "Last-Event-ID", "X-Request-ID"],
        expose_headers=["Content-Digest", "Content-Range", "ETag", "Repr-Digest", "Retry-After", "X-Request-ID"],
    )
    return [guard, answers]


def canonical_origin(text: str) -> str:
    """An origin as browsers write it: lower case, no path, no default port."""
    found = _origin(text.strip().rstrip("/").lower())
    if found is None:
        raise ValueError(f"{text!r} is no origin; write it like https://ui.example.com")
    return found


def _origin(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    name = parts.hostname
    if parts.scheme not in DEFAULT_PORTS or not name or "*" in name:
        return None
    whole = f"{parts.scheme}://{_with_port(name, port, parts.scheme)}"
    # Nothing more may stand there than what was understood, but for a default port.
    return whole if text in (whole, f"{whole}:{DEFAULT_PORTS[parts.scheme]}") else None


class OriginGuard:
    """Refuses what comes to a name that is not ours, or from a page that is neither ours nor listed."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], cors_origins: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower().rstrip(".") for host in (*LOOPBACK, *hosts))
        self._origins = frozenset(cors_origins)
        self._remembered = lru_cache(maxsize=1_000)(self._judged)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 403."""
        refusal = self._refusal(scope["headers"]) if scope["type"] != "lifespan" else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(code=4403, reason=refusal[:120])(scope, receive, send)
        else:
            await _forbidden(refusal)(scope, receive, send)

    def _refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        hosts, origins, fetch = [], [], {}
        for name, value in headers:
            if name == b"host":
                hosts.append(value)
            elif name == b"origin":
                origins.append(value)
            elif name in FETCH_METADATA:
                fetch[name] = value
        if len(hosts) != 1 or len(origins) > 1:
            return "The request needs one Host header, and at most one Origin."
        # An image or a script of a foreign page sends no Origin, but says where it comes from.
        if (
            not origins
            and fetch.get(b"sec-fetch-site") == b"cross-site"
            and fetch.get(b"sec-fetch-mode") != b"navigate"
        ):
            return "A page of another origin may not load this."
        host, origin = hosts[0].decode("latin-1"), origins[0].decode("latin-1") if origins else None
        judge = self._remembered if len(host) + len(origin or "") < MAX_REMEMBERED else self._judged
        return judge(host, origin)

    def _judged(self, host: str, origin: str | None) -> str | None:
        name = _host_name(host)
        if name is None:
            return "The Host header is not valid."
        if not self._is_ours(name):
            return (
                "The name in the Host header is not one of this server's."
                " Add it to MODELBOX_ALLOWED_HOSTS if it should be."
            )
        if origin is not None and origin not in self._origins and not _is_same(origin, host):
            return (
                "A page of this origin may not call this server. Add the origin to MODELBOX_CORS_ORIGINS if it should."
            )
        return None

    def _is_ours(self, name: str) -> bool:
        if _is_address(name) or name in self._hosts or "*" in self._hosts:
            return True
        return any(f"*{name[dot:]}" in self._hosts for dot, sign in enumerate(name) if sign == ".")


def _is_same(origin: str, host: str) -> bool:
    """Whether a page of that origin was loaded from the host that it calls.

    The scheme is the page's: a proxy that ends TLS does not tell.
    """
    try:
        parts = urlsplit(origin)
        if parts.scheme not in DEFAULT_PORTS:
            return False
        page = _with_port(parts.hostname or "", parts.port, parts.scheme)
        called = urlsplit(f"//{host}")
        return page == _with_port(called.hostname or "", called.port, parts.scheme)
    except ValueError:
        return False


def _with_port(name: str, port: int | None, scheme: str) -> str:
    bracketed = f"[{name}]" if ":" in name else name
    return bracketed if port in (None, DEFAULT_PORTS.get(scheme)) else f"{bracketed}:{port}"


def _host_name(host: str) -> str | None:
    """The name in a Host header, without its port; None when it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.netloc != host or "@" in host:
        return None
    return parts.hostname.rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _forbidden(message: str) -> Response:
    error = {"message": message, "extensions": {"code": "FORBIDDEN"}}
    return Response(orjson.dumps({"errors": [error]}), status_code=403, media_type="application/json")
