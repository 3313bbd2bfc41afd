"""The command line: what it prints, what it ends with, and that no failure is a traceback."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from app import cli, failures
from app.settings import PREFIX
from db.embedded import FolderInUse
from graphql_schema.schema import sdl

SECRET = "hunter2"
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run a command in an empty folder without settings of its own."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["modelbox-server", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        code = end.value.code
        assert isinstance(code, int | None)
        return Ended(code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def stored(run: Run, dsn: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same, with a database."""
    monkeypatch.setenv("MODELBOX_DATABASE_URL", dsn)
    return run


def test_help_loads_nothing_slow() -> None:
    heavy = ("asyncio", "asyncpg", "pydantic", "sqlalchemy", "starlette", "strawberry", "structlog", "uvicorn")
    script = f"import app.cli, sys; print([name for name in {heavy} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert ran.stdout == "[]\n"


def test_help_names_the_exit_codes(run: Run) -> None:
    ended = run("--help")
    assert ended.code == 0
    codes = {code for _, code in failures.EXIT_CODES}
    listed = " ".join(ended.out.split()).partition("Exit codes:")[2]
    assert {int(code) for code in re.findall(r"(\d+) [a-z]", listed)} == codes | {0, 1, 130}


@pytest.mark.parametrize("words", [(), ("token",), ("serv",), ("serve", "--prot", "1"), ("-c", "port")])
def test_wrong_usage_ends_with_2(run: Run, words: tuple[str, ...]) -> None:
    assert run(*words).code == 2


def test_schema_is_printed_and_nothing_begun(run: Run, tmp_path: Path) -> None:
    assert run("schema").out == sdl()
    assert not any(tmp_path.iterdir())


def test_settings_are_shown_with_their_origin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_DATABASE_URL", f"postgresql://ann:{SECRET}@db/x")
    ended = run("settings", "-c", "max-depth=7")
    assert re.search(r"^MODELBOX_MAX_DEPTH +7 +flag$", ended.out, re.MULTILINE)
    assert "postgresql://ann:***@db/x" in ended.out
    entries = {entry["name"]: entry for entry in json.loads(run("settings", "--json").out)}
    assert entries["MODELBOX_PORT"] == {"name": "MODELBOX_PORT", "value": "8000", "origin": "default"}


@pytest.mark.parametrize("command", ["serve", "migrate", "doctor", "settings"])
def test_settings_that_cannot_be_used_end_with_2(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("MODELBOX_PROT", "1")
    ended = run(command)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("modelbox-server: MODELBOX_PROT is no setting. Did you mean MODELBOX_PORT?")


def test_a_flag_without_a_value_is_wrong_usage(run: Run) -> None:
    ended = run("settings", "-c", "port")
    assert ended.code == 2
    assert "-c port=VALUE" in ended.err


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("migrate",), ("token", "list")])
def test_a_database_that_is_away_ends_with_3(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("MODELBOX_DATABASE_URL", f"postgresql://ann:{SECRET}@127.0.0.1:1/x")
    ended = run(*command)
    assert ended.code == 3
    assert "The database at postgresql://ann:***@127.0.0.1:1/x cannot be used" in ended.err
    assert SECRET not in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_port_in_use_ends_with_4(stored: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = stored("serve", "--port", str(port))
    assert ended.code == 4
    assert re.search(rf"Port {port} of 127.0.0.1 is in use.*`modelbox-server serve --port \d+`", ended.err)


@pytest.mark.parametrize(
    "words",
    [
        ("--host", "0.0.0.0"),
        ("-c", "trusted_proxies=127.0.0.1"),
        ("-c", "cors_origins=https://ui.example.com"),
        ("--auth", "required"),
    ],
)
def test_nobody_is_served_to_strangers_without_tokens(stored: Run, words: tuple[str, ...]) -> None:
    ended = stored("serve", "--port", "0", *words)
    assert ended.code == 5
    assert "`modelbox-server token create admin --role ADMIN`" in ended.err


def test_known_errors_have_codes_and_others_have_none() -> None:
    assert failures.exit_code(FolderInUse("x")) == 3
    assert failures.exit_code(ValueError("x")) is None


def test_an_empty_database_is_migrated(run: Run, empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_DATABASE_URL", empty_dsn)
    assert run("doctor", "--json").code == 0
    ended = run("migrate")
    assert ended.code == 0
    assert "has schema" in ended.err
    assert run("migrate").err == ended.err


# --- Tokens ---


def test_a_token_is_shown_once(stored: Run) -> None:
    assert stored("token", "list").out == "No token is stored.\n"
    made = stored("token", "create", "ann", "--role", "admin", "--description", "laptop")
    assert re.fullmatch(r"mbx_[0-9a-f]{12}_[\w-]{43}\n", made.out)
    assert "not shown again" in made.err
    prefix, secret = made.out.strip().rsplit("_", 1)[0][:16], made.out.strip()[17:]
    listed = stored("token", "list")
    assert re.search(rf"^{prefix} +valid +ann +ADMIN +everywhere +20\S+ \S+ UTC +laptop$", listed.out, re.MULTILINE)
    assert secret not in listed.out + stored("token", "list", "--json").out


def test_a_revoked_token_is_known_as_such(stored: Run) -> None:
    token = stored("token", "create", "nightly", "--service-account", "--expires", "never").out.strip()
    assert stored("token", "revoke", token).err == f"modelbox-server: {token[:16]} is revoked.\n"
    (entry,) = json.loads(stored("token", "list", "--json").out)
    assert (entry["state"], entry["name"], entry["kind"], entry["role"], entry["expires_at"]) == (
        "revoked",
        "nightly",
        "SERVICE_ACCOUNT",
        "WRITER",
        None,
    )


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("create", "ann", "--role", "KING"), 2, "KING is no role. Choose one of READER, WRITER"),
        (("create", "ann", "--expires", "soon"), 2, "--expires soon is no time. Write 12h, 90d or 4w"),
        (("create", "a/b"), 7, "`name` contains '/'"),
        (("create", "ann", "--namespace", "nowhere"), 7, "There is no namespace 'nowhere'."),
        (("revoke", "mbx_000000000000"), 7, "There is no token mbx_000000000000."),
        (("revoke", "\0"), 7, "There is no token"),
    ],
)
def test_a_token_that_cannot_be_made_or_revoked(stored: Run, words: tuple[str, ...], code: int, sentence: str) -> None:
    ended = stored("token", *words)
    assert (ended.code, ended.out) == (code, "")
    assert sentence in ended.err
    assert stored("token", "list").out == "No token is stored.\n"


# --- Doctor ---


def levels(ended: Ended) -> dict[str, str]:
    """The level of each finding, by its first words."""
    return {entry["what"]: entry["level"] for entry in json.loads(ended.out)}


def test_the_doctor_finds_nothing_wrong(stored: Run) -> None:
    ended = stored("doctor", "-c", "port=0")
    assert ended.code == 0
    assert {line[:4] for line in ended.out.splitlines()} == {"ok  "}
    assert "works as the role modelbox_server" in ended.out


def test_the_doctor_makes_nothing(run: Run, tmp_path: Path) -> None:
    ended = run("doctor", "-c", "port=0")
    assert ended.code == 0
    assert "will be made by the first `modelbox-server serve`" in ended.out
    assert not any(tmp_path.iterdir())


def test_the_doctor_finds_what_is_wrong(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MODELBOX_DATABASE_URL", f"postgresql://ann:{SECRET}@127.0.0.1:1/x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("doctor", "--json", "-c", f"port={port}", "-c", "blob_url=file:file/blobs")
    found = levels(ended)
    assert ended.code == 1
    assert SECRET not in ended.out
    failed = [what for what, level in found.items() if level == "fail"]
    assert [what.split()[0] for what in failed] == ["database:", "port", "blob"]
    assert all(entry["remedy"] for entry in json.loads(ended.out) if entry["level"] == "fail")


def test_the_doctor_misses_tokens_where_they_are_needed(stored: Run) -> None:
    ended = stored("doctor", "-c", "port=0", "-c", "host=0.0.0.0")
    assert ended.code == 1
    assert "-> Run `modelbox-server token create NAME --role ADMIN`." in ended.out
    stored("token", "create", "ann")
    assert stored("doctor", "-c", "port=0", "-c", "host=0.0.0.0").code == 0


def test_the_doctor_sees_a_schema_that_is_behind(run: Run, empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_DATABASE_URL", empty_dsn)
    ended = run("doctor", "-c", "port=0")
    assert ended.code == 0
    assert "warn the schema is behind" in ended.out


# --- The store of files ---


def test_an_empty_store_is_right_and_clean(stored: Run) -> None:
    ended = stored("fsck")
    assert (ended.code, ended.out.partition(",")[0]) == (0, "0 blobs of 0 bytes")
    assert json.loads(stored("fsck", "--quick", "--json").out)["is_right"] is True
    assert stored("fsck", "--tenant", "nobody").code == 7
    assert stored("sweep", "--dry-run").out.startswith("default: 0 blobs of 0 bytes would be removed")
    assert json.loads(stored("sweep", "--grace-hours", "0", "--json").out)["tenants"][0]["blobs"] == 0


def test_bytes_of_nobody_are_told_and_removed(stored: Run, tmp_path: Path) -> None:
    digest = "ab" * 32
    orphan = tmp_path / ".modelbox/blobs" / ("0" * 32) / "ab" / f"{digest}.{'1' * 32}"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"x")
    os.utime(orphan, (0, 0))
    ended = stored("fsck")
    assert ended.code == 1
    assert ended.out.startswith(f"orphaned {orphan.parent.parent.name}/ab/{orphan.name}: 1 bytes\n")
    assert stored("fsck", "--repair").code == 0
    assert not orphan.exists()
