"""Writing a queue, and reading it while it is written."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from modelbox.queue import frames
from modelbox.queue import spool as module
from modelbox.queue.progress import Place
from modelbox.queue.spool import Spool
from modelbox.sender.queue_reader import QueueReader


def numbers(folder: Path, place: Place | None = None) -> list[int]:
    return [found.frame.number for found in QueueReader(folder).read(place or Place())]


def test_frames_come_back_across_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL_FILE", 1000)
    spool = Spool(tmp_path / "q", {"run": "r"})
    for number in range(50):
        assert spool.append({"kind": "points"}, b"x" * 100) == number
    assert numbers(tmp_path / "q") == list(range(50))
    assert len(list((tmp_path / "q").glob("*.frames"))) > 3


def test_a_reader_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL_FILE", 1000)
    spool, reader, place, seen = Spool(tmp_path / "q", {}), QueueReader(tmp_path / "q"), Place(), []
    for number in range(60):
        spool.append({"kind": "points"}, b"x" * (number * 7 % 90))
        for found in reader.read(place):
            seen.append(found.frame.number)
            place = found.after
    assert seen == list(range(60))
    reader.remove_before(place)
    assert [int(path.stem) for path in (tmp_path / "q").glob("*.frames")] == [place.file]


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    Spool(tmp_path / "q", {})
    assert (tmp_path / "q").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "q").glob("*.frames"))


def test_a_full_disk_leaves_no_half_of_a_frame(tmp_path: Path) -> None:
    """The limit on a file's size stands for it: the kernel takes a part of the frame, and then nothing."""
    script = f"""
import resource, signal, sys
from pathlib import Path
from modelbox.queue.spool import Spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
spool = Spool(Path({str(tmp_path / "q")!r}), {{}})
spool.append({{"kind": "points"}}, b"a" * 1000)
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))
for _ in range(3):
    try:
        spool.append({{"kind": "points"}}, b"b" * 1000)
    except OSError:
        print("full")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
spool.append({{"kind": "points"}}, b"c" * 1000)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["full"] * 3
    reader = QueueReader(tmp_path / "q")
    assert [found.frame.body[:1] for found in reader.read(Place())] == [b"a", b"c"]
    assert reader.damaged == 0
    assert resource.getrlimit(resource.RLIMIT_FSIZE)


@pytest.mark.parametrize("attempt", range(5))
def test_what_was_appended_outlives_kill_9(tmp_path: Path, attempt: int) -> None:
    """Every number that was told is there; at most one more, which was not told any more."""
    script = f"""
from pathlib import Path
from modelbox.queue.spool import Spool
spool = Spool(Path({str(tmp_path / "q")!r}), {{}})
while True:
    print(spool.append({{"kind": "points"}}, b"x" * {100 + 5000 * attempt}), flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(50 + 37 * attempt)]
    os.kill(process.pid, signal.SIGKILL)
    told += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    process.wait()
    process.stdout.close()
    there = numbers(tmp_path / "q")
    assert there[: len(told)] == told
    assert len(there) <= len(told) + 1


def test_a_file_that_got_a_follower_meanwhile_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL_FILE", 400)
    spool = Spool(tmp_path / "q", {})
    spool.append({"kind": "points"}, b"x" * 100)
    whole = frames.read

    def reading(file: BinaryIO, offset: int = 0) -> Iterator[object]:
        yield from list(whole(file, offset))
        if spool.place[0] == 1:  # It was at the end; before it looks for another file, the writer goes on.
            spool.append({"kind": "points"}, b"x" * 100)
            spool.append({"kind": "points"}, b"x" * 300)

    monkeypatch.setattr(frames, "read", reading)
    place, seen = Place(), []
    for _ in range(3):
        for found in QueueReader(tmp_path / "q").read(place):
            seen.append(found.frame.number)
            place = found.after
    assert seen == [0, 1, 2]


def test_a_frame_that_was_half_there_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, place = tmp_path / "f", 0
    contents = [frames.packed(number, {"kind": "points"}, b"x" * 50) for number in range(2)]
    path.write_bytes(contents[0][:30])
    search = frames._next

    def later(file: BinaryIO, offset: int) -> int | None:
        path.write_bytes(b"".join(contents))
        return search(file, offset)

    monkeypatch.setattr(frames, "_next", later)
    with path.open("rb", buffering=0) as file:
        found = list(frames.read(file, place))
    assert [each.number for each in found[:2] if isinstance(each, frames.Frame)] == [0, 1]


def test_a_file_that_is_lost_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL_FILE", 300)
    spool = Spool(tmp_path / "q", {})
    for _ in range(6):
        spool.append({"kind": "points"}, b"x" * 100)
    (tmp_path / "q" / "00000001.frames").unlink()
    assert numbers(tmp_path / "q", Place(1, 50)) == [2, 3, 4, 5]


def test_half_a_queue_is_not_left(tmp_path: Path) -> None:
    """The limit on a file's size stands for a full disk."""
    script = f"""
import resource, signal
from pathlib import Path
from modelbox.queue.spool import Spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3, 3))
try:
    Spool(Path({str(tmp_path / "r" / "q")!r}), {{"run": "r"}})
except OSError:
    print("full")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "full\n"
    assert not (tmp_path / "r").exists()


def test_what_json_does_not_take_is_kept_as_far_as_it_can_be(tmp_path: Path) -> None:
    spool, itself = Spool(tmp_path / "q", {}), {"a": 1}
    itself["itself"] = itself  # type: ignore[assignment]
    spool.append({"kind": "event", "metadata": {("a", 1): 2, "round": itself}})
    [found] = QueueReader(tmp_path / "q").read(Place())
    assert found.frame.head["metadata"]["('a', 1)"] == 2
