"""A real Chromium without a window, driven by its DevTools protocol."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
COMMAND = next((found for name in NAMES if (found := shutil.which(name))), None)
MESSAGE_BYTES = 1 << 26
PATIENCE = 60.0


class Tab:
    """A page that is open. What it logs, and what its policy refuses, is in `complaints`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(PATIENCE))
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            if message["method"] in {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}:
                self.complaints.append(json.dumps(message["params"]))

    def open(self, address: str) -> None:
        """Go to an address."""
        self.do("Page.navigate", url=address)

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.do("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until it is true."""
        limit = time.monotonic() + PATIENCE
        while not self.ask(expression):
            assert time.monotonic() < limit, f"never: {expression}\n{self.ask('document.body.innerText')}"
            time.sleep(0.1)


@contextmanager
def tab(profile: Path) -> Iterator[Tab]:
    """A new browser with one empty tab."""
    assert COMMAND is not None
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command = [COMMAND, *options, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            with connect(_first_tab(profile / "DevToolsActivePort"), max_size=MESSAGE_BYTES) as socket:
                yield Tab(socket)
        finally:
            process.terminate()


def _first_tab(told: Path) -> str:
    limit = time.monotonic() + PATIENCE
    while not (told.exists() and told.read_text().count("\n")):
        assert time.monotonic() < limit, "the browser does not start"
        time.sleep(0.05)
    port = told.read_text().split()[0]
    targets = httpx.get(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE).json()
    address: str = next(each["webSocketDebuggerUrl"] for each in targets if each["type"] == "page")
    return address
