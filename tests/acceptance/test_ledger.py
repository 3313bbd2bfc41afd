"""Acknowledged, stored and delivered are the same, once and in order, whoever is killed when."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.acceptance import ledger


def test_nothing_acknowledged_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    with ledger.running(tmp_path, [0.0, 1.0]) as (database, nodes):
        found = asyncio.run(ledger.trial(database, nodes, seconds=14, servers=4, databases=1, seed=1))
    assert sum(map(len, found.acknowledged.values())) > 1_000
    assert found.reconnects > 0
