"""Times as series count them: in microseconds since 1970, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(at: datetime) -> int:
    """A time, counted."""
    return (at - EPOCH) // MICROSECOND


def moment(count: int) -> datetime:
    """The time that is so many microseconds after 1970."""
    return EPOCH + count * MICROSECOND
