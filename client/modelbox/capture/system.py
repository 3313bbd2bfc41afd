"""How busy the machine is, as series of the run: `system/cpu_percent` and others, every 15 seconds.

Linux tells it in files, which are read in less than a millisecond; elsewhere there is less. Of a container, the files
tell of the whole machine.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelbox.capture.gpu import Gpus

if TYPE_CHECKING:
    from modelbox.run import Run

EVERY_SECONDS: Final = 15.0
FIRST_SECONDS: Final = 5.0
SECTOR: Final = 512
"""Bytes, whatever the disk's own are."""

RATES: Final = ("disk_read", "disk_write", "network_in", "network_out")
PROC: Final = Path("/proc")


class System:
    """Measures when it is time."""

    def __init__(self, run: Run, rank: int = 0) -> None:
        self._run = run
        self._prefix = "system/" if rank == 0 else f"system/rank-{rank}/"
        self._due = time.monotonic() + FIRST_SECONDS
        self._machine = Machine()
        self._gpus = Gpus()

    def tick(self) -> None:
        """Log a sample, if it is time."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + EVERY_SECONDS
        found = {**self._machine.sample(), **self._gpus.sample()}
        self._run.log({f"{self._prefix}{name}": value for name, value in found.items()})

    def end(self) -> None:
        """Nobody measures any more."""
        self._gpus.close()


class Machine:
    """Turns what the machine has counted since it was started into rates."""

    def __init__(self) -> None:
        self._disks = frozenset(_disks())
        self._before = self._counted()

    def sample(self) -> dict[str, float]:
        """Rates since the last sample, and what is so now."""
        before, now = self._before, self._counted()
        self._before = now
        seconds = now["at"] - before["at"]
        if seconds <= 0:
            return dict(_now())
        known = [name for name in RATES if name in now and name in before]
        found = {f"{name}_bytes_per_second": (now[name] - before[name]) / seconds for name in known}
        found["process_cpu_percent"] = 100 * (now["process"] - before["process"]) / seconds
        ticks = now.get("ticks", 0) - before.get("ticks", 0)
        if ticks > 0:
            found["cpu_percent"] = 100 * (now["busy"] - before["busy"]) / ticks
        return {name: max(0.0, value) for name, value in found.items()} | dict(_now())

    def _counted(self) -> dict[str, float]:
        found = {"at": time.monotonic(), "process": time.process_time()}
        if sys.platform == "linux":
            for part in (_ticks, lambda: _disk_bytes(self._disks), _network_bytes):
                with contextlib.suppress(OSError, ValueError, IndexError):
                    found |= part()
        return found


def _now() -> Iterator[tuple[str, float]]:
    """What is no rate."""
    with contextlib.suppress(OSError, ValueError, IndexError, KeyError):
        if sys.platform == "linux":
            pages = int((PROC / "self/statm").read_text().split()[1])
            yield "process_memory_bytes", float(pages * os.sysconf("SC_PAGE_SIZE"))
            memory = _memory()
            yield "memory_percent", 100 * (1 - memory["MemAvailable"] / memory["MemTotal"])
        else:
            import resource

            yield "load", os.getloadavg()[0]
            yield "process_memory_peak_bytes", float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _memory() -> Mapping[str, int]:
    with (PROC / "meminfo").open() as file:
        lines = [next(file).split() for _ in range(5)]
    return {words[0].rstrip(":"): int(words[1]) for words in lines}


def _ticks() -> dict[str, float]:
    with (PROC / "stat").open() as file:
        # user, nice, system, idle, iowait, irq, softirq, steal; guests are in the first two already
        counted = [int(word) for word in file.readline().split()[1:9]]
    return {"ticks": sum(counted), "busy": sum(counted) - counted[3] - counted[4]}


def _disks() -> Iterator[str]:
    """Whole disks of their own: parts of them, and what is made of them, would count the same bytes again."""
    with contextlib.suppress(OSError):
        for place in Path("/sys/block").iterdir():
            if not place.name.startswith(("loop", "ram", "zram", "dm-", "md", "sr", "fd")):
                yield place.name


def _disk_bytes(disks: frozenset[str]) -> dict[str, float]:
    read = written = 0
    for line in (PROC / "diskstats").read_text().splitlines():
        words = line.split()
        if words[2] in disks:
            read, written = read + int(words[5]), written + int(words[9])
    return {"disk_read": read * SECTOR, "disk_write": written * SECTOR} if disks else {}


def _network_bytes() -> dict[str, float]:
    """Of all but what stays on the machine."""
    received = sent = 0
    for line in (PROC / "self/net/dev").read_text().splitlines()[2:]:
        name, _, rest = line.partition(":")
        if not name.strip().startswith(("lo", "veth", "docker", "br-")):
            words = rest.split()
            received, sent = received + int(words[0]), sent + int(words[8])
    return {"network_in": received, "network_out": sent}
