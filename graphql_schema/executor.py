"""From an operation to the bytes of its response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from db.access import Caller
from db.engine import Database
from db.errors import DomainError, TooSlow, Unavailable
from db.feed.feed import Feed
from db.read import hole
from db.read.hole import Failure
from db.read.sql import Compiled, Environment
from db.transaction import Call, Result, run
from graphql_schema.broadcast import Live
from graphql_schema.callers import environment
from graphql_schema.errors import RequestError, RequestErrors
from graphql_schema.follower import Follower
from graphql_schema.frame import Frame
from graphql_schema.live_follower import LiveFollower
from graphql_schema.live_query import LiveFrames
from graphql_schema.mutation import RESULT, Prepared
from graphql_schema.operation import Operation
from graphql_schema.response import refusal, with_errors
from graphql_schema.subscriber import Subscriber
from graphql_schema.typed_variables import Variables


@dataclass(frozen=True)
class Context:
    """Who asks, of which database, in which request."""

    database: Database
    caller: Caller
    request_id: str
    live: Live | None = None
    """What subscriptions share; one by itself has its own."""

    address: str | None = None
    """From where it is asked, as far as that is known."""

    def environment(self, values: Mapping[str, Any]) -> Environment:
        """The variables, and what the caller brings to every statement."""
        return environment(self.caller, values)


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
    calls = {part.key: _call(part, env, context) for part in prepared if isinstance(part, Prepared)}
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


def _call(prepared: Prepared, env: Environment, context: Context) -> Call:
    return replace(prepared.call(env), address=context.address)


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
            return await _with_holes_filled(query.statement, values, context)
        arguments = query.statement.arguments(context.environment(values))
        text: str = await context.database.read(query.statement.text, arguments)
    except (Unavailable, TooSlow) as error:
        raise refusal(error) from error
    return query.response(text)


async def _with_holes_filled(statement: Compiled, values: Mapping[str, Any], context: Context) -> bytes:
    """Several statements together take no longer than one may."""
    try:
        async with asyncio.timeout(context.database.longest_read) as limit, context.database.connection() as connection:
            found, _ = await hole.answer(connection, statement, context.environment(values))
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TooSlow from error
    return with_errors(found.json, found.failures)


async def subscribe(
    operation: Operation, variables: Variables, context: Context, *, after: str | None = None
) -> AsyncGenerator[Frame, None]:
    """Every frame of a subscription, each a whole result. A cursor in `after` stands above the argument of that name.

    Raises:
        RequestErrors: it is refused, or ends: `CURSOR_EXPIRED`, `NOT_FOUND`, `FORBIDDEN`, `LAGGED`, `UNAUTHENTICATED`.
    """
    live = context.live or Live(Feed(context.database), context.database)
    values = operation.coerced(variables)
    frames = operation.frames(values, restricted=context.caller.scope is not None)
    who = Subscriber(live, context.database, context.caller, operation, values)
    follower = LiveFollower(who) if isinstance(frames, LiveFrames) else Follower(who)
    try:
        await follower.open(after)
        while (frame := await follower.next()) is not None:
            yield frame
    except DomainError as error:
        raise refusal(error) from error
    finally:
        follower.close()
