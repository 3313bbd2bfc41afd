"""Signing in, what is set, what is wrong, and the words of the parser."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbox import credentials
from modelbox.cli import exits
from modelbox.cli.completion import SHELLS, words_of
from modelbox.cli.main import parser
from modelbox.errors import ModelBoxError, Refused, Unreachable
from tests.acceptance.server import Server, run
from tests.client.program import at_a_terminal, modelbox

pytestmark = pytest.mark.acceptance
PAGE = (Path(__file__).parents[2] / "docs" / "client-commands.md").read_text()
NOWHERE = "http://127.0.0.1:9"
COMMANDS = [
    each.before
    for each in words_of(parser())
    if each.before
    and not any(other.before[: len(each.before)] == each.before for other in words_of(parser()) if other != each)
]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server that wants tokens, and one of them."""
    server = Server(tmp_path_factory.mktemp("guarded") / "data")
    try:
        server.ready()
        made = run("token", "create", "ann", "--role", "ADMIN", "--data-dir", str(server.data_dir), cwd=server.data_dir)
        token = re.findall(r"mbx_[\w-]+", made.stdout)
        assert token, made
        yield server.address, token[0]
    finally:
        server.discard()


def test_a_token_is_read_tried_and_kept(guarded: tuple[str, str]) -> None:
    address, token = guarded
    before = modelbox("run", "list", "--server", address)
    assert (before.code, "UNAUTHENTICATED" in before.err, "Next: modelbox login" in before.err) == (4, True, True)

    wrong = modelbox("login", "--server", address, given=token[:-1] + "\n")
    assert (wrong.code, credentials.path().exists()) == (4, False)
    assert modelbox("login", "--server", address).code == 2

    kept = modelbox("login", "--server", address, "--json", given=token + "\n")
    assert (kept.code, kept.json["actor"]) == (0, "ann")
    assert token not in kept.out + kept.err
    assert modelbox("run", "list", "--server", address).code == 0
    explained = {each["name"]: each for each in modelbox("config", "explain", "--server", address, "--json").json}
    assert explained["token"] == {"name": "token", "value": "(secret)", "origin": str(credentials.path())}

    assert modelbox("logout", "--server", address, "--json").json == {"server": address, "wasKept": True}
    assert modelbox("run", "list", "--server", address).code == 4
    assert "No token was kept" in modelbox("logout", "--server", address).err


def test_a_token_that_is_typed_is_not_shown(guarded: tuple[str, str]) -> None:
    address, token = guarded
    code, shown = at_a_terminal("login", "--server", address, asked="Token for", typed=f"{token}\n")
    assert (code, "Token for" in shown) == (0, True)
    assert credentials.token(address) == token


def test_a_token_is_no_argument_and_goes_over_no_open_line() -> None:
    assert modelbox("login", "--token", "mbx_1").code == 2
    refused = modelbox("login", "--server", "http://modelbox.example", given="mbx_1\n")
    assert (refused.code, "INSECURE_CONNECTION" in refused.err) == (2, True)


def test_a_server_that_is_away_is_said_to_be(clean: Path) -> None:
    away = modelbox("run", "list", "--server", NOWHERE)
    assert (away.code, away.out) == (3, "")
    assert away.err.endswith("Next: modelbox doctor\n")
    looked = modelbox("doctor", "--server", NOWHERE)
    assert (looked.code, [row[1] for row in looked.rows]) == (3, ["ok", "ok", "ok", "ok", "FAILED"])
    assert "make serve" in looked.err
    typo = modelbox("doctor", "--server", NOWHERE, MODELBOX_NAMESPCE="x")
    assert (typo.code, "did you mean MODELBOX_NAMESPACE" in typo.out) == (2, True)
    (clean / ".modelbox").write_text("no folder")
    assert modelbox("doctor", "--server", NOWHERE, "--json").json[-1]["check"] == "queue"


def test_a_healthy_client_is_said_to_be(guarded: tuple[str, str]) -> None:
    address, token = guarded
    found = modelbox("doctor", "--server", address, "--json", MODELBOX_TOKEN=token)
    assert (found.code, {each["isFine"] for each in found.json}) == (0, {True})
    assert [each["check"] for each in found.json][-2:] == ["you", "stream"]
    assert modelbox("doctor", "--server", address, MODELBOX_TOKEN=token[:-1]).code == 4


def test_a_wrong_setting_names_the_place_to_look(clean: Path) -> None:
    (clean / "modelbox.toml").write_text('namespase = "x"')
    wrong = modelbox("run", "list")
    assert (wrong.code, "did you mean 'namespace'" in wrong.err) == (2, True)
    assert "Next: modelbox config explain" in wrong.err


def test_settings_are_explained(clean: Path) -> None:
    (clean / "modelbox.toml").write_text('namespace = "vision"')
    found = {row[0]: row[1:] for row in modelbox("config", "explain", MODELBOX_MODE="offline").rows}
    assert found["namespace"] == ["vision", str(clean / "modelbox.toml")]
    assert found["mode"] == ["offline", "$MODELBOX_MODE"]
    assert found["server"] == ["http://127.0.0.1:8000", "default"]


@pytest.mark.parametrize(
    ("words", "next_"),
    [((), "modelbox"), (("rnu",), "modelbox"), (("run",), "modelbox run"), (("run", "show"), "modelbox run show")],
)
def test_wrong_words_name_the_help(words: tuple[str, ...], next_: str) -> None:
    wrong = modelbox(*words)
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.endswith(f"Next: {next_} --help\n")


def test_help_imports_nothing_that_is_slow() -> None:
    code = "import sys; from modelbox.cli.main import parser; parser().format_help(); print(*sys.modules)"
    from tests.client.program import COMMAND, environment

    loaded = subprocess.run([COMMAND[0], "-c", code], env=environment(), capture_output=True, text=True, check=True)
    roots = {name.partition(".")[0] for name in loaded.stdout.split()}
    assert roots.isdisjoint({"urllib3", "websockets", "rich", "asyncio", "ssl", "http"})
    assert modelbox("--version").code == 0


def test_errors_have_their_exits() -> None:
    for error, code in (
        (Unreachable("x"), 3),
        (Refused("UNAUTHENTICATED", "x"), 4),
        (Refused("NOT_FOUND", "x"), 5),
        (Refused("FORBIDDEN", "x"), 6),
        (Refused("NAME_TAKEN", "x"), 1),
        (ModelBoxError("CONFIGURATION", "x"), 2),
    ):
        assert exits.of(error) == code
        assert exits.next_command(error, "run show").startswith("modelbox ")


# --- The page, and the completions ---


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_is_on_the_page(command: tuple[str, ...]) -> None:
    assert f"`modelbox {' '.join(command)}" in PAGE


def test_the_page_names_no_other_command() -> None:
    named = re.findall(r"^\| `modelbox ([a-z ]+?)(?: [^a-z ].*)?` \|", PAGE, re.MULTILINE)
    assert sorted(named) == sorted(" ".join(command) for command in COMMANDS)


def test_the_page_says_what_it_ends_with() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE))
    assert {int(code): sentence for code, sentence in rows.items()} == exits.TABLE


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shells_completion_knows_every_command(shell: str) -> None:
    script = modelbox("completion", shell).out
    assert all(word in script for command in COMMANDS for word in command)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", {"run", "login", "doctor"}),
        ("run ", {"list", "show", "tail", "diff", "rm"}),
        ("run li", {"list"}),
        ("run list --s", {"--server", "--status", "--sort"}),
        ("run list --status RUNNING --n", {"--namespace"}),
        ("completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes(typed: str, expected: set[str]) -> None:
    words = ["modelbox", *typed.split(" ")]
    script = f"{modelbox('completion', 'bash').out}\nCOMP_WORDS=({' '.join(json.dumps(w) for w in words)})\n"
    script += f"COMP_CWORD={len(words) - 1}\n_modelbox\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert expected <= set(done.stdout.split())
    if typed.endswith("li") or "--n" in typed:
        assert set(done.stdout.split()) == expected
