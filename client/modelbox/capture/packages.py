"""What is installed. Read by another process: hundreds of files take longer than a training should wait."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Final

MOST: Final = 5_000
_SEPARATORS: Final = re.compile(r"[-_.]+")


def installed(path: list[str]) -> dict[str, str]:
    """Versions by name, of what can be imported from the folders; of two of a name, the one that is."""
    found: dict[str, str] = {}
    for each in metadata.distributions(path=path):
        name, version = _named(each)
        if name and len(found) < MOST:
            found.setdefault(_SEPARATORS.sub("-", name).lower(), version)
    return dict(sorted(found.items()))


def _named(distribution: metadata.Distribution) -> tuple[str, str]:
    """Name and version, without reading the long description behind them."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    pairs = [line.partition(": ") for line in text.partition("\n\n")[0].splitlines()]
    heads = {name.lower(): value.strip() for name, _, value in reversed(pairs)}
    return heads.get("name", ""), heads.get("version", "")
