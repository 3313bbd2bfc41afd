"""Which addresses are this machine's own, and how settings write paths and networks."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~-]+")


def is_loopback(host: str) -> bool:
    """Whether only this machine can mean itself by `host`: a name or an address, no port."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def is_loopback_origin(origin: str) -> bool:
    """Whether a web origin, such as `http://localhost:3000`, is on this machine."""
    return is_loopback(urlsplit(origin).hostname or "")


def base_path(value: str) -> str:
    """`value` as `/one/two`, or empty for the root. Raises ValueError if it is no plain path."""
    segments = [segment for segment in value.split("/") if segment]
    if any(segment in (".", "..") or not _SEGMENT.fullmatch(segment) for segment in segments):
        raise ValueError("it must be a plain path such as /modelbox, of letters, digits and . _ ~ -")
    return "".join(f"/{segment}" for segment in segments)


def networks(values: tuple[str, ...]) -> tuple[str, ...]:
    """The values, each an IP address or network. Raises ValueError naming the first that is neither."""
    for value in values:
        try:
            ip_network(value)
        except ValueError:
            raise ValueError(f"{value} is no IP address or network such as 10.0.0.0/8") from None
    return values
