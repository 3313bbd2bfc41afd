"""Asks another program: bounded in time and in bytes, and a program that is not there is no error."""

from __future__ import annotations

import os
import select
import subprocess
import time
from dataclasses import dataclass
from typing import IO, Final

SECONDS: Final = 2.0
MOST: Final = 256 << 10
QUIET: Final = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat"}


@dataclass(frozen=True)
class Answer:
    """What a program printed."""

    text: str
    is_cut: bool
    """Whether it would have been more."""


def asked(words: list[str], *, seconds: float = SECONDS, most: int = MOST) -> Answer | None:
    """What a program prints; None if it is not there, fails, or takes longer."""
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | QUIET
        )
    except OSError:
        return None
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        content = _read(process.stdout, time.monotonic() + seconds, most)
        if content is None:
            return None
        is_cut = len(content) > most
        if not is_cut and process.wait(seconds) != 0:
            return None
        # The last line of what is cut may end in half a secret, which nobody would know for one.
        whole = content[: content.rfind(b"\n", 0, most) + 1] if is_cut else content
        return Answer(whole.decode(errors="replace"), is_cut)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(process)


def _read(pipe: IO[bytes], limit: float, most: int) -> bytes | None:
    """All, or somewhat more than `most` bytes; None when it takes too long."""
    content = bytearray()
    while len(content) <= most:
        ready, _, _ = select.select([pipe], [], [], max(0.0, limit - time.monotonic()))
        if not ready:
            return None
        some = os.read(pipe.fileno(), 1 << 16)
        if not some:
            break
        content += some
    return bytes(content)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is None:
        process.kill()
        process.wait()
