"""Settings: which of their places wins, what is refused, and that the documentation tells the same."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app import cli, configuration
from app.configuration import CLIENTS_VARIABLES, load, masked, origins, shown
from app.setting_files import SettingsError
from app.settings import PREFIX, Settings, secret_names, variable

SECRET = "hunter2"
URL = f"postgresql://ann:{SECRET}@db.example.com:5432/models"
PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def empty_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without `modelbox.toml`, and no variables."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


def toml(text: str) -> None:
    Path("modelbox.toml").write_text(text)


def refusal(flags: Mapping[str, Any] | None = None) -> str:
    with pytest.raises(SettingsError) as refused:
        load(flags)
    assert SECRET not in str(refused.value)
    return str(refused.value)


def test_flag_over_variable_over_file_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (load().port, origins()["port"]) == (8000, "default")
    toml("port = 1")
    assert (load().port, origins()["port"]) == (1, "modelbox.toml")
    monkeypatch.setenv("MODELBOX_PORT", "2")
    assert (load().port, origins()["port"]) == (2, "MODELBOX_PORT")
    assert (load({"port": 3}).port, origins({"port": 3})["port"]) == (3, "flag")
    assert load({"port": None}).port == 2


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_DATABASE_URL", "")
    monkeypatch.setenv("MODELBOX_WORKERS", "")
    assert (load().database_url, load().workers) == (None, 1)


def test_lists_are_written_with_commas_or_as_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    toml('cors_origins = ["https://a.example.com"]\nallowed_hosts = "one.example.com"')
    assert load().cors_origins == ("https://a.example.com",)
    assert load().allowed_hosts == ("one.example.com",)
    monkeypatch.setenv("MODELBOX_CORS_ORIGINS", "https://A.example.com/, http://localhost:3000,")
    assert load().cors_origins == ("https://a.example.com", "http://localhost:3000")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("MODELBOX_PROT", "MODELBOX_PORT"), ("MODELBOX_DATABSE_URL_FILE", "MODELBOX_DATABASE_URL_FILE")],
)
def test_a_variable_that_is_no_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, nearest: str) -> None:
    monkeypatch.setenv(name, SECRET)
    assert re.match(f"{name} is no setting. Did you mean {nearest}?", refusal())


def test_a_key_or_flag_that_is_no_setting_is_refused() -> None:
    assert "-c wrokers is no setting. Did you mean workers?" in refusal({"wrokers": "2"})
    toml("hots = '0.0.0.0'")
    assert "modelbox.toml: hots is no setting. Did you mean host?" in refusal()


def test_a_name_like_nothing_gets_no_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_XQZ", "1")
    assert "Did you mean" not in refusal()


@pytest.mark.parametrize("name", ["MODELBOX_SERVICE_HOST", "MODELBOX_PORT_8000_TCP"])
def test_what_kubernetes_adds_is_recognised(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "10.0.0.1")
    assert "enableServiceLinks: false" in refusal()


def test_what_is_the_clients_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CLIENTS_VARIABLES:
        monkeypatch.setenv(name, "x")
    toml("port = 1\n[client]\nmode = 'offline'")
    assert load().port == 1


def test_the_file_must_be_toml() -> None:
    toml("port: 1")
    assert refusal().startswith("modelbox.toml cannot be read:")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("port", "http", "valid integer"),
        ("port", "65536", "less than or equal to 65535"),
        ("workers", "0", "greater than or equal to 1"),
        ("auth", "no", "'auto' or 'required'"),
        ("database_url", f"mysql://ann:{SECRET}@x/y", "a URL like postgresql://"),
        ("database_url", f"postgresql://ann:{SECRET}@[x/y", "Invalid IPv6 URL"),
        ("blob_url", "s3://Bucket_/prefix", "a bucket like s3://bucket/prefix"),
        ("s3_endpoint_url", "minio:9000", "a URL like https://"),
        ("blob_url", "https://example.com", "a folder like file:blobs"),
        ("base_path", "/a/../b", "a plain path"),
        ("base_path", "/a b", "a plain path"),
        ("trusted_proxies", "proxy.example.com", "no IP address or network"),
        ("cors_origins", "*", "is no origin"),
        ("cors_origins", "ui.example.com", "is no origin"),
        ("request_timeout", "0", "greater than 0"),
        ("host", "", None),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str | None
) -> None:
    monkeypatch.setenv(variable(name), value)
    if reason is None:
        load()
        return
    assert refusal().startswith(f"{variable(name)} cannot be used:")
    assert reason in refusal()


def test_everything_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_PORT", "x")
    toml("workers = 0")
    assert refusal().splitlines() == [
        "MODELBOX_PORT cannot be used: it must be a valid integer, unable to parse string as an integer.",
        "workers (modelbox.toml) cannot be used: it must be greater than or equal to 1.",
    ]


def test_a_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(URL + "\n")
    monkeypatch.setenv("MODELBOX_DATABASE_URL_FILE", str(tmp_path / "url"))
    settings = load()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == URL
    assert origins()["database_url"] == "MODELBOX_DATABASE_URL_FILE"
    monkeypatch.setenv("MODELBOX_DATABASE_URL", URL)
    assert "not both" in refusal()
    monkeypatch.delenv("MODELBOX_DATABASE_URL")
    monkeypatch.setenv("MODELBOX_DATABASE_URL_FILE", str(tmp_path / "missing"))
    assert "cannot be read" in refusal()


def test_a_password_on_the_command_line_is_refused() -> None:
    assert "MODELBOX_DATABASE_URL_FILE" in refusal({"database_url": URL})
    assert "MODELBOX_DATABASE_URL_FILE" in refusal({"database_url": f"postgresql:///x?password={SECRET}"})
    assert load({"database_url": "postgresql://ann@db.example.com/models"}).database_url
    assert "MODELBOX_NATS_URL_FILE" in refusal({"nats_url": f"nats://{SECRET}@hub"})


def test_the_address_of_nats_is_checked() -> None:
    assert load({"nats_url": "nats://hub:4222"}).nats_url
    assert "nats://" in refusal({"nats_url": "http://hub"})


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_DATABASE_URL", URL)
    for text in (repr(load()), str(load().model_dump()), configuration.explained()):
        assert SECRET not in text
    assert SECRET not in configuration.explained(as_json=True)
    assert secret_names() == ["database_url", "nats_url"]


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        (URL, "postgresql://ann:***@db.example.com:5432/models"),
        ("postgresql://ann@h/d", "postgresql://ann@h/d"),
        (f"nats://ann:{SECRET}@hub:4222", "nats://ann:***@hub:4222"),
        (f"nats://{SECRET}@hub", "nats://***@hub"),
        (f"postgresql://h/d?user=a&password={SECRET}", "postgresql://h/d?user=a&password=***"),
        (f"postgresql:///d?host=/run/pg&sslpassword={SECRET}", "postgresql:///d?host=/run/pg&sslpassword=***"),
        (f"postgresql://a:x@{SECRET}@h/d", "postgresql://a:***@h/d"),
    ],
)
def test_passwords_are_masked_wherever_they_stand(url: str, seen: str) -> None:
    assert masked(url) == seen


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({}, None),
        ({"host": "localhost"}, None),
        ({"host": "::1"}, None),
        ({"host": "127.8.9.1", "cors_origins": "http://localhost:3000", "allowed_hosts": "box.localhost"}, None),
        ({"host": "0.0.0.0"}, "other machines"),
        ({"host": "box.example.com"}, "other machines"),
        ({"trusted_proxies": "127.0.0.1"}, "proxy"),
        ({"allowed_hosts": "box.example.com"}, "names that other machines use"),
        ({"allowed_hosts": "*"}, "names that other machines use"),
        ({"cors_origins": "https://ui.example.com"}, "web pages from elsewhere"),
    ],
)
def test_who_can_reach_the_server(flags: dict[str, str], reason: str | None) -> None:
    exposed = load(flags).exposed
    assert exposed is None if reason is None else reason in str(exposed)


@pytest.mark.parametrize(
    ("given", "kept"), [("", ""), ("/", ""), ("box", "/box"), ("/box/", "/box"), ("/a//b.c", "/a/b.c")]
)
def test_base_path_is_written_in_one_way(given: str, kept: str) -> None:
    assert load({"base_path": given}).base_path == kept


def test_blobs_are_below_the_data_folder_unless_told() -> None:
    assert load({"data_dir": "/srv/x"}).blob_folder == Path("/srv/x/blobs")
    assert load({"blob_url": "file:///srv/blobs"}).blob_folder == Path("/srv/blobs")
    assert load({"blob_url": "file:blobs"}).blob_folder == Path("blobs")


def documented(name: str) -> str:
    """The row of a setting as the page must have it."""
    field = Settings.model_fields[name]
    default = shown(field.get_default())
    flag = f"`--{name.replace('_', '-')}`" if name in inspect.signature(cli.serve).parameters else ""
    shown_default = default if default in ("unset", "none") else f"`{default}`"
    return f"| `{variable(name)}` | {flag} | {shown_default} | {field.description} |"


def test_the_documentation_lists_every_setting_and_no_other() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{PREFIX}")]
    assert rows == [documented(name) for name in Settings.model_fields]


@pytest.mark.parametrize("command", [cli.serve, cli.migrate, cli.doctor, cli.show_settings])
def test_flags_are_settings(command: Any) -> None:
    assert set(inspect.signature(command).parameters) - {"other", "as_json"} <= set(Settings.model_fields)
