"""How busy the GPUs are: asked of NVML if `pynvml` is installed, or else of an `nvidia-smi` that runs beside us."""

from __future__ import annotations

import contextlib
import math
import os
import select
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

COLUMNS: Final = ("index", "utilization.gpu", "memory.used", "memory.total", "power.draw", "temperature.gpu")
NAMES: Final = ("percent", "memory_bytes", "memory_percent", "power_watts", "temperature_celsius")
EVERY_SECONDS: Final = 5
COMMAND: Final = ("nvidia-smi", "--format=csv,noheader,nounits")
MEBIBYTE: Final = 1 << 20


class Gpus:
    """Those of this machine that the training may use; none costs nothing."""

    def __init__(self) -> None:
        self._nvml: _Nvml | None = None
        self._smi: _Smi | None = None
        if is_there():
            # The driver may take its time to wake up, and the thread that calls us has none.
            threading.Thread(target=self._open, name="modelbox-gpus", daemon=True).start()

    def _open(self) -> None:
        with contextlib.suppress(Exception):
            self._nvml = _Nvml()
            return
        with contextlib.suppress(OSError):
            self._smi = _Smi()

    def sample(self) -> dict[str, float]:
        """Numbers by name, such as `gpu/0/percent`."""
        asked = self._nvml or self._smi
        wanted = _visible()
        rows = [] if asked is None else asked.rows()
        return {
            f"gpu/{int(index)}/{name}": value
            for index, *values in rows
            if wanted is None or int(index) in wanted
            for name, value in zip(NAMES, values, strict=True)
            if not math.isnan(value)  # Not every GPU tells everything.
        }

    def close(self) -> None:
        """End what was begun for it."""
        if self._smi is not None:
            self._smi.close()


def is_there() -> bool:
    """Whether the machine has a driver."""
    return any(map(Path.exists, (Path("/dev/nvidiactl"), Path("/proc/driver/nvidia/version"))))


def _visible() -> frozenset[int] | None:
    """Which the training sees; None if nobody says, or by names."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is None or not all(word.strip().isdecimal() for word in told.split(",") if word):
        return None
    return frozenset(int(word) for word in told.split(",") if word)


class _Nvml:
    """Asks the driver's library in this process: less than a millisecond for a GPU."""

    def __init__(self) -> None:
        from importlib import import_module

        self._library: Any = import_module("pynvml")
        self._library.nvmlInit()
        count = self._library.nvmlDeviceGetCount()
        self._devices = [self._library.nvmlDeviceGetHandleByIndex(index) for index in range(count)]

    def rows(self) -> list[Sequence[float]]:
        return [(index, *self._row(device)) for index, device in enumerate(self._devices)]

    def _row(self, device: Any) -> Iterator[float]:
        ask = self._library
        memory = ask.nvmlDeviceGetMemoryInfo(device)
        yield float(ask.nvmlDeviceGetUtilizationRates(device).gpu)
        yield float(memory.used)
        yield 100 * memory.used / memory.total
        questions: tuple[Callable[[], Any], ...] = (
            lambda: ask.nvmlDeviceGetPowerUsage(device) / 1000,
            lambda: ask.nvmlDeviceGetTemperature(device, 0),
        )
        for question in questions:
            try:
                yield float(question())
            except ask.NVMLError:
                yield float("nan")


class _Smi:
    """One `nvidia-smi` that writes a line for each GPU every few seconds; the last ones count."""

    def __init__(self) -> None:
        self._last: dict[int, Sequence[float]] = {}
        self._content = b""
        self._process = subprocess.Popen(
            [*COMMAND, f"--query-gpu={','.join(COLUMNS)}", f"--loop={EVERY_SECONDS}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def rows(self) -> list[Sequence[float]]:
        *lines, self._content = (self._content + self._come()).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, ZeroDivisionError):
                index, used, mebibytes, total, watts, celsius = map(_number, line.decode().split(","))
                self._last[int(index)] = (
                    index, used, mebibytes * MEBIBYTE, 100 * mebibytes / total, watts, celsius
                )  # fmt: skip
        return list(self._last.values())

    def _come(self) -> bytes:
        """What was written since the last time. Nothing is waited for."""
        found = b""
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        while poll.poll(0):
            some = os.read(self._pipe.fileno(), 1 << 16)
            if not some:
                break
            found += some
        return found

    @property
    def _pipe(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        return self._process.stdout

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._pipe.close()


def _number(word: str) -> float:
    """One that is not there is written as `[N/A]`."""
    try:
        return float(word)
    except ValueError:
        return float("nan")
