"""Where a setting comes from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.configuration import CLIENTS_VARIABLES
from app.settings import Settings, variable
from modelbox import configuration
from modelbox.configuration import load
from modelbox.errors import ModelBoxError


def origins(**flags: object) -> dict[str, tuple[object, str]]:
    return {name: (value, origin) for name, value, origin in load(**flags).explain()}


def test_the_defaults_need_nothing(clean: Path) -> None:
    found = load()
    assert (found.server, found.namespace, found.mode, found.run_id) == (
        "http://127.0.0.1:8000",
        "default",
        "online",
        None,
    )
    assert found.folder == clean / ".modelbox/queue"
    assert {origin for _, origin in origins().values()} == {"default"}


def test_the_stronger_source_wins(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = configuration.user_folder() / "config.toml"
    user.parent.mkdir(parents=True)
    user.write_text('namespace = "user"\nmode = "offline"\nserver = "https://user.example"\ncapture-git = false\n')
    (clean / "modelbox.toml").write_text('namespace = "project"\nmode = "online"\nserver = "https://project.example"')
    monkeypatch.setenv("MODELBOX_NAMESPACE", "variable")
    monkeypatch.setenv("MODELBOX_SERVER", "https://variable.example/")

    found = origins(namespace="flag", mode=None)

    assert found["namespace"] == ("flag", "flag")
    assert found["server"] == ("https://variable.example", "$MODELBOX_SERVER")
    assert found["mode"] == ("online", str(clean / "modelbox.toml"))
    assert found["capture_git"] == (False, str(user))


def test_an_empty_variable_sets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_MODE", "")
    assert load().mode == "online"


def test_the_projects_file_is_looked_for_upwards_to_the_repositorys_root(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clean.parent / "modelbox.toml").write_text('namespace = "outside"')
    below = clean / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert load().namespace == "default"

    (clean / "pyproject.toml").write_text('[tool.modelbox]\nnamespace = "root"\nfolder = "queue"')
    (clean / "a" / "pyproject.toml").write_text("[project]\n")
    assert (load().namespace, load().folder) == ("root", clean / "queue")


def test_a_folder_is_told_by_its_own_variable(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_QUEUE_DIR", "elsewhere")
    assert origins()["folder"] == (clean / "elsewhere", "$MODELBOX_QUEUE_DIR")


def test_a_pyproject_that_is_none_is_not_ours_to_judge(clean: Path) -> None:
    (clean / "pyproject.toml").write_text("no toml [")
    assert load().namespace == "default"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('namespase = "x"', "did you mean 'namespace'"),
        ("x = 1", "there are server"),
        ('token = "mbx"', "modelbox login"),
        ('run_id = "exp"', "MODELBOX_RUN_ID"),
        ('mode = "on"', "online, offline, disabled"),
        ('server = "modelbox.example"', "https://"),
        ('server = "https://ann:secret@modelbox.example"', "no password"),
        ("namespace = 1", "must be a text"),
        ("capture_git = 2", "true or false"),
        ("folder = []", "must be a path"),
        ("no toml [", "cannot be read"),
    ],
)
def test_a_file_with_a_fault_is_refused(clean: Path, text: str, words: str) -> None:
    (clean / "modelbox.toml").write_text(text)
    with pytest.raises(ModelBoxError, match=words) as caught:
        load()
    assert caught.value.code == "CONFIGURATION"
    assert "modelbox.toml" in caught.value.message
    assert "secret" not in caught.value.message


def test_an_unknown_flag_and_a_wrong_variable_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelBoxError, match="did you mean 'server'"):
        load(sever="https://x.example")
    monkeypatch.setenv("MODELBOX_CAPTURE_DIFF", "perhaps")
    with pytest.raises(ModelBoxError, match="MODELBOX_CAPTURE_DIFF must be true or false"):
        load()


@pytest.mark.parametrize(("word", "value"), [("1", True), ("TRUE", True), ("off", False), ("no", False)])
def test_flags_are_written_in_several_ways(monkeypatch: pytest.MonkeyPatch, word: str, value: bool) -> None:
    monkeypatch.setenv("MODELBOX_CAPTURE_DIFF", word)
    assert load().capture_diff is value


def test_a_variable_that_is_nearly_ours_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in Settings.model_fields:
        monkeypatch.setenv(variable(setting), "x")
    assert configuration.misspelled() == []
    monkeypatch.setenv("MODELBOX_NAMESPCE", "x")
    assert configuration.misspelled() == [("MODELBOX_NAMESPCE", "MODELBOX_NAMESPACE")]


def test_the_server_passes_over_each_variable_of_ours() -> None:
    ours = {configuration.variable(name) for name in configuration.NAMES}
    assert ours <= CLIENTS_VARIABLES
