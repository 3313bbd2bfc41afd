"""Every setting of the server: flag over `MODELBOX_*` over `./modelbox.toml` over default.

`app.configuration.load` makes them. `docs/settings.md` lists the same names, defaults and
sentences; a test compares the two.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from app import addresses, setting_files
from app.origin import canonical_origin

PREFIX: Final = "MODELBOX_"
BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def _words(value: Any) -> Any:
    """A list may be written with commas, which is how variables and flags write it."""
    if isinstance(value, str):
        return [word for word in (part.strip() for part in value.split(",")) if word]
    return value


def _database_url(value: SecretStr) -> SecretStr:
    if urlsplit(value.get_secret_value()).scheme not in ("postgresql", "postgres"):
        raise ValueError("it must be a URL like postgresql://user:password@host:5432/database")
    return value


def _nats_url(value: SecretStr) -> SecretStr:
    if urlsplit(value.get_secret_value()).scheme not in ("nats", "tls"):
        raise ValueError("it must be a URL like nats://user:password@host:4222")
    return value


def _web_origins(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(canonical_origin, values))


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise ValueError("it must be a URL like https://s3.example.com:9000")
    return value.rstrip("/")


def _blob_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme == "s3" and BUCKET.fullmatch(parts.netloc) and not (parts.query or parts.fragment):
        return value
    if parts.scheme == "file" and parts.path and parts.netloc in ("", "localhost"):
        return value
    raise ValueError("it must be a folder like file:blobs or file:///srv/blobs, or a bucket like s3://bucket/prefix")


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Folder = Annotated[Path, AfterValidator(Path.expanduser)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1, le=2**40)]


class Settings(BaseSettings):
    """What the server was told. Frozen."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    host: str = Field("127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="The port to listen on; 0 takes any free one.")
    data_dir: Folder = Field(
        Path(".modelbox"),
        description="The folder of what this machine keeps: the embedded PostgreSQL, and the blobs.",
    )
    database_url: Annotated[SecretStr, AfterValidator(_database_url)] | None = Field(
        None,
        description="The PostgreSQL to use, `postgresql://user:password@host:5432/database`. "
        "Unset: an embedded one in the data folder.",
    )
    nats_url: Annotated[SecretStr, AfterValidator(_nats_url)] | None = Field(
        None,
        description="A NATS server, `nats://user:password@host:4222`, by which servers tell each other what is new. "
        "Unset: PostgreSQL's notifications, which do not pass through a pooler of connections.",
    )
    pg_bin: Folder | None = Field(
        None,
        description="The folder of PostgreSQL's programs for the embedded PostgreSQL. "
        "Unset: those installed with the server.",
    )
    blob_url: Annotated[str, AfterValidator(_blob_url)] | None = Field(
        None,
        description="Where uploaded files are kept: a folder, `file:…`, or a bucket, `s3://bucket/prefix`. "
        "Unset: `blobs` in the data folder.",
    )
    s3_endpoint_url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        None,
        description="Where the S3 of `s3://…` is, when it is not Amazon's, such as `http://minio:9000`. Keys come from "
        "the variables and files that AWS programs read.",
    )
    s3_public_endpoint_url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        None,
        description="The same S3 as clients reach it, when they know it by another name. Unset: by the same.",
    )
    s3_region: str | None = Field(None, description="The region of the bucket. Unset: what AWS programs take.")
    downloads: Literal["redirect", "proxy"] = Field(
        "redirect",
        description="How files leave a bucket: `redirect` sends clients to S3, by an address that is good for a "
        "minute; `proxy` sends the bytes through the server, which verifies them.",
    )
    blob_grace_hours: float = Field(
        24,
        ge=0,
        le=8_760,
        description="Hours for which bytes stay that no file consists of any more, and files of checkpoints that "
        "retention removed.",
    )
    deleted_files_days: float = Field(
        30, ge=0, le=36_500, description="Days for which the files of deleted objects stay, in case they are restored."
    )
    workers: int = Field(1, ge=1, le=256, description="How many processes serve the port.")
    auth: Literal["auto", "required"] = Field(
        "auto",
        description="`auto`: while no token is stored and only this machine can reach the server, its user "
        "is admin. `required`: every request needs a token.",
    )
    allowed_hosts: Words = Field(
        (),
        description="Names by which the server may be addressed (the `Host` header), beside loopback names, "
        "IP addresses and `host` itself; `*.example.com` stands for all names below.",
    )
    cors_origins: Annotated[Words, AfterValidator(_web_origins)] = Field(
        (),
        description="Origins of other web pages that may call the server, such as `https://ui.example.com`.",
    )
    base_path: Annotated[str, AfterValidator(addresses.base_path)] = Field(
        "", description="The path below which everything is served, such as `/modelbox`."
    )
    trusted_proxies: Annotated[Words, AfterValidator(addresses.networks)] = Field(
        (), description="Addresses or networks of proxies whose `X-Forwarded-*` headers are believed."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="`console` for people, `json` for machines; `auto`: `console` on a terminal."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least urgent lines that are logged."
    )
    database_pool_size: int = Field(
        10, ge=1, le=1_000, description="How many database connections each process opens at most."
    )
    statement_timeout: Seconds = Field(8.0, description="Seconds after which PostgreSQL ends a statement.")
    request_timeout: Seconds = Field(10.0, description="Seconds after which a query or mutation is ended.")
    shutdown_timeout: Seconds = Field(
        10.0, description="Seconds that running requests get to end when the server is asked to stop."
    )
    drain_delay: float = Field(
        0.0,
        ge=0,
        le=3_600,
        description="Seconds between `/readyz` saying no and the port closing, for load balancers to notice.",
    )
    max_body_bytes: Count = Field(8_388_608, description="The largest request body, decompressed.")
    max_query_bytes: Count = Field(65_536, description="The longest GraphQL document.")
    max_tokens: Count = Field(2_000, description="Tokens of a document.")
    max_depth: Count = Field(20, description="Depth of an operation, counted through fragments.")
    max_aliases: Count = Field(30, description="Aliases of an operation, counted through fragments.")
    max_root_fields: Count = Field(20, description="Root fields of an operation.")
    max_directives: Count = Field(50, description="Directives of an operation.")
    max_socket_operations: Count = Field(50, description="Operations running at once on one socket.")
    max_socket_messages: Count = Field(100, description="Messages a second on one socket.")
    socket_lifetime: Seconds = Field(86_400.0, description="Seconds after which a socket must be opened anew.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, variables, files that variables name, `modelbox.toml`; nothing else is read."""
        del dotenv_settings, file_secret_settings
        from_files = setting_files.named_by(_file_variables(os.environ))
        return (
            init_settings,
            env_settings,
            InitSettingsSource(settings_cls, dict(from_files)),
            InitSettingsSource(settings_cls, dict(setting_files.in_toml())),
        )

    @property
    def exposed(self) -> str | None:
        """Why others than this machine may reach the server; None if only this machine can.

        A proxy on this machine brings strangers to a loopback address, and so does a web page from
        elsewhere that may call it. Then nobody is admin just for being here.
        """
        if not addresses.is_loopback(self.host):
            return f"{self.host} can be reached from other machines"
        if self.trusted_proxies:
            return "a trusted proxy brings requests from other machines"
        if not all(map(addresses.is_loopback, self.allowed_hosts)):
            return "the allowed hosts are names that other machines use"
        if not all(map(addresses.is_loopback_origin, self.cors_origins)):
            return "web pages from elsewhere may call it"
        return None

    @property
    def blob_folder(self) -> Path:
        """The folder of uploaded files."""
        return Path(urlsplit(self.blob_url).path) if self.blob_url else self.data_dir / "blobs"


def secret_names() -> list[str]:
    """The settings that hold secrets; each may be read from a file that a `_FILE` variable names."""
    return [name for name, field in Settings.model_fields.items() if SecretStr.__name__ in repr(field.annotation)]


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def _file_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Setting names to file names, of the `_FILE` variables that are set."""
    found = {name: environ.get(f"{variable(name)}_FILE") for name in secret_names()}
    return {name: path for name, path in found.items() if path}
