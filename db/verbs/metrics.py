"""Metrics: points of any number of series of any number of objects."""

from __future__ import annotations

from typing import Any

from db.metrics.append import Logged, append
from db.metrics.batch import batches
from db.transaction import Result, Transaction


async def log(tx: Transaction, *, writer: str | None = None, sequence: int | None = None, **given: Any) -> Result:
    """Append points to series, in a transaction of its own; `db.metrics.lane` does it for many calls at once."""
    arguments = {"writer": writer, "sequence": sequence, **given}
    call = Logged(tx, batches(arguments), writer, sequence)
    tx.moved |= await append([call])
    if call.error is not None:
        raise call.error
    return call.result()
