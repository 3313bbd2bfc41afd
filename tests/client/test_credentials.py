"""Tokens: where they are found, how they are kept, and where they may go."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from modelbox import credentials
from modelbox.errors import ModelBoxError

SERVER = "https://modelbox.example"

KEYRING = """
KEPT = {}
class _Backend:
    priority = 5
def get_keyring(): return _Backend()
def get_password(service, name): return KEPT.get((service, name))
def set_password(service, name, token): KEPT[service, name] = token
def delete_password(service, name): del KEPT[service, name]
"""
BROKEN = "def get_keyring(): raise OSError('no session')"


@pytest.fixture
def keyring(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyring is installed."""
    (tmp_path / "keyring.py").write_text(request.param)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "keyring", raising=False)


def test_there_may_be_none() -> None:
    assert credentials.find(SERVER) == (None, "nowhere")
    assert credentials.forget(SERVER) is False


def test_a_token_is_kept_for_its_server_in_a_file_of_its_owner() -> None:
    assert credentials.store(SERVER, " mbx_1\n") == str(credentials.path())
    credentials.store("http://127.0.0.1:8000", "mbx_2")

    assert stat.S_IMODE(credentials.path().stat().st_mode) == 0o600
    assert [path.name for path in credentials.path().parent.iterdir()] == ["credentials.json"]
    assert credentials.token("https://MODELBOX.example:443/") == "mbx_1"
    assert credentials.token("https://modelbox.example:8443") is None
    assert credentials.token("http://127.0.0.1:8000") == "mbx_2"

    assert credentials.forget(SERVER) is True
    assert (credentials.token(SERVER), credentials.token("http://127.0.0.1:8000")) == (None, "mbx_2")


def test_a_file_that_others_can_read_is_refused() -> None:
    credentials.store(SERVER, "mbx_1")
    credentials.path().chmod(0o640)
    with pytest.raises(ModelBoxError, match="chmod 600"):
        credentials.token(SERVER)


@pytest.mark.parametrize("text", ["{", '{"a"'])
def test_a_file_that_is_damaged_is_named(text: str) -> None:
    credentials.store(SERVER, "mbx_1")
    credentials.path().write_text(text)
    with pytest.raises(ModelBoxError, match="Remove it and run `modelbox login`"):
        credentials.token(SERVER)


def test_the_environment_is_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials.store(SERVER, "mbx_kept")
    (tmp_path / "token").write_text("mbx_file\n")
    monkeypatch.setenv("MODELBOX_TOKEN_FILE", str(tmp_path / "token"))
    assert credentials.find(SERVER) == ("mbx_file", "$MODELBOX_TOKEN_FILE")
    monkeypatch.setenv("MODELBOX_TOKEN", "mbx_variable")
    assert credentials.find(SERVER) == ("mbx_variable", "$MODELBOX_TOKEN")


def test_a_tokens_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_TOKEN_FILE", "missing")
    with pytest.raises(ModelBoxError, match="MODELBOX_TOKEN_FILE cannot be read"):
        credentials.token(SERVER)


@pytest.mark.parametrize("server", ["http://modelbox.example", "http://127.evil.example", "http://127.0.0.1.example"])
def test_no_token_goes_over_an_open_line(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert credentials.token(server) is None
    monkeypatch.setenv("MODELBOX_TOKEN", "mbx_secret")
    with pytest.raises(ModelBoxError) as caught:
        credentials.token(server)
    assert caught.value.code == "INSECURE_CONNECTION"
    assert "mbx_secret" not in str(caught.value)
    with pytest.raises(ModelBoxError):
        credentials.store(server, "mbx_secret")
    monkeypatch.setenv("MODELBOX_ALLOW_INSECURE", "1")
    assert credentials.token(server) == "mbx_secret"


@pytest.mark.parametrize("server", [SERVER, "http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"])
def test_within_the_machine_or_over_tls_it_does(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_TOKEN", "mbx_1")
    assert credentials.token(server) == "mbx_1"


@pytest.mark.parametrize("token", ["mbx 1", "mbx\r\nX-Evil: 1", "mbx_é"])
def test_what_is_no_token_is_not_kept(token: str) -> None:
    with pytest.raises(ModelBoxError, match="no token"):
        credentials.store(SERVER, token)


@pytest.mark.usefixtures("keyring")
@pytest.mark.parametrize("keyring", [KEYRING], indirect=True)
def test_a_keyring_is_used_where_there_is_one() -> None:
    assert credentials.store(SERVER, "mbx_1") == "keyring"
    assert not credentials.path().exists()
    assert credentials.find(SERVER) == ("mbx_1", "keyring")
    assert credentials.forget(SERVER) is True
    assert credentials.token(SERVER) is None


@pytest.mark.usefixtures("keyring")
@pytest.mark.parametrize("keyring", [BROKEN], indirect=True)
def test_a_broken_keyring_is_passed_over() -> None:
    assert credentials.store(SERVER, "mbx_1") == str(credentials.path())
    assert credentials.token(SERVER) == "mbx_1"
