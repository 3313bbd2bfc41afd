"""`modelbox-server` that gives every log call a transaction of its own: what grouping is measured against."""

from __future__ import annotations

from app import cli
from db.metrics import append

if __name__ == "__main__":
    append.GROUP_CALLS = 1
    cli.main()
