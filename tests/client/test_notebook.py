"""A run's card in a notebook does nothing but show."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from modelbox.configuration import Configuration
from modelbox.queue.spool import NoSpool, Spool
from modelbox.run import Run
from modelbox.sending import Sending
from modelbox.warnings import Warnings

EVIL = "<script>alert(1)</script>"


class Reader(HTMLParser):
    def __init__(self, card: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.texts: list[str] = []
        self.feed(card)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def begun(folder: Path, **settings: str) -> Run:
    configuration = Configuration(folder=folder, **settings)  # type: ignore[arg-type]
    warnings = Warnings()
    about = {"run": "abc", "writer": "0", "is_primary": True}
    return Run("abc", configuration, Spool(folder / "abc", about), Sending(folder, warnings, is_online=False), warnings)


@pytest.fixture
def evil(clean: Path) -> Iterator[Run]:
    run = begun(clean / "<b>queue", namespace=f"\"'>{EVIL}\u202e", server="https://a.example/?x=<y>&'z'=\"")
    for step in range(200):
        run.log({EVIL: step / 2, '" onmouseover="alert(1)': float("nan"), "&amp;": 1.0}, step)
    run.flush()
    yield run
    run.finish()


def test_every_text_is_escaped(evil: Run) -> None:
    found = Reader(evil._repr_html_())
    assert found.tags == {"div", "b", "table", "tr", "td", "code", "a"}
    assert {name for name, _ in found.attributes} == {"style", "href", "target", "rel"}
    assert ("href", "https://a.example/?x=<y>&'z'=\"") in found.attributes
    texts = "".join(found.texts)
    assert EVIL in texts
    assert "&amp;" in found.texts
    assert "\u202e" not in texts
    assert "under way · 600 points" in texts
    assert "▁" in texts


def test_nothing_comes_from_elsewhere(evil: Run) -> None:
    card = evil._repr_html_().lower()
    for word in ("<script", "<img", "<link", "<iframe", "<style", "src=", "url(", "@import", "javascript:"):
        assert word not in card


def test_a_run_without_a_server_says_where_it_is_kept(clean: Path) -> None:
    run = begun(clean / "<b>queue", mode="offline")
    run.finish()
    found = Reader(run._repr_html_())
    assert "a" not in found.tags
    assert f"{clean}/<b>queue" in found.texts
    assert "over · 0 points" in "".join(found.texts)


def test_a_run_that_is_switched_off_says_so() -> None:
    warnings = Warnings()
    sending = Sending(Path("/dev/null"), warnings, is_online=False)
    run = Run("abc", Configuration(mode="disabled"), NoSpool(), sending, warnings)
    run.finish()
    assert "switched off" in run._repr_html_()
