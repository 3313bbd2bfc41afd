"""A real server, and a folder of one's own for scripts that a framework's Python runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.server import Server
from tests.integrations.scripts import Scripts


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server") / "data")
    server.ready()
    # A log that nobody reads would fill its pipe, and stop the server.
    threading.Thread(target=server.process.communicate, daemon=True).start()
    try:
        yield server
    finally:
        server.discard()


@pytest.fixture
def scripts(server: Server, tmp_path: Path) -> Scripts:
    return Scripts(server, tmp_path)
