"""The stream of an object's metrics: where its log calls take their numbers."""

from __future__ import annotations

from typing import Final
from uuid import UUID

_VERSION: Final = 0xF << 76
_CUSTOM: Final = 0x8 << 76


def stream_of(owner_id: UUID) -> UUID:
    """The id of an object's metric stream: its own as a UUID of version 8.

    It cannot be the object's id itself, by which a root namespace's changes are streamed.
    """
    return UUID(int=owner_id.int & ~_VERSION | _CUSTOM)


def lock_order(stream_id: UUID) -> tuple[bool, UUID]:
    """In which order a transaction takes numbers of several streams: those of metrics come first."""
    return stream_id.int & _VERSION != _CUSTOM, stream_id


def stream_sql(owner_id: str) -> str:
    """The same in SQL."""
    return f"overlay({owner_id}::text placing '8' from 15 for 1)::uuid"
