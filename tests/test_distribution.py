"""What the image is built from, built the same way: no container engine runs where tests run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house_rules import SERVER, kept_files

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COPIED = [word for line in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the Dockerfile's build stage makes from what it copies."""
    folder = tmp_path_factory.mktemp("image")
    for name in COPIED:
        path = ROOT / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, _made(folder / "source" / name))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, folder / "source"], check=True)
    return next(folder.glob("*.whl"))


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_the_wheel_holds_every_file_of_the_server(wheel: Path) -> None:
    """Migrations, the printed schema and the page are read at run time; a forgotten one fails only there."""
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {path.relative_to(ROOT).as_posix() for path in kept_files(ROOT)}
    missing = {name for name in wanted if name.split("/")[0] in SERVER} - held
    assert missing == set()


def test_the_wheel_names_the_command(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    name = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert "modelbox-server = app.cli:main" in archive.read(name).decode()


def test_the_build_context_lets_through_what_is_copied() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == set(COPIED)


def test_the_image_runs_as_a_fixed_ordinary_user_and_says_how_it_is() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", final, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", final, re.MULTILINE)
    assert "pip" not in re.sub(r"#.*", "", final), "what builds stays in the first stage"


def test_locks_name_no_place_of_their_own() -> None:
    """Where packages come from is the machine's setting; a lock says which, by hash."""
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        pinned = [line for line in lock.read_text().splitlines() if re.match(r"[a-zA-Z0-9]", line)]
        assert len(pinned) > 20
        assert [line for line in pinned if not re.fullmatch(r"[\w.-]+(\[\w+\])?==[\w.!]+ \\", line)] == []
