"""A frame: one result of a subscription, as every transport sends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole result as finished JSON, and the cursor behind it, which is also in the JSON where that asks for it."""

    json: bytes
    cursor: str
