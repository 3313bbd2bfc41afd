"""The embedded PostgreSQL against real processes: begun, killed, restarted, refused.

Linux is assumed where a process is looked up (/proc).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from db import embedded_folder
from db.embedded import (
    BinariesMissing,
    CannotStart,
    EmbeddedError,
    EmbeddedPostgres,
    FolderInUse,
    FolderRefused,
    VersionMismatch,
    _remove_abandoned_sockets,
)
from db.embedded_process import Identity, launch, reaching, unprivileged

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 30.0  # seconds until a test gives up waiting; nothing is measured

# A server as small as can be: prints where its PostgreSQL is, then works until it is ended.
HOLDER = """
import sys, threading, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from db import embedded_folder
from db.embedded import EmbeddedPostgres
from db.embedded_launcher import prctl

def hold():
    with EmbeddedPostgres(Path(sys.argv[2])) as postgres:
        print(postgres.dsn(), flush=True)
        time.sleep(60)

if "thread" in sys.argv[3:]:
    holder = threading.Thread(target=hold)
    holder.start()
    holder.join()  # Since Python 3.12 nothing may begin a thread once the main one is at its end.
elif "incapable" in sys.argv[3:]:
    embedded_folder.SYSTEM_HOME = Path(sys.argv[4])
    prctl(24, 1)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE
    hold()
else:
    hold()
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Holder:
    """A server process that holds a data folder; its PostgreSQL answers when this is made."""

    def __init__(self, data_dir: Path, *words: str, identity: Identity | None = None) -> None:
        command = [sys.executable, "-c", HOLDER, str(REPOSITORY), str(data_dir), *words]
        self.data_dir = data_dir
        if identity:
            self.process = launch(command, identity, None, output=subprocess.PIPE)
        else:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
            )

    def dsn(self) -> str:
        assert self.process.stdout is not None
        printed = ""
        for line in self.process.stdout:
            if line.startswith(b"postgresql://"):
                return line.decode().strip()
            printed += line.decode()
        raise AssertionError(printed)

    def end(self, with_signal: signal.Signals) -> None:
        """Signal the whole process group, as a terminal does on Ctrl-C."""
        os.killpg(self.process.pid, with_signal)
        self.process.wait(PATIENCE)
        wait_until(lambda: not processes_in(self.data_dir))


@pytest.fixture
def hold() -> Iterator[Callable[..., Holder]]:
    """Make holders, none of which outlives its test."""
    holders: list[Holder] = []

    def make(data_dir: Path, *words: str, identity: Identity | None = None) -> Holder:
        holders.append(Holder(data_dir, *words, identity=identity))
        return holders[-1]

    yield make
    for holder in holders:
        holder.process.kill()
        holder.process.communicate()


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a stopped cluster and a row 'seed'; tests may start it and add rows."""
    data_dir = tmp_path_factory.mktemp("seed") / "data"
    with EmbeddedPostgres(data_dir) as postgres:
        sql(postgres.dsn(), "CREATE TABLE note (word text)", "INSERT INTO note VALUES ('seed')")
    return data_dir


@pytest.fixture
def data_dir(seed: Path, tmp_path: Path) -> Path:
    """A copy of the seed, to be spoilt. Copied by root it belongs to root, which start() must put right."""
    return shutil.copytree(seed, tmp_path / "data")


def sql(dsn: str, *statements: str) -> list[tuple[object, ...]]:
    """Run statements, each acknowledged before the next; the rows of the last."""

    async def run() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return [tuple(row) for row in await connection.fetch(statements[-1])]
        finally:
            await connection.close()

    return asyncio.run(run())


def notes(dsn: str) -> list[object]:
    return [row[0] for row in sql(dsn, "SELECT word FROM note ORDER BY word")]


def wait_until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.01)


def processes_in(data_dir: Path) -> list[int]:
    """Processes whose working folder is below `data_dir`, as that of all PostgreSQL's is."""
    return [pid for pid, folder in _working_folders() if folder.is_relative_to(data_dir.resolve())]


def _working_folders() -> Iterator[tuple[int, Path]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                yield int(entry.name), (entry / "cwd").readlink()
            except OSError:
                continue


def sockets_of(dsn: str) -> Path:
    return Path(str(make_url(dsn).query["host"]))


def test_data_outlives_a_restart(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / "a" / "data")
    sql(postgres.start(), "CREATE TABLE note (word text)", "INSERT INTO note VALUES ('kept')")
    assert processes_in(tmp_path)
    first = sockets_of(postgres.dsn())
    postgres.stop()
    postgres.stop()
    assert not first.exists()
    assert not processes_in(tmp_path)
    assert notes(postgres.start()) == ["kept"]
    assert postgres.start() == postgres.dsn()
    postgres.stop()
    assert postgres.pid is None
    with pytest.raises(EmbeddedError, match=r"start\(\)"):
        postgres.dsn()


def test_settings_are_durable_and_private(seed: Path) -> None:
    names = ("listen_addresses", "fsync", "synchronous_commit", "jit", "TimeZone", "data_checksums")
    with EmbeddedPostgres(seed) as postgres:
        shown = [sql(postgres.dsn(), f"SHOW {name}")[0][0] for name in names]
        assert shown == ["", "on", "on", "off", "UTC", "on"]
        encoding = "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database"
        assert set(sql(postgres.dsn(), encoding)) == {("UTF8", "C")}
        assert stat.S_IMODE(sockets_of(postgres.dsn()).stat().st_mode) == 0o700
        assert stat.S_IMODE((seed / "postgres.log").stat().st_mode) == 0o600


async def test_address_serves_other_databases_and_sqlalchemy(seed: Path) -> None:
    postgres = EmbeddedPostgres(seed)
    await asyncio.to_thread(postgres.start)
    try:
        connection = await asyncpg.connect(postgres.dsn())
        await connection.execute('CREATE DATABASE "copy/1" TEMPLATE template0')
        await connection.close()
        url = make_url(postgres.dsn("copy/1")).set(drivername="postgresql+asyncpg")
        engine = create_async_engine(url)
        async with engine.connect() as other:
            assert (await other.execute(text("SELECT current_database()"))).scalar() == "copy/1"
        await engine.dispose()
    finally:
        await asyncio.to_thread(postgres.stop)


def test_server_environment_does_not_reach_postgres(seed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "7777", "PGDATA": "/nowhere", "PGSSLMODE": "require"}.items():
        monkeypatch.setenv(name, value)
    with EmbeddedPostgres(seed) as postgres:
        assert (sockets_of(postgres.dsn()) / ".s.PGSQL.5432").is_socket()


async def write_until_cut(dsn: str, holder: Holder) -> set[object]:
    """Insert rows one by one, killing the holder on the way; those that were acknowledged."""
    acknowledged: set[object] = set()
    connection = await asyncpg.connect(dsn)
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        for number in range(100_000):
            await connection.execute("INSERT INTO note VALUES ($1)", str(number))
            acknowledged.add(str(number))
            if number == 100:
                holder.process.kill()
    connection.terminate()
    return acknowledged


def test_acknowledged_rows_outlive_a_kill_in_mid_ingest(seed: Path, hold: Callable[..., Holder]) -> None:
    holder = hold(seed)
    dsn = holder.dsn()
    acknowledged = asyncio.run(write_until_cut(dsn, holder))
    assert 100 <= len(acknowledged) < 100_000
    with EmbeddedPostgres(seed) as postgres:
        assert acknowledged <= set(notes(postgres.dsn()))
    assert not sockets_of(dsn).exists()


@pytest.mark.parametrize("tied_by", ["kernel", "thread"])
def test_killed_server_leaves_no_postgres(seed: Path, hold: Callable[..., Holder], tied_by: str) -> None:
    """The kernel's tie holds for the main thread only; a server in another gets a watchdog."""
    holder = hold(seed, tied_by)
    assert "seed" in notes(holder.dsn())
    assert processes_in(seed)
    holder.end(signal.SIGKILL)


def test_ctrl_c_stops_postgres_in_order(seed: Path, hold: Callable[..., Holder]) -> None:
    holder = hold(seed)
    dsn = holder.dsn()
    holder.end(signal.SIGINT)
    assert not sockets_of(dsn).exists()
    assert not (seed / "postgres" / "postmaster.pid").exists()
    last_run = (seed / "postgres.log").read_text().rpartition("starting PostgreSQL")[2]
    assert "received fast shutdown request" in last_run


def test_killed_postgres_is_started_again(seed: Path) -> None:
    with EmbeddedPostgres(seed) as postgres:
        sql(postgres.dsn(), "INSERT INTO note VALUES ('two')")
        assert postgres.pid
        os.kill(postgres.pid, signal.SIGKILL)
        wait_until(lambda: postgres.pid is None)
        assert set(notes(postgres.start())) >= {"seed", "two"}


def test_second_server_is_refused_with_the_pid(seed: Path, hold: Callable[..., Holder]) -> None:
    holder = hold(seed)
    holder.dsn()
    with pytest.raises(FolderInUse, match=f"pid {holder.process.pid}.*MODELBOX_DATA_DIR"):
        EmbeddedPostgres(seed).start()


def test_stale_pid_file_that_names_another_process(seed: Path) -> None:
    stale = seed / "postgres" / "postmaster.pid"
    with subprocess.Popen(["sleep", "60"]) as bystander:
        stale.write_text(f"{bystander.pid}\n{seed}\n0\n5432\n\n\n  1  1\nready\n")
        try:
            with EmbeddedPostgres(seed) as postgres:
                assert "seed" in notes(postgres.dsn())
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_postgres_started_by_hand_is_left_alone(seed: Path) -> None:
    cluster = seed / "postgres"
    program = embedded_folder.binaries_for(18, None) / "postgres"
    owner = unprivileged(cluster.stat().st_uid)
    identity = reaching(owner, [seed], program) or owner
    settings = ["-c", "unix_socket_directories=", "-h", "127.0.0.1", "-p", str(free_port())]
    command: list[str | Path] = [program, "-D", cluster, *settings]
    with launch(command, identity, signal.SIGQUIT, output=subprocess.DEVNULL) as by_hand:
        try:
            wait_until((cluster / "postmaster.pid").exists)
            with pytest.raises(FolderInUse, match=f"pid {by_hand.pid}, works on"):
                EmbeddedPostgres(seed).start()
        finally:
            by_hand.send_signal(signal.SIGQUIT)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_killed_initdb_leaves_nothing_wrong(tmp_path: Path, hold: Callable[..., Holder]) -> None:
    data_dir = tmp_path / "data"
    holder = hold(data_dir)
    wait_until(lambda: any(data_dir.glob("postgres.new-*/base")))
    holder.process.kill()
    assert not (data_dir / "postgres").exists()
    with EmbeddedPostgres(data_dir) as postgres:
        assert sql(postgres.dsn(), "SELECT 1") == [(1,)]
    assert {path.name for path in data_dir.iterdir()} == {
        "postgres",
        "postgres.lock",
        "postgres.log",
    }


def test_folder_decides_the_version(seed: Path, tmp_path: Path) -> None:
    wheel = embedded_folder.binaries_for(16, None)
    with EmbeddedPostgres(tmp_path / "old", wheel) as postgres:
        assert str(sql(postgres.dsn(), "SHOW server_version")[0][0]).startswith("16.")
    with EmbeddedPostgres(tmp_path / "old") as postgres:
        assert str(sql(postgres.dsn(), "SHOW server_version")[0][0]).startswith("16.")
    with pytest.raises(VersionMismatch, match=r"PostgreSQL 18 data.*version 16\..*MODELBOX_PG_BIN"):
        EmbeddedPostgres(seed, wheel).start()


def test_refusals_say_what_to_do(tmp_path: Path, data_dir: Path) -> None:
    with pytest.raises(BinariesMissing, match="MODELBOX_PG_BIN is"):
        EmbeddedPostgres(data_dir, tmp_path).start()
    strange = tmp_path / "strange" / "postgres"
    strange.mkdir(parents=True)
    (strange / "thesis.txt").touch()
    with pytest.raises(FolderRefused, match="holds no PostgreSQL data"):
        EmbeddedPostgres(strange.parent).start()
    with pytest.raises(FolderRefused, match=r"thesis\.txt"):
        EmbeddedPostgres(strange / "thesis.txt").start()
    (data_dir / "postgres" / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(CannotStart, match="pg_control"):
        EmbeddedPostgres(data_dir).start()
    (data_dir / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(VersionMismatch, match=r"PostgreSQL 12 data.*18 and 16\."):
        EmbeddedPostgres(data_dir).start()
    assert not processes_in(tmp_path)


def test_long_paths(data_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    (deep / "tmp").mkdir(parents=True)
    data_dir.rename(deep / "data")
    monkeypatch.setattr(tempfile, "tempdir", str(deep / "tmp"))
    with EmbeddedPostgres(deep / "data") as postgres:
        assert "seed" in notes(postgres.dsn())
    assert not any((deep / "tmp").iterdir())


def test_abandoned_sockets_are_swept(seed: Path) -> None:
    day_old = time.time() - 86_400
    abandoned, fresh = (Path(tempfile.mkdtemp(prefix="modelbox-pg-")) for _ in range(2))
    os.utime(abandoned, (day_old, day_old))
    with EmbeddedPostgres(seed) as postgres:
        os.utime(sockets_of(postgres.dsn()), (day_old, day_old))
        _remove_abandoned_sockets("")
        assert "seed" in notes(postgres.dsn())
    assert not abandoned.exists()
    fresh.rmdir()


def test_log_is_bounded(seed: Path) -> None:
    path = seed / "postgres.log"
    path.write_bytes(b"an old line\n" * (embedded_folder.LOG_LIMIT // 8))
    with EmbeddedPostgres(seed):
        assert path.stat().st_size < embedded_folder.LOG_LIMIT
        assert b"ready to accept connections" in path.read_bytes()


@needs_root
def test_root_reaches_a_closed_folder_without_opening_it(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedPostgres(closed / "deeper" / "data") as postgres:
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        assert (closed / "deeper" / "data" / "postgres").stat().st_uid != 0
        assert Path(f"/proc/{postgres.pid}").stat().st_uid != 0
        capabilities = Path(f"/proc/{postgres.pid}/status").read_text()
        assert "CapEff:\t0000000000000002\n" in capabilities


@needs_root
def test_root_without_capability_uses_a_folder_of_its_own(hold: Callable[..., Holder]) -> None:
    with tempfile.TemporaryDirectory() as closed, tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        data_dir = Path(closed, "data")
        holder = hold(data_dir, "incapable", home)
        assert sql(holder.dsn(), "SELECT 1") == [(1,)]
        assert (data_dir / "postgres").is_symlink()
        assert (data_dir / "postgres").resolve().is_relative_to(home)
        holder.end(signal.SIGINT)
        wait_until(lambda: not processes_in(Path(home)))
        with EmbeddedPostgres(data_dir) as postgres:
            assert sql(postgres.dsn(), "SELECT 1") == [(1,)]


@needs_root
def test_ordinary_user(hold: Callable[..., Holder]) -> None:
    nobody = Identity(pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
    able = reaching(nobody, [REPOSITORY], Path(sys.executable))
    with tempfile.TemporaryDirectory() as home:
        nobody.own(Path(home))
        holder = hold(Path(home, "data"), identity=able)
        dsn = holder.dsn()
        assert sql(dsn, "SELECT current_user::text") == [("modelbox",)]
        assert {path.stat().st_uid for path in Path(home, "data").iterdir()} == {nobody.uid}
        holder.end(signal.SIGINT)
        with EmbeddedPostgres(Path(home, "data")) as postgres:
            assert Path(f"/proc/{postgres.pid}").stat().st_uid == nobody.uid
        holder = hold(Path(home, "data"), identity=able)
        holder.dsn()
        assert {path.stat().st_uid for path in Path(home, "data").iterdir()} == {nobody.uid}
        holder.end(signal.SIGINT)


@needs_root
def test_ordinary_user_is_told_whose_folder_it_is(hold: Callable[..., Holder]) -> None:
    nobody = Identity(pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
    able = reaching(nobody, [REPOSITORY], Path(sys.executable))
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        Path(home, "data", "postgres").mkdir(parents=True)
        with pytest.raises(AssertionError, match=f"belongs to user 0, and .* user {nobody.uid}"):
            hold(Path(home, "data"), identity=able).dsn()
