"""Acknowledged, stored and delivered are the same, once and in order, whoever is killed when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.acceptance import ledger, nodes

SHORT = ["kill"] * 2 + ["restart", "database"]
LONG = ["kill"] * 8 + ["database"] * 2 + ["restart"] * 3
TITLE = ("hints lost", "servers")
WIDTH = 13

Print = Callable[[Sequence[str]], None]


@pytest.fixture(scope="module")
def row(request: pytest.FixtureRequest) -> Iterator[Print]:
    """Prints a row of a table."""
    terminal = request.config.get_terminal_writer()

    def write(cells: Sequence[str]) -> None:
        terminal.line()
        terminal.line("".join(cell.rjust(WIDTH) for cell in cells), bold=True)

    write((*TITLE, *ledger.COLUMNS))
    yield write
    terminal.line()


def test_nothing_acknowledged_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    with nodes.running(tmp_path, [0.0, 1.0]) as cluster:
        found = asyncio.run(ledger.trial(cluster, ledger.Plan(seconds=4, kills=SHORT, seed=1)))
        ledger.check(found)
    assert sum(map(len, found.acknowledged.values())) > 1_000
    assert sum(reader.connects for reader in found.readers) > len(found.readers)


@pytest.mark.chaos
@pytest.mark.parametrize("servers", [2, 3])
@pytest.mark.parametrize("lost", [0.0, 0.2, 1.0])
def test_the_same_for_long(tmp_path: Path, row: Print, lost: float, servers: int) -> None:
    """One of the servers is two processes."""
    with nodes.running(tmp_path, [lost] * servers, workers=[1] * (servers - 1) + [2]) as cluster:
        plan = ledger.Plan(seconds=75, kills=LONG, seed=servers, calm=12)
        found = asyncio.run(ledger.trial(cluster, plan))
        row((f"{lost:.0%}", str(servers), *ledger.figures(found)))
        ledger.check(found)
