"""From an operation to the bytes of its response."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from db.access import Caller
from db.engine import Database
from db.errors import DomainError, TooSlow, Unavailable
from db.feed import follow
from db.feed.follow import place_of, spans
from db.read import hole
from db.read.hole import Failure
from db.read.sql import Environment
from db.transaction import Call, Result, run
from graphql_schema.errors import RequestError, RequestErrors
from graphql_schema.frame import Frame
from graphql_schema.mutation import RESULT, Prepared
from graphql_schema.operation import Operation
from graphql_schema.subscription import PLACE, SPAN, read_position, refusal, renewed, require_sight, written
from graphql_schema.typed_variables import Variables

RENEWAL_INTERVAL: Final = 1.0  # seconds after which a follower's roles are looked up anew


@dataclass(frozen=True)
class Context:
    """Who asks, of which database, in which request."""

    database: Database
    caller: Caller
    request_id: str

    def environment(self, values: Mapping[str, Any]) -> Environment:
        """The variables, and what the caller brings to every statement."""
        caller = self.caller
        return {
            **values,
            "$tenant": caller.tenant_id,
            "$scope": caller.scope,
            "$actor": caller.actor_id,
        }


async def execute(operation: Operation, variables: Variables, context: Context) -> bytes:
    """The whole response of a query or a mutation as JSON.

    Raises:
        RequestErrors: the request is refused before anything is done; or the database is away, or too slow.
    """
    values = operation.coerced(variables)
    if operation.kind == "mutation":
        return await mutate(operation, values, context)
    return await read(operation, values, context)


async def mutate(operation: Operation, values: Mapping[str, Any], context: Context) -> bytes:
    """The response of a mutation: its fields one after the other, each a transaction of its own."""
    restricted = context.caller.scope is not None
    env = context.environment(values)
    prepared = operation.mutations(values, restricted=restricted)
    # All before the first is run: an input that cannot be used refuses the whole request.
    calls = {part.key: part.call(env) for part in prepared if isinstance(part, Prepared)}
    answers: dict[str, str] = {}
    failures: list[Failure] = []
    for part in prepared:
        if not isinstance(part, Prepared):
            key, answers[key] = part
            continue
        try:
            answers[part.key], failed = await _changed(part, calls[part.key], env, context)
        except (Unavailable, TooSlow) as error:
            raise interrupted(error, [key for key in calls if key in answers]) from error
        failures += [replace(one, path=("data", part.key, *one.path)) for one in failed]
    response = '{"data":{' + ",".join(f'"{key}":{text}' for key, text in answers.items()) + "}}"
    return with_errors(response.encode(), failures)


def interrupted(error: DomainError, done: Sequence[str]) -> RequestErrors:
    """The database went away, or was too slow; the mutations before are committed, and the caller must know."""
    if not done:
        return refusal(error)
    message = f"{error.message} This is of a later mutation only: what came before it is done ({', '.join(done)})."
    return RequestErrors([RequestError(error.code, message, extensions={"done": list(done)})])


async def _changed(prepared: Prepared, call: Call, env: Environment, context: Context) -> tuple[str, Sequence[Failure]]:
    """A mutation's payload, and what in it could not be filled."""
    failures: Sequence[Failure] = ()
    env = hole.marked(env) if prepared.answer.holes else env

    def answer(result: Result) -> str | tuple[str, Sequence[Any]]:
        if prepared.told:
            return prepared.told({**env, RESULT: result})
        return prepared.answer.text, prepared.answer.arguments({**env, RESULT: result})

    async def finish(connection: Any, text: str) -> str:
        nonlocal failures
        found = await hole.filled(connection, prepared.answer, text, env)
        failures = found.failures
        return found.json.decode()

    finishing = finish if prepared.answer.holes else None
    try:
        text = await run(context.database, context.caller, context.request_id, call, answer, finish=finishing)
    except (Unavailable, TooSlow):
        raise
    except DomainError as error:
        return prepared.refuse(error), ()
    return text, failures


async def read(operation: Operation, values: Mapping[str, Any], context: Context) -> bytes:
    """The response of a query: one statement, however many root fields, and one more when there are holes to fill."""
    query = operation.query(values, restricted=context.caller.scope is not None)
    if query.statement is None:
        return query.response()
    try:
        if query.statement.holes:
            async with context.database.connection() as connection:
                found, _ = await hole.answer(connection, query.statement, context.environment(values))
            return with_errors(found.json, found.failures)
        arguments = query.statement.arguments(context.environment(values))
        text: str = await context.database.read(query.statement.text, arguments)
    except (Unavailable, TooSlow) as error:
        raise refusal(error) from error
    return query.response(text)


def with_errors(response: bytes, failures: Sequence[Failure]) -> bytes:
    """A response beside whose `data` the errors of holes stand that could not be filled."""
    if not failures:
        return response
    errors = [RequestError(one.code, one.message, path=one.path[1:]).formatted() for one in failures]
    return b'{"errors":' + orjson.dumps(errors) + b"," + response[1:]


async def subscribe(operation: Operation, variables: Variables, context: Context) -> AsyncGenerator[Frame, None]:
    """Every frame of a subscription, each a whole result.

    Raises:
        RequestErrors: it is refused, or ends: `CURSOR_EXPIRED`, `NOT_FOUND`, `UNAUTHENTICATED`.
    """
    values = operation.coerced(variables)
    try:
        async for frame in _frames(operation, values, context):
            yield frame
    except DomainError as error:
        raise refusal(error) from error


async def _frames(operation: Operation, values: Mapping[str, Any], context: Context) -> AsyncIterator[Frame]:
    database, caller = context.database, context.caller
    renewed_at = told_at = time.monotonic()
    is_behind = True
    frames = operation.frames(values, restricted=caller.scope is not None)
    path = frames.namespace(values)
    place = await place_of(database, caller.tenant_id, path)
    require_sight(caller, place, path)
    after = read_position(frames.after(values), place) if frames.after else None
    async for span in spans(database, caller.tenant_id, place.root_id, after):
        if time.monotonic() - renewed_at > RENEWAL_INTERVAL:
            caller, renewed_at = await renewed(database, caller), time.monotonic()
            frames = operation.frames(values, restricted=caller.scope is not None)
        require_sight(caller, place, path)
        env = {**replace(context, caller=caller).environment(values), SPAN: span, PLACE: place}
        async with database.connection() as connection:
            text, is_full = await connection.fetchrow(frames.statement.text, *frames.statement.arguments(env))
        # What a filter hides all of is told too when it ends the backlog, or when nothing was told for long.
        is_due = (is_behind and not span.catching_up) or time.monotonic() - told_at >= follow.HEARTBEAT_INTERVAL
        if is_full or span.is_empty or is_due:
            told_at, is_behind = time.monotonic(), span.catching_up
            yield Frame(text.encode(), written(span, place).strip('"'))
