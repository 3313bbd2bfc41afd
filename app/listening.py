"""The sockets that the server listens on: taken before anything slow begins, shared by all workers."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import Final

SEND_BUFFER: Final = 65_536
"""Bytes of an answer that the kernel keeps: more would hide a reader that has stalled."""

UNREAD_SECONDS: Final = 60
"""How long the kernel tries to deliver what a peer does not take, when nobody else waits for it any more."""

UNAVAILABLE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class AddressRefused(Exception):
    """The address cannot be listened on."""


def take(host: str, port: int) -> list[socket.socket]:
    """A bound socket for each address of `host`, not listening yet. Raises AddressRefused."""
    taken: list[socket.socket] = []
    refused: OSError | None = None
    try:
        for family, address in _addresses(host):
            chosen = taken[0].getsockname()[1] if taken and not port else port
            try:
                taken.append(_bind(family, address, chosen))
            except OSError as error:
                refused = error
                if error.errno not in UNAVAILABLE:  # Such as ::1 where there is no IPv6.
                    raise
        if not taken and refused:
            raise refused
    except OSError as error:
        release(taken)
        raise AddressRefused(_sentence(host, port, error)) from error
    return taken


def release(sockets: list[socket.socket]) -> None:
    """Close the sockets."""
    for each in sockets:
        each.close()


def port_of(sockets: list[socket.socket]) -> int:
    """The port that was taken."""
    return int(sockets[0].getsockname()[1])


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _bind(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    taken = socket.socket(family, socket.SOCK_STREAM)
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(taken.close)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # Connections inherit it.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1_000 * UNREAD_SECONDS)
        if family == socket.AF_INET6:
            taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        taken.bind((address, port))
        on_failure.pop_all()
    return taken


def _sentence(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"Port {port} of {host} is in use. Stop what uses it, or choose another: "
                f"`modelbox-server serve --port {port + 1 if port < 65_535 else 8000}`."
            )
        case errno.EACCES:
            return (
                f"This user may not listen on port {port}. Choose one above 1023: `modelbox-server serve --port 8000`."
            )
        case _:
            return f"The server cannot listen on {host}: {error.strerror}. Check MODELBOX_HOST."
