"""Metrics: points of any number of series of any number of objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.metrics import batch
from db.metrics.append import Logged, append
from db.transaction import Result, Transaction


async def log(tx: Transaction, *, writer: str | None = None, sequence: int | None = None, **given: Any) -> Result:
    """Append points to series, in a transaction of its own; `db.metrics.lane` does it for many calls at once."""
    arguments = {"writer": writer, "sequence": sequence, **given}
    call = Logged(tx, batch.batches(arguments), writer, sequence)
    tx.moved |= await append([call])
    if call.error is not None:
        raise call.error
    return call.result()


def digest(arguments: Mapping[str, Any]) -> bytes:
    """What tells this input from others: the points themselves, for there are several ways to read and to send them.

    Raises:
        Invalid: something is not as it should be.
    """
    call = repr((arguments.get("writer"), arguments.get("sequence"))).encode("utf-8", "surrogatepass")
    return call + batch.digest(batch.batches(arguments))
