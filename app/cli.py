"""The command `modelbox-server`. Modules are imported by the commands that need them: help is instant."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from app.settings import Settings

EPILOG = (
    "Settings: flag over MODELBOX_* over ./modelbox.toml over default; docs/settings.md lists them all. "
    "Exit codes: 0 done, 1 a check failed, 2 wrong usage or settings, 3 database, 4 address in use, "
    "5 refused as insecure, 6 a worker cannot start, 7 refused by what is stored, 130 interrupted."
)

commands = typer.Typer(
    name="modelbox-server",
    help="ModelBox remembers how machine-learning models come to be, and shows it live.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
tokens = typer.Typer(
    help="Make, list and revoke the tokens by which people and programs sign in.", no_args_is_help=True
)
commands.add_typer(tokens, name="token")

DataDir = Annotated[Path | None, typer.Option(help="The folder of the embedded PostgreSQL and the blobs.")]
DatabaseUrl = Annotated[str | None, typer.Option(help="The PostgreSQL to use. A password does not belong here.")]
BlobUrl = Annotated[str | None, typer.Option(help="Where uploaded files are kept.")]
PgBin = Annotated[Path | None, typer.Option(help="The folder of PostgreSQL's programs.")]
Other = Annotated[list[str] | None, typer.Option("-c", "--set", metavar="NAME=VALUE", help="Any setting, by its name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


@commands.command()
def serve(
    *,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; 0 takes any free one.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    pg_bin: PgBin = None,
    blob_url: Annotated[str | None, typer.Option(help="Where uploaded files are kept.")] = None,
    workers: Annotated[int | None, typer.Option(help="How many processes serve.")] = None,
    auth: Annotated[str | None, typer.Option(help="auto, or required.")] = None,
    base_path: Annotated[str | None, typer.Option(help="The path below which to serve.")] = None,
    log_format: Annotated[str | None, typer.Option(help="auto, console or json.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    other: Other = None,
) -> None:
    """Serve GraphQL, with an embedded PostgreSQL unless one is named."""
    settings = _settings(
        other,
        host=host,
        port=port,
        data_dir=data_dir,
        database_url=database_url,
        pg_bin=pg_bin,
        blob_url=blob_url,
        workers=workers,
        auth=auth,
        base_path=base_path,
        log_format=log_format,
        log_level=log_level,
    )
    from app import logs, process

    logs.configure(settings)
    try:
        process.serve(settings)
    except KeyboardInterrupt:  # Before it was ready; afterwards it is an orderly end.
        raise typer.Exit(130) from None


@commands.command()
def migrate(
    data_dir: DataDir = None, database_url: DatabaseUrl = None, pg_bin: PgBin = None, other: Other = None
) -> None:
    """Bring the database to the newest schema, as `serve` does when it starts."""
    settings = _settings(other, data_dir=data_dir, database_url=database_url, pg_bin=pg_bin)
    from app import administration

    _say(administration.migrate(settings))


@commands.command()
def schema() -> None:
    """Print the GraphQL schema."""
    from graphql_schema.schema import sdl

    sys.stdout.write(sdl())


@commands.command()
def doctor(
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    pg_bin: PgBin = None,
    other: Other = None,
    as_json: AsJson = False,
) -> None:
    """Look for what would keep the server from working, and say what to do about it."""
    settings = _settings(other, data_dir=data_dir, database_url=database_url, pg_bin=pg_bin)
    from app import diagnosis

    findings = diagnosis.examine(settings)
    _print(diagnosis.as_json(findings) if as_json else diagnosis.as_text(findings))
    raise typer.Exit(diagnosis.exit_code(findings))


@commands.command(name="settings")
def show_settings(
    data_dir: DataDir = None, database_url: DatabaseUrl = None, other: Other = None, as_json: AsJson = False
) -> None:
    """Show every setting, its value, and where the value came from."""
    flags = _flags(other, data_dir=data_dir, database_url=database_url)
    from app import configuration

    _print(configuration.explained(flags, as_json=as_json))


@commands.command()
def fsck(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Compare names and sizes; read no bytes.")] = False,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant, by its name or id.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Remove bytes that nobody knows; nothing else.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    blob_url: BlobUrl = None,
    other: Other = None,
    as_json: AsJson = False,
) -> None:
    """Compare the store of files with what is known of it: what is missing, corrupt, or of nobody."""
    settings = _settings(other, data_dir=data_dir, database_url=database_url, blob_url=blob_url)
    from app import upkeep

    wish = upkeep.CheckWish(is_quick=quick, repairs=repair, tenant=tenant)
    is_right = upkeep.check(settings, wish, tell=_print, progress=_progress(), as_json=as_json)
    raise typer.Exit(0 if is_right else 1)


@commands.command()
def sweep(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be removed.")] = False,
    grace_hours: Annotated[
        float | None, typer.Option(min=0, help="How long bytes without a file stay, in place of the setting.")
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    blob_url: BlobUrl = None,
    other: Other = None,
    as_json: AsJson = False,
) -> None:
    """Remove bytes that no file consists of any more, and abandoned uploads, as the server does by itself."""
    settings = _settings(other, data_dir=data_dir, database_url=database_url, blob_url=blob_url)
    from app import upkeep

    _print(upkeep.sweep(settings, grace_hours, is_dry=dry_run, as_json=as_json))


@tokens.command(name="create")
def create_token(
    name: Annotated[str, typer.Argument(help="Who will use it: a user, or with --service-account a program.")],
    *,
    role: Annotated[
        str, typer.Option(help="The most it may be used for: READER, WRITER, MAINTAINER, ADMIN.")
    ] = "WRITER",
    namespace: Annotated[list[str] | None, typer.Option(help="A namespace that it is confined to. Repeatable.")] = None,
    expires: Annotated[str, typer.Option(help="How long it is good: 12h, 90d, or never.")] = "90d",
    service_account: Annotated[bool, typer.Option("--service-account", help="The user is a program.")] = False,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    other: Other = None,
) -> None:
    """Make a token and print it, once: only a hash of it is kept."""
    settings = _settings(other, data_dir=data_dir, database_url=database_url)
    from app import administration

    wish = administration.TokenWish(
        name=name,
        role=role,
        namespaces=tuple(namespace or ()),
        expires=expires,
        is_program=service_account,
        description=description,
    )
    _print(administration.create_token(settings, wish))
    _say("Keep it: it is not shown again. Clients send it as `Authorization: Bearer ...`.")


@tokens.command(name="list")
def list_tokens(
    data_dir: DataDir = None, database_url: DatabaseUrl = None, other: Other = None, as_json: AsJson = False
) -> None:
    """List the tokens by their public prefixes."""
    settings = _settings(other, data_dir=data_dir, database_url=database_url)
    from app import administration

    _print(administration.list_tokens(settings, as_json=as_json))


@tokens.command(name="revoke")
def revoke_token(
    prefix: Annotated[str, typer.Argument(help="The public prefix, as `token list` shows it.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    other: Other = None,
) -> None:
    """Revoke a token: within a second it is good for nothing."""
    settings = _settings(other, data_dir=data_dir, database_url=database_url)
    from app import administration

    _say(administration.revoke_token(settings, prefix))


def main() -> None:
    """Run the command line. A known failure is a sentence, without a traceback."""
    try:
        commands()
    except Exception as error:
        from app.failures import exit_code

        code = exit_code(error)
        if code is None:
            raise
        for line in str(error).splitlines():
            _say(line)
        sys.exit(code)


def _settings(other: list[str] | None, **flags: Any) -> Settings:
    from app import configuration

    return configuration.load(_flags(other, **flags))


def _flags(other: list[str] | None, **flags: Any) -> dict[str, Any]:
    pairs = [pair.partition("=") for pair in other or ()]
    for name, sign, _ in pairs:
        if not sign:
            raise typer.BadParameter(f"-c {name} lacks a value; write -c {name}=VALUE")
    named = {name.strip().lower().replace("-", "_"): value for name, _, value in pairs}
    return named | {name: value for name, value in flags.items() if value is not None}


def _progress() -> Callable[[str], None] | None:
    """Overwrites one line of a terminal; None where there is none."""
    if not sys.stderr.isatty():
        return None
    return lambda text: print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _print(text: str) -> None:
    print(text)


def _say(text: str) -> None:
    print(f"modelbox-server: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
