"""What is hidden before it leaves the machine, and what must not be."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modelbox.capture.secrets import HIDDEN, in_address, in_arguments, in_code, in_text, is_secret, redacted

LETTERS = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0hJ3kL6nP9r"  # forty of them

SECRET_NAMES = """
    password passwd db_password dbPassword PGPASSWORD MYSQL_PWD admin.password passphrase ssh_passphrase secret
    client_secret clientSecret AWS_SECRET_ACCESS_KEY secret_key api_key apiKey APIKEY OPENAI_API_KEY openai-api-key
    api_keys private_key access_key aws_access_key_id encryption_key token hf_token HF_TOKEN HUGGING_FACE_HUB_TOKEN
    authToken access_token refresh_token access_tokens wandb_token authtoken auth basic_auth authorization cookie
    credentials google_credentials dsn SENTRY_DSN MODELBOX_TOKEN user_password_2
"""

ORDINARY_NAMES = """
    tokenizer tokenizer_name max_tokens num_tokens tokens tokens_per_second max_new_tokens token_dim token_type_ids
    token_embedding pad_token eos_token bos_token unk_token mask_token cls_token padToken eostoken special_tokens
    additional_special_tokens image_token next_token key key_dim num_keys key_padding_mask keys query_key_value
    primary_key sort_key public_key monkey keyboard password_file token_file password_length author authors
    authentic secretary passes bypass compass lr weight_decay PWD OLDPWD PATH hidden_size seed tokenize detokenize
    attention n_head betas use_key_bias metric_key cookiecutter secret_ratio tokenized_dataset tokenization
"""

SHAPES = [
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "AIza" + LETTERS[:35],
    "ya29." + LETTERS,
    "hf_" + LETTERS[:34],
    "sk-" + LETTERS + LETTERS[:8],
    "sk-proj-" + LETTERS,
    "sk-ant-api03-" + LETTERS,
    "ghp_" + LETTERS[:36],
    "github_pat_" + LETTERS[:30],
    "glpat-" + LETTERS[:20],
    "xoxb-123456789012-" + LETTERS[:24],
    "sk_live_" + LETTERS[:24],
    "mbx_0123456789ab_" + LETTERS,
    "eyJhbGciOiJIUzI1NiJ9." + LETTERS + "." + LETTERS,
    f"-----BEGIN RSA PRIVATE KEY-----\n{LETTERS}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{LETTERS}",
]

ORDINARY_TEXTS = [
    "sk-learn-random-forest-baseline-with-a-long-name",
    "0123456789abcdef0123456789abcdef01234567",  # a commit
    "hf_internal_testing/tiny-random-gpt2",
    "https://example.org:8080/path/file@v2?step=3&tokenizer=bert",
    "ssh://git@example.org/team/code.git",
    "git@example.org:team/code.git",
    "s3://bucket/folder/AKIAB/file.pt",
    "max_tokens=512 tokenizer=gpt2 key_dim=64 pad_token=<pad>",
    "token=${HF_TOKEN} password=$SECRET",
    "the token is predicted by the model; a password policy follows",
    "train/loss",
    "bearer of news",
    "d41d8cd98f00b204e9800998ecf8427e",
    "",
]


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_a_name_that_says_so(name: str) -> None:
    assert is_secret(name)
    assert redacted({name: "hunter2hunter2"}) == {name: HIDDEN}


@pytest.mark.parametrize("name", ORDINARY_NAMES.split())
def test_a_name_that_does_not(name: str) -> None:
    assert not is_secret(name)
    for value in ("some value", 512, 0.5, True, None, ["a", 1]):
        assert redacted({name: value}) == {name: value}


@pytest.mark.parametrize("text", SHAPES)
def test_a_shape_wherever_it_stands(text: str) -> None:
    for whole in (text, f"before {text}", f'{{"x": "{text}"}}', f"--x={text}"):
        assert LETTERS[:20] not in in_text(whole)
        assert text not in in_text(whole)
        assert HIDDEN in in_text(whole)
        assert HIDDEN in json.dumps(redacted({"model": [whole]}))


@pytest.mark.parametrize("text", ORDINARY_TEXTS)
def test_a_text_that_is_none(text: str) -> None:
    assert in_text(text) == text
    assert in_arguments([text]) == [text]
    assert redacted({"note": text}) == {"note": text}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://me:pw@example.org/a.git", "https://***@example.org/a.git"),
        ("https://ghp_abc@example.org/a.git", "https://***@example.org/a.git"),
        ("https://me:p@w@example.org/a.git", "https://***@example.org/a.git"),
        ("postgresql://u:p%40w@db:5432/x", "postgresql://***@db:5432/x"),
        ("redis://:pw@cache:6379/0", "redis://***@cache:6379/0"),
        ("postgres://u:p/w/x@db/x", "postgres://u:***@db/x"),
        ("https://a.example/f?X-Amz-Signature=abc&b=1", "https://a.example/f?X-Amz-Signature=***&b=1"),
        ("https://a.example/f?b=1&access_token=abc#top", "https://a.example/f?b=1&access_token=***#top"),
        ("https://hooks.slack.com/services/T0/B0/xyz", "https://hooks.slack.com/services/***"),
        ("ssh://git:pw@example.org/a.git", "ssh://***@example.org/a.git"),
    ],
)
def test_addresses_lose_logins_and_signatures(address: str, expected: str) -> None:
    assert in_address(address) == expected
    assert in_text(f"from {address} to") == f"from {expected} to"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train.py", "--password", "hunter2", "--lr", "1"], ["train.py", "--password", "***", "--lr", "1"]),
        (["--api-key=abc", "--max-tokens=5"], ["--api-key=***", "--max-tokens=5"]),
        (["--hf-token", "--lr", "0.1"], ["--hf-token", "--lr", "0.1"]),
        (["+model.api_key=abc", "model.key_dim=64"], ["+model.api_key=***", "model.key_dim=64"]),
        (["--tokenizer", "bert", "--pad-token", "<pad>"], ["--tokenizer", "bert", "--pad-token", "<pad>"]),
        (['--config={"api_key": "abc", "lr": 1}'], ['--config={"api_key": "***", "lr": 1}']),
        (["-c", "login(token='abc')"], ["-c", "login(token='***')"]),
        (["--dsn", "host=x"], ["--dsn", "***"]),
        (["host=x password=abc"], ["host=x password=***"]),
        (["-H", "Authorization: Bearer abcdefghijkl"], ["-H", "Authorization: *** ***"]),
    ],
)
def test_arguments(words: list[str], expected: list[str]) -> None:
    assert in_arguments(words) == expected


def test_code_keeps_what_is_code() -> None:
    assert in_code("+    token = next(stream)\n") == "+    token = next(stream)\n"
    assert in_code("+    token = 'abc'\n") == "+    token = '***'\n"
    assert in_code(f"+    x = 'hf_{LETTERS[:34]}'\n") == "+    x = '***'\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"db": {"password": 1234, "port": 5432}}, {"db": {"password": HIDDEN, "port": 5432}}),
        ({"credentials": {"user": "a", "rest": ["b", 1]}}, {"credentials": {"user": HIDDEN, "rest": [HIDDEN, HIDDEN]}}),
        ({"use_auth_token": True, "token": None}, {"use_auth_token": True, "token": None}),
        ({"keys": [{"api_key": "a"}]}, {"keys": [{"api_key": HIDDEN}]}),
        ({"storage_key": "", "some_key": "val/loss"}, {"storage_key": "", "some_key": "val/loss"}),
        ({"wandb_key": LETTERS}, {"wandb_key": HIDDEN}),
        ({"opt": SimpleNamespace(api_key="a", lr=1)}, {"opt": "namespace(api_key='***', lr=1)"}),
        ({"auth": SimpleNamespace(), "folder": Path("a/b")}, {"auth": HIDDEN, "folder": "a/b"}),
        ({1: "a", "tuple": (1, 2)}, {1: "a", "tuple": [1, 2]}),
    ],
)
def test_mappings(given: dict[Any, Any], expected: dict[Any, Any]) -> None:
    assert redacted(given) == expected


def test_what_is_given_stays_as_it_is() -> None:
    deep: dict[str, Any] = {"password": "abc"}
    given = {"a": [deep]}
    redacted(given)
    assert given == {"a": [{"password": "abc"}]}
    deep["itself"] = deep
    redacted(deep)  # A circle is no reason to never end.


def test_long_texts_take_no_time_to_speak_of() -> None:
    for text in ("a://b:" * 20_000, "password" * 20_000, "a=" * 50_000, "-----BEGIN PRIVATE KEY-----" * 2_000):
        in_text(text)
        in_code(text)
