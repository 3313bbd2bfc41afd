"""From an operation to the bytes of its response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from db.access import Caller
from db.engine import Database
from db.errors import DomainError, Unavailable
from db.read.sql import Environment
from db.transaction import Result, run
from graphql_schema.errors import RequestError, RequestErrors
from graphql_schema.mutation import RESULT, Prepared
from graphql_schema.operation import Operation
from graphql_schema.strings import check_variables


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


async def execute(operation: Operation, variables: Mapping[str, Any] | None, context: Context) -> bytes:
    """The whole response of a query or a mutation as JSON.

    Raises:
        RequestErrors: the request is refused before anything is done.
        RequestError: the database is away, or the statement took too long.
    """
    check_variables(variables)
    values = operation.coerced(variables)
    if operation.kind == "mutation":
        return await mutate(operation, values, context)
    return await read(operation, values, context)


async def mutate(operation: Operation, values: Mapping[str, Any], context: Context) -> bytes:
    """The response of a mutation: its fields one after the other, each a transaction of its own."""
    restricted = context.caller.scope is not None
    env = context.environment(values)
    parts = [
        f'"{part.key}":{await _changed(part, env, context)}' if isinstance(part, Prepared) else f'"{part[0]}":{part[1]}'
        for part in operation.mutations(values, restricted=restricted)
    ]
    return f'{{"data":{{{",".join(parts)}}}}}'.encode()


async def _changed(prepared: Prepared, env: Environment, context: Context) -> str:
    def answer(result: Result) -> tuple[str, Sequence[Any]]:
        return prepared.answer.text, prepared.answer.arguments({**env, RESULT: result})

    try:
        call = prepared.call(env)
        return await run(context.database, context.caller, context.request_id, call, answer)
    except Unavailable as error:
        raise away(error) from error
    except asyncpg.QueryCanceledError:
        raise too_slow() from None
    except DomainError as error:
        return prepared.refuse(error)


async def read(operation: Operation, values: Mapping[str, Any], context: Context) -> bytes:
    """The response of a query: one statement, however many root fields."""
    query = operation.query(values, restricted=context.caller.scope is not None)
    if query.statement is None:
        return query.text.encode()
    arguments = query.statement.arguments(context.environment(values))
    try:
        async with context.database.connection() as connection:
            text: str = await connection.fetchval(query.statement.text, *arguments)
    except Unavailable as error:
        raise away(error) from error
    except asyncpg.QueryCanceledError:
        raise too_slow() from None
    return text.encode()


def away(error: Unavailable) -> RequestErrors:
    """The database does not answer."""
    return RequestErrors([RequestError("SERVICE_UNAVAILABLE", error.message)])


def too_slow() -> RequestErrors:
    """A statement passed its time limit."""
    text = "The request took too long and was stopped. Ask for less: fewer levels, smaller pages, a narrower filter."
    return RequestErrors([RequestError("LIMIT_EXCEEDED", text, extensions={"limit": "time"})])
