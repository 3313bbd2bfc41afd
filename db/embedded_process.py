"""Which user PostgreSQL runs as, and how its processes are begun so that they cannot be orphaned."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LAUNCHER = Path(__file__).with_name("embedded_launcher.py")
UNPRIVILEGED = ("modelbox", "postgres", "nobody")
# The server's own PG* and locale variables must not reach PostgreSQL (PGPORT would move the socket).
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be used."""


class BinariesMissing(EmbeddedError):
    """There are no PostgreSQL programs to run."""


class VersionMismatch(EmbeddedError):
    """The programs and the data folder are of different PostgreSQL versions."""


class FolderInUse(EmbeddedError):
    """Another server works on this data folder."""


class FolderRefused(EmbeddedError):
    """The data folder cannot be used by this user."""


class CannotStart(EmbeddedError):
    """PostgreSQL ended, or did not answer, while it was being started."""


@dataclass(frozen=True)
class Identity:
    """The user that PostgreSQL runs as. `uid` -1 stands for our own."""

    uid: int = -1
    gid: int = -1
    dac_override: bool = False

    def own(self, path: Path) -> None:
        """Give a file or folder to this user, never through a symbolic link."""
        if self.uid >= 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def own_tree(self, folder: Path) -> None:
        """Give a folder and all in it to this user, such as after a restore by root."""
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                self.own(Path(parent, name))
        self.own(folder)


def unprivileged(owner: int | None) -> Identity:
    """For root, the user to run as: the owner of an existing cluster, else the first that exists.

    For an ordinary user, that user.
    """
    if os.geteuid() != 0:
        return Identity()
    if owner:
        return Identity(owner, _group_of(owner))
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Identity(entry.pw_uid, entry.pw_gid)
    raise FolderRefused(
        "PostgreSQL refuses to run as root, and this machine has none of the users "
        f"{', '.join(UNPRIVILEGED)}. Create one, or start the server as an ordinary user."
    )


def _group_of(uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return uid


def launch(
    command: Sequence[str | Path],
    identity: Identity,
    death_signal: signal.Signals | None,
    *,
    output: IO[bytes] | int,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Begin a program in a session of its own, as `identity`, dying when we die.

    Its own session keeps a Ctrl-C in our terminal from reaching it: the server decides the order.
    On Linux the tie is the parent-death signal, which belongs to the *thread* that forks; elsewhere,
    and in other threads than the main one, the caller must add `watch`.
    """
    tie = death_signal if death_signal and kernel_ties() else 0
    words = (os.getpid(), int(tie), identity.uid, identity.gid, int(identity.dac_override))
    return subprocess.Popen(
        [sys.executable, "-I", "-S", LAUNCHER, *map(str, words), *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT,
        cwd="/",
        pass_fds=keep_open,
        start_new_session=True,
    )


def kernel_ties() -> bool:
    """Whether the kernel itself ends the children of this thread with the whole process."""
    return sys.platform == "linux" and threading.current_thread() is threading.main_thread()


def watch(pid: int, identity: Identity, death_signal: signal.Signals) -> subprocess.Popen[bytes]:
    """Begin a watchdog: a shell that signals `pid` when our end of its input closes.

    Writing a line to its input dismisses it.
    """
    script = f"read line || kill -{int(death_signal)} {pid}"
    return subprocess.Popen(
        ["/bin/sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
        user=identity.uid if identity.uid >= 0 else None,
        group=identity.gid if identity.uid >= 0 else None,
        extra_groups=[] if identity.uid >= 0 else None,
    )


def dismiss(watchdog: subprocess.Popen[bytes]) -> None:
    """End a watchdog without its signal."""
    with contextlib.suppress(BrokenPipeError):
        watchdog.communicate(b"\n")


def reaching(identity: Identity, folders: Sequence[Path], program: Path) -> Identity | None:
    """`identity`, with CAP_DAC_OVERRIDE if that is needed to enter the folders and run the program.

    None if even that is not enough. No mode of any folder is changed: an ancestor such as /root may
    be closed on purpose.
    """
    if identity.uid < 0 or _reaches(identity, folders, program):
        return identity
    stronger = Identity(identity.uid, identity.gid, dac_override=True)
    if sys.platform == "linux" and _reaches(stronger, folders, program):
        return stronger
    return None


def _reaches(identity: Identity, folders: Sequence[Path], program: Path) -> bool:
    script = 'program=$1; shift; for folder; do cd "$folder" || exit 1; done; exec "$program" -V'
    command: list[str | Path] = ["/bin/sh", "-c", script, "sh", program, *folders]
    return launch(command, identity, None, output=subprocess.DEVNULL).wait() == 0
