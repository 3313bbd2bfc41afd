"""What docs/client.md shows works, and every code that the client tells is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from modelbox.errors import PAGES
from tests.acceptance.server import Server
from tests.client.training import trained

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/client.md").read_text()
SHOWN = [ROOT / name for name in ("docs/client.md", "docs/coming-from.md", "client/README.md")]
ERRORS = (ROOT / "docs/errors.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", "".join(map(Path.read_text, SHOWN)), re.DOTALL)
RAISED = r'(?:tell|warn|ModelBoxError|Refused)\(\s*"([A-Z_]{4,})"'
CODE = re.compile(rf'{RAISED}|code: str = "([A-Z_]{{4,}})"|: Final = "([A-Z]+_[A-Z_]+)"$', re.MULTILINE)
OTHERS = {"MODELBOX_", "DIGEST_MISMATCH", "NOT_FOUND", "BAD_USER_INPUT", "PAYLOAD_TOO_LARGE"}
"""What looks like a code and is none, and codes of the server's."""


def codes() -> set[str]:
    text = "".join(path.read_text() for path in (ROOT / "client/modelbox").rglob("*.py"))
    return {next(filter(None, found)) for found in CODE.findall(text)} - OTHERS


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_every_snippet_runs(server: Server, number: int) -> None:
    trained(SNIPPETS[number], server.address)


def test_every_code_is_explained() -> None:
    section = ERRORS.partition("## Of the client")[2].partition("\n## ")[0]
    explained = re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)
    assert codes() <= set(explained)
    assert {"UNREACHABLE", "BAD_METRIC", "CONFIGURATION"} <= codes()


def test_a_codes_page_is_that_one() -> None:
    assert PAGES.endswith("docs/errors.md#")


def test_every_test_that_is_named_exists() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests/client").rglob("test_*.py"))
    promised = PAGE.partition("## What is promised")[2]
    for name in re.findall(r"`(test_\w+)`", promised):
        assert f"def {name}(" in tests
    for path in re.findall(r"`(tests/[\w/]+\.py)`", promised):
        assert (ROOT / path).is_file()
