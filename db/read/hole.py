"""Holes: fields that SQL cannot finish, such as a sample of compressed points.

Where such a field stands, the statement writes a mark into its JSON text: a nonce of the request, which no stored text
can hold, the number of the hole, and what the row tells of it. Then one look at the metric storage fills all holes of
the response, in the same snapshot.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
import structlog

from db.errors import DomainError
from db.metrics.read import read
from db.metrics.tail import Damaged
from db.read.sql import Ask, Asked, Bind, Compiled, Environment, Expression, Pieces, Statement

NONCE: Final = "$nonce"
_NONCE: Final = Bind(lambda env: env[NONCE], "text")

log = structlog.get_logger(__name__)

Told = Callable[[Statement, str], str]
"""SQL of type `text`, of a row: something that a mark tells. Where it is NULL there is no hole, but `null`."""


@dataclass(frozen=True)
class Hole:
    """A nullable field that is filled after the statement."""

    told: Sequence[Told]
    ask: Ask

    def render(self, statement: Statement, alias: str) -> Pieces:
        statement.holes.append(self.ask)
        number = len(statement.holes) - 1
        told = "".join(f"||','||{tell(statement, alias)}" for tell in self.told)
        return [Expression(f"coalesce({statement.bind(_NONCE)}||'{number}'{told}||';','null')")]


# --- What marks tell ---


def owner(_statement: Statement, alias: str) -> str:
    """The id of the object that a series is of."""
    return f"encode(uuid_send({alias}.owner_id),'hex')"


def series(_statement: Statement, alias: str) -> str:
    """The id of a series."""
    return f"{alias}.id::text"


def floats(_statement: Statement, alias: str) -> str:
    """The id of a series of floats."""
    return f"CASE {alias}.kind WHEN 'FLOAT' THEN {alias}.id::text END"


def count(_statement: Statement, alias: str) -> str:
    """How many points a series has."""
    return f"{alias}.count::text"


def kind(_statement: Statement, alias: str) -> str:
    """What its values are."""
    return f"{alias}.kind"


def resumptions(statement: Statement, alias: str) -> str:
    """How often points may have left a series: the resumptions of its experiment, if it is on the run's line."""
    row = statement.alias()
    found = f"SELECT {row}.leg FROM experiment {row} WHERE {row}.tenant_id = {statement.tenant}"
    return f"(CASE {alias}.leg WHEN 0 THEN coalesce(({found} AND {row}.id = {alias}.owner_id),0) ELSE 0 END)::text"


def beside(key: Bind) -> Told:
    """The id of another series of floats of the same object and leg."""

    def tell(statement: Statement, alias: str) -> str:
        other = statement.alias()
        return (
            f"(SELECT {other}.id::text FROM series {other} WHERE {other}.tenant_id = {statement.tenant}"
            f" AND {other}.owner_id = {alias}.owner_id AND {other}.key = {statement.bind(key)}"
            f" AND {other}.leg = {alias}.leg AND {other}.kind = 'FLOAT')"
        )

    return tell


def origin(statement: Statement, alias: str) -> str:
    """Microseconds since 1970 at which an experiment began, or else the first time of the series."""
    row = statement.alias()
    started = (
        f"SELECT {row}.started_at FROM experiment {row} WHERE {row}.tenant_id = {statement.tenant}"
        f" AND {row}.id = {alias}.owner_id"
    )
    # Without any time of its own a series has no point that an origin matters to.
    moment = f"coalesce(({started}),{alias}.first_at,'epoch')"
    return f"(extract(epoch FROM {moment}) * 1000000)::bigint::text"


@dataclass(frozen=True)
class Several:
    """Requests that fill one hole together: it is written of a list of their results."""

    requests: Sequence[Any]


# --- Filling them ---


@dataclass(frozen=True)
class Failure:
    """A hole that could not be filled: its place, and why."""

    path: Sequence[str | int]
    code: str
    message: str


@dataclass(frozen=True)
class Filled:
    """A statement's JSON with all holes filled; those that could not be are null."""

    json: bytes
    failures: Sequence[Failure] = ()


def marked(env: Environment) -> Environment:
    """The same with a nonce for the marks of one statement."""
    return {**env, NONCE: secrets.token_hex(16)}


async def answer(
    connection: asyncpg.Connection[Any], compiled: Compiled, env: Environment
) -> tuple[Filled, Sequence[Any]]:
    """The row of a statement: its JSON, filled in the same snapshot, and what the columns beside it hold."""
    if not compiled.holes:
        text, *others = await connection.fetchrow(compiled.text, *compiled.arguments(env))
        return Filled(text.encode()), others
    env = marked(env)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        text, *others = await connection.fetchrow(compiled.text, *compiled.arguments(env))
        return await filled(connection, compiled, text, env), others


async def filled(connection: asyncpg.Connection[Any], compiled: Compiled, text: str, env: Environment) -> Filled:
    """The JSON that a statement returned in this transaction, with its holes filled. `env` is the marked one."""
    parts = re.split(f"{env[NONCE]}([^;]*);", text)
    if len(parts) == 1:
        return Filled(text.encode())
    asked = _asked(compiled, parts[1::2], env)
    requests = [request for one in asked for request in _requests(one)]
    found = await _read(connection, env["$tenant"], requests) if requests else []
    filler = await _filler(asked, found)
    spliced = [part.encode() for part in parts]
    spliced[1::2] = [b"null" if isinstance(one, Exception) else one for one in filler]
    return Filled(b"".join(spliced), _failures(parts, filler, env[NONCE]))


def _asked(compiled: Compiled, marks: Sequence[str], env: Environment) -> list[Asked]:
    """What each mark asks. Of one hole there may be a thousand, so the variables are looked at once."""
    asks: dict[str, Callable[[Sequence[str]], Asked]] = {}
    found = []
    for mark in marks:
        number, *told = mark.split(",")
        if number not in asks:
            asks[number] = compiled.holes[int(number)](env)
        found.append(asks[number](told))
    return found


def _requests(asked: Asked) -> Sequence[Any]:
    if isinstance(asked.request, Several):
        return asked.request.requests
    return () if asked.request is None or isinstance(asked.request, DomainError) else (asked.request,)


async def _filler(asked: Sequence[Asked], found: Sequence[Any]) -> list[bytes | Exception]:
    """What stands in place of each mark."""
    results = iter(found)

    def write() -> list[bytes | Exception]:
        return [_written(one, [next(results) for _ in _requests(one)]) for one in asked]

    # Many series take a while to bring together: others go on meanwhile.
    return await asyncio.to_thread(write) if any(isinstance(one.request, Several) for one in asked) else write()


def _written(asked: Asked, results: Sequence[Any]) -> bytes | Exception:
    if isinstance(asked.request, DomainError):
        return asked.request
    failed = next((result for result in results if isinstance(result, Exception)), None)
    if failed is not None:
        return failed
    if isinstance(asked.request, Several):
        return asked.write(results)
    return asked.write(results[0] if results else None)


async def _read(connection: asyncpg.Connection[Any], tenant: UUID, requests: Sequence[Any]) -> Sequence[Any]:
    """A result for each request. Where the bytes of one are damaged, each is read by itself: others need not suffer."""
    try:
        return await read(connection, tenant, requests)
    except Damaged as error:
        if len(requests) == 1:
            return [error]
        return [result for request in requests for result in await _read(connection, tenant, [request])]


def _failures(parts: Sequence[str], filler: Sequence[bytes | Exception], nonce: str) -> list[Failure]:
    """Where the holes stand that could not be filled. Only then is the response parsed."""
    errors = {f"{nonce}{number}": one for number, one in enumerate(filler) if isinstance(one, Exception)}
    if not errors:
        return []
    pieces = list(parts)
    pieces[1::2] = [f'"{nonce}{number}"' if isinstance(one, Exception) else "null" for number, one in enumerate(filler)]
    places = _strings(orjson.loads("".join(pieces)), ())
    return [_failure(path, errors[text]) for path, text in places if text in errors]


def _strings(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every string of a JSON value, and where it stands."""
    if isinstance(value, str):
        yield path, value
        return
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _strings(item, (*path, key))


def _failure(path: Sequence[str | int], error: Exception) -> Failure:
    if isinstance(error, DomainError):
        return Failure(path, error.code, error.message)
    log.error("points could not be read", path=path, exc_info=error)
    return Failure(path, "INTERNAL_SERVER_ERROR", "These points could not be read. The server's log says why.")
