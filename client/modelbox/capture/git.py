"""The code's state: read from git's files at once, and asked of git itself later, by another process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from modelbox.capture.asking import asked
from modelbox.capture.secrets import in_address, in_code

LARGEST_FILE: Final = 4 << 20
"""Of git's own, that is read; where packed references are more, git itself is asked later."""

LARGEST_DIFF: Final = 256 << 10
ORIGINS: Final = {
    "commit": ("GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT"),
    "branch": ("GITHUB_REF_NAME", "CI_COMMIT_REF_NAME", "GIT_BRANCH"),
}
"""Where builders of images and CI leave what they checked out."""

_GIT: Final = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
_STATUS: Final = ("status", "--porcelain=v2", "--branch", "--untracked-files=no")
_DIFF: Final = ("diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short")


def at_once() -> dict[str, str]:
    """Commit, branch and remote, as far as git's files tell."""
    root = root_of_code()
    found = {} if root is None else _read(root)
    if found:
        return found
    return {name: value for name, names in ORIGINS.items() if (value := _first(os.environ, names))}


def _first(given: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((given[name] for name in names if given.get(name)), "")


def root_of_code() -> Path | None:
    """The working tree of the script that runs; or else of the folder that we are in."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    for place in (Path(script).resolve().parent if script else None, Path.cwd()):
        if place is None or place.is_relative_to(sys.prefix):
            continue
        for folder in (place, *place.parents):
            if (folder / ".git").exists():
                return folder
    return None


def _read(root: Path) -> dict[str, str]:
    own = _folder(root / ".git")
    common = own / "commondir"
    shared = own / common.read_text().strip() if common.is_file() else own
    head = own / "HEAD"
    if not head.is_file():
        return {}
    says, _, name = head.read_text().strip().partition(": ")
    found = {"commit": _commit(own, shared, name) if name else says}
    if name.startswith("refs/heads/"):
        found["branch"] = name.removeprefix("refs/heads/")
    found["remote"] = in_address(_remote(shared / "config"))
    return {key: value for key, value in found.items() if value and ".invalid" not in value}


def _folder(place: Path) -> Path:
    """Of a worktree or a submodule, `.git` is a file that says where."""
    if place.is_dir():
        return place
    return place.parent / place.read_text().strip().removeprefix("gitdir: ")


def _commit(own: Path, shared: Path, name: str) -> str:
    for place in (own / name, shared / name):
        if place.is_file():
            return place.read_text().strip()
    packed = shared / "packed-refs"
    if packed.is_file() and packed.stat().st_size <= LARGEST_FILE:
        for line in packed.read_text(errors="replace").splitlines():
            if line.endswith(f" {name}"):
                return line.partition(" ")[0]
    return ""


def _remote(config: Path) -> str:
    """Where `origin` is; or else the first remote."""
    remotes = dict(_remotes(config.read_text(errors="replace"))) if config.is_file() else {}
    return remotes.get("origin") or next(iter(remotes.values()), "")


def _remotes(text: str) -> Iterator[tuple[str, str]]:
    name = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            name = line[8:].strip('"]') if line.startswith("[remote") else ""
        key, _, value = line.partition("=")
        if name and key.strip().lower() == "url":
            yield name, value.strip().strip('"')


def state(root: Path, *, with_diff: bool) -> dict[str, Any]:
    """Whether the code differs from its commit; and how, if that is wanted. Takes seconds, at most."""
    answer = asked([*_GIT, "-C", str(root), *_STATUS])
    if answer is None:
        return {}
    lines = answer.text.splitlines()
    changed = [line for line in lines if not line.startswith("#")]
    oid = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "(initial)")
    found: dict[str, Any] = {"dirty": bool(changed), "changedFiles": len(changed)}
    if oid != "(initial)":
        found["commit"] = oid
        if with_diff and changed:
            found |= _diff(root)
    return found


def _diff(root: Path) -> dict[str, Any]:
    answer = asked([*_GIT, "-C", str(root), *_DIFF], most=LARGEST_DIFF)
    if answer is None:
        return {}
    text = in_code(answer.text).replace("\0", "")
    return {"diff": text, "isDiffCut": answer.is_cut}
