"""One sender at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelbox.queue import lease as module
from modelbox.queue.lease import Lease, Taken


def test_the_second_is_told_who_has_it(tmp_path: Path) -> None:
    first = Lease(tmp_path)
    first.take()
    with pytest.raises(Taken, match=f"process {os.getpid()} on "):
        Lease(tmp_path).take()
    first.release()
    Lease(tmp_path).take()


def test_a_dead_process_of_this_machine_keeps_nobody_out(tmp_path: Path) -> None:
    script = (
        f"from pathlib import Path; from modelbox.queue.lease import Lease; import os;"
        f"Lease(Path({str(tmp_path)!r})).take(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert (tmp_path / module.NAME).exists()
    Lease(tmp_path).take()


def elsewhere(folder: Path, *, seconds_ago: float) -> None:
    about = {"holder": "other:1:1", "host": "another-machine", "pid": 1, "boot": "x"}
    path = folder / module.NAME
    path.write_text(json.dumps(about))
    then = time.time() - seconds_ago
    os.utime(path, (then, then))


def test_another_machine_is_believed_for_a_while(tmp_path: Path) -> None:
    elsewhere(tmp_path, seconds_ago=module.STALE_SECONDS / 2)
    with pytest.raises(Taken, match="on another-machine"):
        Lease(tmp_path).take()
    elsewhere(tmp_path, seconds_ago=module.STALE_SECONDS * 2)
    Lease(tmp_path).take()


def test_who_lost_it_learns_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Lease(tmp_path)
    mine.take()
    elsewhere(tmp_path, seconds_ago=0)
    mine.touch()  # Not looked at so soon.
    monkeypatch.setattr(module, "TOUCHED_SECONDS", 0)
    with pytest.raises(Taken):
        mine.touch()


def test_who_lost_it_takes_it_from_nobody(tmp_path: Path) -> None:
    first = Lease(tmp_path)
    first.take()
    other = '{"holder": "other", "host": "elsewhere", "pid": 1, "boot": "b"}'
    (tmp_path / "lease").write_text(other)
    first.release()
    assert (tmp_path / "lease").read_text() == other
