"""Names of pieces of work that are about one object each, or about everything."""

from __future__ import annotations

from typing import Final
from uuid import UUID

ALL: Final = "all"
"""Where there are no pieces."""


def of_object(tenant_id: UUID, owner_id: UUID) -> str:
    """What an object's piece is called."""
    return f"{tenant_id.hex}/{owner_id.hex}"


def read(piece: str) -> tuple[UUID, UUID]:
    """The tenant and the object."""
    tenant, owner = map(UUID, piece.split("/"))
    return tenant, owner
