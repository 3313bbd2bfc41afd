"""Names made to lead elsewhere: refused, or harmless in headers, archives and folders; and archives beyond limits."""

from __future__ import annotations

import asyncio
import io
import shutil
import subprocess
import tarfile
import unicodedata
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urljoin
from uuid import UUID

import orjson
import pytest

from app.archives import Archive, _tar_header
from db.blobs.disk import DiskStore
from db.blobs.files import StoredFile
from db.blobs.store import CHUNK, Digest, Key, Parts
from db.engine import Database
from db.identifiers import new_id
from tests.app import files_at_work as at
from tests.app.uploading import kept, new_run, refused
from tests.uploader import BEGIN, Refused, Uploader, announced

ACUTE: Final = "é"
REFUSED: Final = (
    *("../a", "a/../b", "..", ".", "a/./b", "/etc/passwd", "//host/a", "a//b", "a/", "", " ", "a/ /b", ". ./a"),
    *("a\\b", "..\\a", "C:\\a", "C:a", "c:/a", "file:///a", "\\\\host\\a", "a\nb", "a\rb", "\x1b[2J", "\x85"),
    *("%2e%2e/a", "%252e%252e/a", "a%00b", "a%5cb", "%c0%ae%c0%ae/a", "a\u2028b", "x" * 1_025, "x" * (1 << 20)),
)
HARMLESS: Final = (
    *(
        "CON",
        "nul.txt",
        "a.",
        "a ",
        " a",
        "a.part",
        "x" * 250,
        "~",
        "~root",
        "-rf",
        "--help",
        ".hidden",
        "...a",
        "$(id)",
    ),
    *("\u202egnp.exe", "\u200b", "a;b", "a'b", 'a"b', "a?b*c", "<b>|", "`id`", "a%b", "100%", "%41", "#a", "&a", "a=b"),
    *(unicodedata.normalize("NFC", ACUTE), unicodedata.normalize("NFD", ACUTE), "readme", "README", "🏃", "d/e/f/g"),
    *("=cmd|' /C calc'!A0", "a\u0301/b", "\ufeffa", "\u2215etc", "\uff0e\uff0e/a", "d/..a", "d/a..", "d/…"),
)
MEDIA_TYPES: Final = (
    "/a",
    "a/",
    "text/html\r\nX: y",
    "a",
    "a/b/c",
    "text/plain; x=\x07",
    "x" * 10_000,
    "text/plain\n",
    "é/a",
)
BUFFER: Final = 2_000_000


@pytest.fixture
async def uploader(database: Database) -> AsyncIterator[Uploader]:
    async with at.at_work(database) as uploader:
        yield uploader


@pytest.fixture
async def run(uploader: Uploader) -> str:
    return await new_run(uploader)


async def test_names_that_are_refused(uploader: Uploader, run: str, database: Database) -> None:
    for name in REFUSED:
        file = {**announced("a", b"bytes"), "path": name}
        with pytest.raises(Refused) as caught:
            await uploader.change(BEGIN, objectId=run, name="w", files=[file])
        assert (caught.value.code, caught.value.path) == ("INVALID", ["input", "files", "0", "path"]), name[:20]
        assert len(str(caught.value)) < 3_000
    for name in ("a/b", "..", "a:b", "a@b", "", " ", "x" * 1_000, "x" * (1 << 20), "a\nb", "a\x85b"):
        assert await refused(uploader.change(BEGIN, objectId=run, name=name, files=[announced("a", b"")])) == "INVALID"
    for type_ in MEDIA_TYPES:
        file = announced("a", b"bytes", mediaType=type_)
        assert await refused(uploader.change(BEGIN, objectId=run, name="w", files=[file])) == "INVALID"
    assert await kept(database) == []


@pytest.mark.parametrize("text", [b"\\ud800", b"\\u0000"])
@pytest.mark.parametrize("field", ["path", "mediaType", "digest"])
async def test_what_is_no_text_is_no_fault(uploader: Uploader, run: str, field: str, text: bytes) -> None:
    """JSON can say it; UTF-8, or PostgreSQL, cannot."""
    file = announced("a", b"bytes") | {field: "HALF"}
    sent = {"query": BEGIN, "variables": {"input": {"objectId": run, "name": "w", "files": [file]}}}
    body = orjson.dumps(sent).replace(b"HALF", b"a" + text)
    headers = {**uploader.headers, "Content-Type": "application/json"}
    answer = await uploader.http.post(uploader.endpoint, content=body, headers=headers)
    assert answer.status_code in (200, 400)
    assert b"INTERNAL" not in answer.content


async def test_names_that_look_odd_lead_nowhere(uploader: Uploader, run: str, tmp_path: Path) -> None:
    """Each file comes back under its very name: by itself, and unpacked into a folder by several programs."""
    files = {name: b"%d" % number for number, name in enumerate(HARMLESS)}
    payload = await uploader.upload(run, "w ü 'x' \u202eb", files)
    assert {file["path"] for file in payload["artifact"]["files"]["nodes"]} == set(files)
    for file in payload["artifact"]["files"]["nodes"]:
        answer = await uploader.http.get(urljoin(uploader.endpoint, file["downloadUrl"]), headers=uploader.headers)
        value = answer.headers["content-disposition"]
        plain, _, extended = value.removeprefix('attachment; filename="').partition("\"; filename*=UTF-8''")
        assert unquote(extended, errors="strict") == file["path"].rpartition("/")[2]
        assert plain.isascii()
        assert not set(plain) & set('"\\\r\n/')
        assert answer.content == files[file["path"]]
    folder = tmp_path / "outside"
    archive = f"artifacts/{payload['artifact']['id']}"
    for program in unpackers():
        inside = folder / program.__name__ / "inside"
        inside.mkdir(parents=True)
        url = urljoin(uploader.endpoint, f"{archive}.{program.__name__.rpartition('_')[2]}")
        program((await uploader.http.get(url, headers=uploader.headers)).content, inside)
        assert [path.name for path in inside.parent.iterdir()] == ["inside"]
        found = {str(path.relative_to(inside)): path for path in inside.rglob("*") if not path.is_dir()}
        assert {name: path.read_bytes() for name, path in found.items()} == files
        assert not any(path.is_symlink() or path.stat().st_mode & 0o7111 for path in found.values())


def unpackers() -> list[Any]:
    programs = {"tar": tar_tar, "unzip": unzip_zip}
    return [python_tar, python_zip, *(unpack for name, unpack in programs.items() if shutil.which(name))]


def python_tar(data: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert all(entry.isreg() and not entry.linkname for entry in archive)
        archive.extractall(folder, filter="fully_trusted")  # That nothing guards it is the test.


def python_zip(data: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)


def tar_tar(data: bytes, folder: Path) -> None:
    subprocess.run(["tar", "-xf", "-", "-C", folder], input=data, check=True)


def unzip_zip(data: bytes, folder: Path) -> None:
    (folder.parent.parent / "w.zip").write_bytes(data)
    subprocess.run(["unzip", "-q", folder.parent.parent / "w.zip", "-d", folder], check=True)


# --- Beyond what old archives can tell ---


class Zeros(DiskStore):
    """A store of endless zeros."""

    async def read(self, key: Key, offset: int, size: int, digest: Digest | None = None) -> AsyncGenerator[bytes]:
        del key, offset
        for begin in range(0, size, CHUNK):
            piece = bytes(min(CHUNK, size - begin))
            if digest:
                digest.update(piece)
            yield piece


def zeros(path: str, size: int) -> StoredFile:
    part = 8 << 20
    whole = sha256(bytes(part)).digest() * (size // part) if size >= part else b""
    parts = Parts(size, part, whole + (sha256(bytes(size % part)).digest() if size % part else b""))
    return StoredFile(new_id(), path, None, datetime.now(UTC), Key(UUID(int=0), "0" * 64, new_id()), parts)


async def written(archive: Archive, path: Path) -> None:
    with path.open("wb") as file:
        async for piece in archive.pieces():
            file.write(piece)


def archive_of(format_: str, files: Sequence[StoredFile], tmp_path: Path) -> Archive:
    return Archive.of(format_, Zeros(tmp_path), "w", files)


@pytest.mark.parametrize("format_", ["tar", "zip"])
async def test_more_files_than_an_old_zip_can_count(tmp_path: Path, format_: str) -> None:
    files = [zeros(f"{number:05}", int(number % 1_000 == 0)) for number in range(66_000)]
    await written(archive_of(format_, files, tmp_path), tmp_path / "w")
    if format_ == "zip":
        with zipfile.ZipFile(tmp_path / "w") as zipped:
            found = [(entry.filename, entry.file_size) for entry in zipped.infolist()]
    else:
        assert (tmp_path / "w").stat().st_size == int(archive_of("tar", files, tmp_path).headers()["Content-Length"])
        with tarfile.open(tmp_path / "w") as tarred:
            found = [(each.name, each.size) for each in tarred]
    assert found == [(file.path, file.parts.size) for file in files]


async def test_more_bytes_than_an_old_zip_can_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is lowered from 2 GiB, so that not so many are written: what is behind it is the same."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", BUFFER)
    files = [zeros("first", BUFFER + 1), zeros("second", 5), zeros("third", BUFFER * 10), zeros("fourth", 0)]
    await written(archive_of("zip", files, tmp_path), tmp_path / "w.zip")
    monkeypatch.undo()
    with zipfile.ZipFile(tmp_path / "w.zip") as archive:
        assert archive.testzip() is None
        assert [(each.filename, each.file_size) for each in archive.infolist()] == [
            (file.path, file.parts.size) for file in files
        ]
    if shutil.which("unzip"):
        await asyncio.to_thread(subprocess.check_call, ["unzip", "-tq", tmp_path / "w.zip"])


@pytest.mark.parametrize("size", [(8 << 30) - 1, 8 << 30, 5 << 40])
def test_more_bytes_than_an_old_tar_can_count(size: int) -> None:
    path = "ü/" + "n" * 240
    key, parts = Key(UUID(int=0), "0" * 64, new_id()), Parts(size, 64 << 20, b"")
    head = _tar_header(StoredFile(new_id(), path, None, datetime.now(UTC), key, parts))
    with tarfile.open(fileobj=io.BytesIO(head + bytes(1_024))) as archive:
        entry = archive.next()
        assert entry is not None
        assert (entry.name, entry.size, entry.type) == (path, size, tarfile.REGTYPE)
