"""Which process made a queue, so that another can tell that it is gone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def here() -> dict[str, Any]:
    """This process: its number alone is given to another sooner or later, and its beginning is not."""
    return {"host": os.uname().nodename, "boot": boot(), "process": os.getpid(), "began": _began(os.getpid())}


def is_gone(about: Mapping[str, Any]) -> bool:
    """Whether it was a process of this machine, and is none now. Of another's nothing is known."""
    if about.get("host") != os.uname().nodename or about.get("boot") != boot():
        return False
    process = int(about["process"])
    with contextlib.suppress(PermissionError):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
    return _began(process) != about.get("began")


def boot() -> str:
    """Tells one start of this machine from the next."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _began(process: int) -> str | None:
    """When it began, by the system's clock; None where the system does not say."""
    with contextlib.suppress(OSError, IndexError):
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return None if words[0] in ("Z", "X") else words[19]
    return None
