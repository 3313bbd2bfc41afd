"""Takes secrets out of what is about to leave the machine: by the names of keys, and by the shapes of values.

It errs on the side of hiding; but what trainings are full of, `tokenizer`, `max_tokens`, `key_dim`, stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

HIDDEN: Final = "***"
DEEPEST: Final = 32

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_STRONG: Final = frozenset({
    "password", "passwords", "passwd", "passphrase", "passcode", "secret", "secrets", "credential", "credentials",
    "pwd", "authorization", "cookie", "dsn",
})  # fmt: skip
"""Say it wherever they stand in a key."""

_ENDINGS: Final = ("password", "passwd", "apikey", "secretkey", "accesskey", "privatekey")
"""Of a word without borders, such as PGPASSWORD."""

_ABOUT: Final = frozenset({
    "file", "files", "path", "dir", "folder", "len", "length", "count", "dim", "size", "min", "max", "policy", "field",
    "column", "name", "names", "ratio", "rate", "weight",
})  # fmt: skip
"""Behind another word: then the value is about a secret, and none."""

_KEYS: Final = frozenset({
    "api", "access", "secret", "private", "encryption", "ssh", "account", "auth", "signing", "master", "subscription",
    "license", "service", "storage", "shared", "deploy", "app", "client", "hmac", "session", "admin", "rsa", "gpg",
    "jwt", "webhook", "write",
})  # fmt: skip
"""Before `key`."""

_TOKENS: Final = frozenset({
    "pad", "padding", "eos", "bos", "unk", "unknown", "mask", "masked", "sep", "separator", "cls", "special", "start",
    "stop", "end", "begin", "image", "video", "audio", "text", "speech", "additional", "prefix", "suffix", "middle",
    "decoder", "encoder", "eot", "eod", "eom", "next", "first", "last", "per", "new", "word", "sub", "oov", "blank",
    "trigger", "register", "class", "distill", "placeholder", "by",
})  # fmt: skip
"""Before `token`: the vocabulary's."""

_SIGNED: Final = frozenset({
    "sig", "signature", "x-amz-signature", "x-amz-credential", "x-goog-signature", "x-goog-credential", "sas",
})  # fmt: skip
"""Parameters of addresses that open them."""

_HARMLESS: Final = re.compile(
    r"|none|null|true|false|auto|default|\*+"
    r"|<[^<>]*>|\[[A-Za-z_ ]{1,20}\]|</?s>"  # <pad>, [CLS]
    r"|\$\{[^}]*\}|\$\w+|%\w+%",  # where it is to be found
    re.IGNORECASE,
)
_RANDOM: Final = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w+/=.~-]{20,}")

_SHAPES: Final = re.compile(
    r"""-----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    |(?<![A-Za-z0-9_])(?:
      (?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Z0-9])                      # AWS
    | AIza[\w-]{35} | ya29\.[\w-]{20,} | GOCSPX-[\w-]{20,}                  # Google
    | (?:hf|api_org)_[A-Za-z0-9]{30,}                                       # Hugging Face
    | sk-(?:(?:proj|ant|svcacct|admin|or)-[\w-]{20,}|[A-Za-z0-9]{32,})      # OpenAI, Anthropic
    | gh[pousr]_[A-Za-z0-9]{30,} | github_pat_\w{22,} | glpat-[\w-]{20,}    # GitHub, GitLab
    | xox[abeoprs]-[\w-]{10,} | [rs]k_(?:live|test)_[A-Za-z0-9]{16,}        # Slack, Stripe
    | nvapi-[\w-]{40,} | gsk_[A-Za-z0-9]{40,} | r8_[A-Za-z0-9]{30,}         # NVIDIA, Groq, Replicate
    | wandb_v1_\w{20,} | dapi[a-f0-9]{32} | npm_[A-Za-z0-9]{36}
    | pypi-[\w-]{50,} | SG\.[\w-]{20,}\.[\w-]{40,} | dop_v1_[a-f0-9]{60,}
    | mbx_[a-f0-9]{12}_[\w-]{30,}                                           # our own
    | eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,}                                  # JSON web tokens
    )""",
    re.VERBOSE | re.DOTALL,
)
_BEARER: Final = re.compile(r"(?i)(\b(?:authorization\s*[:=]\s*)(?:\w+\s+)?|\bbearer\s+)[\w.~+/=-]{8,}")
_HOOK: Final = re.compile(r"(hooks\.slack\.com/services/|discord(?:app)?\.com/api/webhooks/)[^\s\"']+")
_LOGIN: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://)([^\s/?#@:\"']*):([^\s/?#\"']*)@")
_SLASHED_LOGIN: Final = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/?#@:\"']{0,80}:)(?!\d{1,5}(?:/|\Z))[^\s@\"']{1,256}@"
)
_WEB_LOGIN: Final = re.compile(r"(https?://)[^\s/?#@:\"']+@")
_PARAMETER: Final = re.compile(r"([?&;])([\w.%-]{1,60})=([^&;\s#\"']+)")
_ASSIGNED: Final = re.compile(
    r"""(?P<before>(?<![\w.-])(?P<quote>["']?)(?P<name>-{0,2}[A-Za-z+][\w.+-]{1,79})(?P=quote)\s{0,3}[=:]\s{0,3})"""
    r"""(?P<value>"[^"\n]*"|'[^'\n]*'|\$\{[^}\n]*\}|[^\s,;&"'}\])]+)"""
)


def is_secret(name: str) -> bool:
    """Whether a key of this name holds a secret, if it holds a text."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or name in ("PWD", "OLDPWD") or (len(words) > 1 and words[-1] in _ABOUT):
        return False
    if _STRONG.intersection(words) or any(word.endswith(_ENDINGS) for word in words):
        return True
    return _names_key(words) or _names_token(words) or words[-1] == "auth"


def _names_key(words: list[str]) -> bool:
    return any(word in _KEYS and after in ("key", "keys") for word, after in pairwise(words))


def _names_token(words: list[str]) -> bool:
    """One that opens something. Of many the name must say for what: `tokens` are the vocabulary's."""
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last == "tokens":
        return before in ("api", "access", "auth", "bearer", "refresh")
    if last != "token" and last.endswith("token"):
        last, before = "token", last.removesuffix("token")
    return last == "token" and before not in _TOKENS


def redacted(value: Any, name: str = "") -> Any:
    """A value of a key with the secrets hidden, also within mappings and lists; a copy, where it is one of these.

    What JSON has no word for becomes the text that it would be written as, for that may hold secrets, too.
    """
    return _redacted(value, name, 0)


def _redacted(value: Any, name: str, depth: int) -> Any:
    if depth > DEEPEST:
        return value
    if isinstance(value, Mapping):
        inner = is_secret(name)
        return {key: _redacted(one, name if inner else str(key), depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(one, name, depth + 1) for one in value]
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return HIDDEN if _is_strong(name) else value
    return _value(name, _text(value))


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - anything may stand among hyperparameters
        return type(value).__name__


def _is_strong(name: str) -> bool:
    words = _WORDS.findall(name)
    return bool(words) and words[-1].lower() in _STRONG and is_secret(name)


def _value(name: str, value: str) -> str:
    if _HARMLESS.fullmatch(value):
        return value
    last = _WORDS.findall(name)[-1:]
    if is_secret(name) or (last and last[0].lower() == "key" and _RANDOM.fullmatch(value)):
        return HIDDEN
    return in_text(value)


def in_text(text: str) -> str:
    """A text with what is secret by its shape, or by the name that it is assigned to, hidden."""
    return _ASSIGNED.sub(_assignment, _shapes(text))


def in_code(text: str) -> str:
    """Like a text; but only what stands in quotes is assigned: `token = next(stream)` is code, and no secret."""
    return _ASSIGNED.sub(lambda found: _assignment(found) if found["value"][0] in "\"'" else found[0], _shapes(text))


def _shapes(text: str) -> str:
    text = in_address(text)
    text = _BEARER.sub(rf"\1{HIDDEN}", text)
    return _SHAPES.sub(HIDDEN, text)


def in_address(text: str) -> str:
    """A text, or an address, without the logins and signatures of the addresses in it."""
    if "://" not in text and "?" not in text:
        return text
    text = _HOOK.sub(rf"\1{HIDDEN}", text)
    text = _LOGIN.sub(rf"\1{HIDDEN}@", text)
    text = _SLASHED_LOGIN.sub(rf"\1{HIDDEN}@", text)
    text = _WEB_LOGIN.sub(rf"\1{HIDDEN}@", text)
    return _PARAMETER.sub(_parameter, text)


def _parameter(found: re.Match[str]) -> str:
    mark, name, _ = found.groups()
    is_open = name.lower() in _SIGNED or is_secret(name)
    return f"{mark}{name}={HIDDEN}" if is_open else found[0]


def _assignment(found: re.Match[str]) -> str:
    value = found["value"].strip("\"'")
    if not is_secret(found["name"]) or _HARMLESS.fullmatch(value) or value.startswith((HIDDEN, "//")):
        return found[0]
    mark = found["value"][0] if found["value"][0] in "\"'" else ""
    return f"{found['before']}{mark}{HIDDEN}{mark}"


def in_arguments(words: Sequence[str]) -> list[str]:
    """A command's words with the secrets hidden, also where one word names what the next one is."""
    found: list[str] = []
    is_named = False
    for word in words:
        if is_named and not word.startswith("-") and not _HARMLESS.fullmatch(word):
            found.append(HIDDEN)
        else:
            found.append(in_text(word))
        is_named = word.startswith("-") and "=" not in word and is_secret(word.lstrip("-"))
    return found
