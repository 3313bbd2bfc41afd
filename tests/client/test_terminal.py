"""What a run writes to a terminal, a real one with two ends; and to what is none."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelbox.shown import BARS, MOST_KEYS, MOST_VALUES, Shown, bars, cut, padded, safe
from tests.acceptance.server import Server
from tests.client.training import trained

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
STATUS = re.compile(r"\r((?:\x1b\[2m)?[^\r\n]*points/s[^\r\n]*)\x1b\[K\r")
OWN = "import fcntl, termios; fcntl.ioctl(2, termios.TIOCSCTTY, 0)"
"""Makes the terminal that of the session."""

TRAINING = """
import time
run = mb.init(name="first")
while {while_}:
    run.log({{"train/loss": 0.25, "lr": 0.5, "val/acc": 1.0, "val/f1": 2.0}}, step=1)
    time.sleep(0.05)
run.finish(timeout=5)
"""
FOR_A_WHILE = "run.shown.points < 200"


class Window:
    """A terminal with a script in it."""

    def __init__(self, script: str, columns: int = 100, *, own: bool = True, **variables: str) -> None:
        self._near, far = pty.openpty()
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        text = f"{OWN if own else ''}\nimport modelbox as mb\n{textwrap.dedent(script)}"
        clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", text],
            env={**clean, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", "MODELBOX_MODE": "offline", **variables},
            stdin=far, stdout=subprocess.DEVNULL, stderr=far, start_new_session=True,
        )  # fmt: skip
        os.close(far)
        self.text = ""

    def until(self, condition: Callable[[str], object]) -> str:
        """Read until it shows something, or has ended."""
        limit = time.monotonic() + 90
        while not condition(self.text) and self._more():
            assert time.monotonic() < limit, self.text
        return self.text

    def _more(self) -> bool:
        if not select.select([self._near], [], [], 1)[0]:
            return True
        with contextlib.suppress(OSError):
            self.text += os.read(self._near, 1 << 16).decode()
            return True
        return False

    def type(self, text: bytes) -> None:
        os.write(self._near, text)

    def ended(self) -> str:
        found = self.until(lambda text: False)
        assert self.process.wait(60) == 0, found
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._near)


@pytest.fixture
def window() -> Iterator[Callable[..., Window]]:
    opened: list[Window] = []

    def opening(script: str, columns: int = 100, *, own: bool = True, **variables: str) -> Window:
        opened.append(Window(script, columns, own=own, **variables))
        return opened[-1]

    yield opening
    for each in opened:
        each.close()


@pytest.mark.parametrize("own", [True, False])
def test_a_line_at_the_start_one_under_way_and_a_summary(window: Callable[..., Window], own: bool) -> None:
    text = window(TRAINING.format(while_=FOR_A_WHILE), own=own).ended()
    lines = COLOUR.sub("", text).splitlines()
    assert "modelbox: run " in lines[0]
    assert "kept in" in lines[0]
    [first, *_] = STATUS.findall(text)
    assert re.search(r"[0-9a-f]{12} · \d+ points/s · train/loss 0\.25 · lr 0\.5 · val/acc 1", first)
    assert "\x1b[2m" in first
    assert "val/f1" not in first
    [loss] = [line for line in lines if line.startswith("modelbox:   train/loss")]
    assert BARS[4] in loss
    assert loss.endswith(" 0.25")
    assert re.search(r"is COMPLETED, \d+ points, kept in ", lines[-1])
    assert text.index("\r\x1b[K", text.rindex("points/s")) < text.index("  train/loss")


def test_the_line_fits_the_window_and_has_no_colours_if_none_are_wanted(window: Callable[..., Window]) -> None:
    text = window(TRAINING.format(while_=FOR_A_WHILE), columns=40, NO_COLOR="1").ended()
    assert not COLOUR.search(text)
    lines = STATUS.findall(text)
    assert lines
    assert max(map(len, lines)) <= 39


@pytest.mark.parametrize(("variables", "quiet"), [({}, True), ({"TERM": "dumb"}, False)])
def test_no_line_when_it_is_not_wanted(
    window: Callable[..., Window], variables: dict[str, str], *, quiet: bool
) -> None:
    script = TRAINING.format(while_=FOR_A_WHILE).replace('name="first"', f"quiet={quiet}")
    text = window(script, **variables).ended()
    assert not STATUS.findall(text)
    assert "\x1b" not in text
    assert ("COMPLETED" in text) is not quiet


def test_a_terminal_that_is_held_holds_no_training_up(window: Callable[..., Window], clean: Path) -> None:
    held = window(TRAINING.format(while_="not __import__('os').path.exists('stop')") + "open('through', 'w')")
    held.until(lambda text: "points/s" in text)
    held.type(b"\x13")
    [frames] = clean.glob(".modelbox/queue/*/*/*.frames")
    for _ in range(4):
        size, limit = frames.stat().st_size, time.monotonic() + 60
        while frames.stat().st_size == size:
            assert time.monotonic() < limit, "nothing is written any more"
            time.sleep(1)
    held.type(b"\x11")
    (clean / "stop").touch()
    held.ended()


def test_nothing_can_move_the_cursor(window: Callable[..., Window], clean: Path) -> None:
    text = window(TRAINING.format(while_=FOR_A_WHILE), MODELBOX_QUEUE_DIR=str(clean / "q\x1b[31m\u202eq")).ended()
    assert "q\\x1b[31m\\u202eq" in text
    assert "\x1b[31m" not in text


def test_a_file_gets_no_status_and_a_bare_encoding_no_fault() -> None:
    _, err = trained(TRAINING.format(while_=FOR_A_WHILE), "http://127.0.0.1:9", MODELBOX_MODE="offline",
                     PYTHONIOENCODING="ascii")  # fmt: skip
    assert "points/s" not in err
    assert "\x1b" not in err
    assert re.search(r"train/loss +=+ +0\.25", err)


def test_what_was_not_sent_is_counted(window: Callable[..., Window]) -> None:
    script = TRAINING.format(while_=FOR_A_WHILE).replace("timeout=5", "timeout=0.5")
    text = window(script, MODELBOX_MODE="online", MODELBOX_SERVER="http://127.0.0.1:9").ended()
    assert "not heard of the server yet" in text
    assert re.search(r"\d+ points/s · \d+ waiting · ", text)
    [sent] = re.findall(r"is COMPLETED, (\d+) points, (\d+) of them not sent yet", text)
    assert sent[0] == sent[1]


def test_what_was_sent_is_all_sent(window: Callable[..., Window], server: Server) -> None:
    script = TRAINING.format(while_=FOR_A_WHILE).replace("timeout=5", "timeout=60")
    text = COLOUR.sub("", window(script, MODELBOX_MODE="online", MODELBOX_SERVER=server.address).ended())
    assert f"at {server.address}" in text
    assert re.search(r"run first is COMPLETED, \d+ points, all sent", text)


# --- What is kept to be shown ---


def test_of_long_series_a_few_values_of_all_of_it_are_kept() -> None:
    shown = Shown()
    for first in range(0, 10_000, 50):
        shown.see([(step, step, {"a": float(step)}) for step in range(first, first + 50)])
    kept = shown.series["a"]
    assert shown.points == 10_000
    assert MOST_VALUES / 2 <= len(kept.values) <= MOST_VALUES
    assert kept.values == sorted(kept.values)
    assert kept.values[0] == 0
    assert kept.values[-1] > 9_000
    assert kept.last == 9_999


def test_of_many_at_once_some_are_looked_at_and_the_last_always() -> None:
    shown = Shown()
    shown.see([(step, step, {f"k{n}": float(step) for n in range(100)}) for step in range(1_007)], texts=3)
    assert shown.points == 100_703
    assert shown.series["k7"].last == 1_006
    assert len(shown.series["k7"].values) < 30


def test_of_many_keys_a_thousand_are_kept() -> None:
    shown = Shown()
    for first in range(0, 5_000, 500):
        shown.see([(0, 0, {f"k{n}": 1.0 for n in range(first, first + 500)})])
    assert len(shown.series) == MOST_KEYS
    shown.see([(0, 0, {"k0": 2.0})])
    assert shown.series["k0"].last == 2


def test_the_machines_series_come_last() -> None:
    shown = Shown()
    shown.see([(0, 0, {"system/cpu_percent": 1.0, "b": 1.0, "a": 1.0})])
    assert [key for key, _ in shown.chosen(8)] == ["b", "a", "system/cpu_percent"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ""),
        ([1.0], "▅"),
        ([0.0, 7.0], "▁█"),
        ([0.0, math.nan, 7.0], "▁ █"),
        ([math.inf, -math.inf], "  "),
        ([-1.7e308, 0.0, 1.7e308], "▁▅█"),
        ([float(n) for n in range(8)], BARS),
        ([float(n) for n in range(16)], BARS),
    ],
)
def test_bars(values: list[float], expected: str) -> None:
    assert bars(values, 8) == expected


def test_texts_are_cut_to_columns() -> None:
    assert cut("short", 5) == "short"
    assert cut("longer", 5) == "long…"
    assert cut("日本語", 5) == "日本…"
    assert cut("any", 0) == ""
    assert padded("日本", 6) == "日本  "
    assert safe("a\x1b[31m\n\u202e\ud800é日") == "a\\x1b[31m\\n\\u202e\\ud800é日"
