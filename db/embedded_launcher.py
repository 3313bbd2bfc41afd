"""Become another user, tie the life of this process to its parent's, then become another program.

Run as a script in a bare interpreter (`python -I -S`), never imported by the server. A fresh
process is needed because the steps must happen between fork and exec: done by `preexec_fn` they
would run Python code in the fork of a process that may have threads, which can deadlock.

    embedded_launcher.py PARENT SIGNAL UID GID CAPABILITY COMMAND [ARGUMENT ...]

PARENT is the pid of the caller; SIGNAL the parent-death signal (0: none); UID and GID the user to
become (-1: stay); CAPABILITY 1 to keep CAP_DAC_OVERRIDE through the change of user.
"""

from __future__ import annotations

import ctypes
import os
import sys

# Values of linux/prctl.h and linux/capability.h.
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


def prctl(option: int, *values: int) -> None:
    """Change a setting of this process. Raises OSError if the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    if libc.prctl(ctypes.c_int(option), *padded) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) was refused")


def keep_only_dac_override() -> None:
    """Reduce the capabilities to CAP_DAC_OVERRIDE and make it survive exec (capabilities(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    low = 1 << CAP_DAC_OVERRIDE
    # Two words each of effective, permitted, inheritable; the second triple is capabilities 32-63.
    sets = (ctypes.c_uint32 * 6)(low, low, low, 0, 0, 0)
    if libc.capset(ctypes.byref(header), ctypes.byref(sets)) != 0:
        raise OSError(ctypes.get_errno(), "CAP_DAC_OVERRIDE is not available")
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE)


def become(uid: int, gid: int, *, with_capability: bool) -> None:
    """Drop from root to a user, with none of root's groups."""
    if with_capability:
        prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if with_capability:
        keep_only_dac_override()


def tie_to_parent(parent: int, death_signal: int) -> None:
    """Ask for a signal at the parent's death. A change of user clears it, so this comes last."""
    prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:  # It died before the kernel knew our wish.
        sys.exit(1)


def main() -> None:
    """Do the steps in the only order that works, then exec."""
    parent, death_signal, uid, gid, capability = (int(word) for word in sys.argv[1:6])
    command = sys.argv[6:]
    os.umask(0o077)
    if uid >= 0:
        become(uid, gid, with_capability=bool(capability))
    if death_signal:
        tie_to_parent(parent, death_signal)
    os.execv(command[0], command)  # noqa: S606 - becoming the command is the point


if __name__ == "__main__":
    main()
