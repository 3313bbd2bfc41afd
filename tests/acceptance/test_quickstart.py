"""The script of the quickstart against a real server, and the query after it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.server import Server
from tests.documentation import Page

PATH = Path(__file__).parents[2] / "docs" / "quickstart.md"
PAGE = Page(PATH, PATH.read_text())


@pytest.mark.acceptance
def test_the_script_of_the_quickstart(tmp_path: Path) -> None:
    (script,) = PAGE.blocks("python")
    query = PAGE.blocks("graphql")[0]
    server = Server(tmp_path / "data")
    try:
        server.ready()

        printed = subprocess.check_output(
            [sys.executable, "-c", script], env={**os.environ, "MODELBOX_URL": server.address}, text=True
        )

        (found,) = server.graphql(query)["experiments"]["nodes"]
        assert printed == f"{found['name']} is done\n"
        assert found["status"] == "COMPLETED"
        assert found["metric"]["count"] == 100
        assert found["metric"]["min"] == found["metric"]["last"]
    finally:
        server.discard()
