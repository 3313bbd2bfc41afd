"""What pgqueuer, the library that keeps the queue, has in the database: its tables and sequences by name."""

from __future__ import annotations

from typing import Final

TABLES: Final = ("pgqueuer", "pgqueuer_log", "pgqueuer_schedules", "pgqueuer_statistics")
"""Beside the jobs: their records; and two that stay empty here, which the library expects."""

SEQUENCES: Final = tuple(f"{table}_id_seq" for table in TABLES)

CHANNEL: Final = "ch_pgqueuer"
"""Where the library's trigger tells that jobs came or went."""
