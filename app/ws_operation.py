"""One operation on a socket: its results, then `complete`; or its errors, which end only itself."""

from __future__ import annotations

import contextlib
import time
from typing import Protocol

from starlette.types import Scope

from app import operations, ws_messages
from app.gateway import Gateway, new_request_id
from app.ws_messages import AFTER_RESULT, Close, Gone, Subscribe
from db.access import Caller
from graphql_schema import executor
from graphql_schema.operation import Operation


class Outlet(Protocol):
    """Where an operation's messages go."""

    async def send(self, text: str) -> None:
        """Send one message."""

    async def send_result(self, *parts: bytes) -> None:
        """The same for one that is bytes already, in parts, so that they are copied only once."""

    def forget(self, operation_id: str) -> None:
        """Free the operation's id; before its last message, for the client may use it at once."""


class SocketOperation:
    """Runs as a task of its own, which is cancelled when the client completes it or leaves."""

    def __init__(self, gateway: Gateway, outlet: Outlet, message: Subscribe, caller: Caller, scope: Scope) -> None:
        self._gateway = gateway
        self._outlet = outlet
        self._id = message.id
        self._request = message.request
        self._caller = caller
        self._scope = scope
        self._request_id = new_request_id()
        self._operation: Operation | None = None

    async def run(self) -> None:
        """Prepare and run the operation, and send what comes of it."""
        started = time.perf_counter()
        code = None
        try:
            code = await self._send_all()
        finally:
            self._outlet.forget(self._id)
            self._gateway.report("websocket", self._request_id, self._operation, code=code, started=started)

    async def _send_all(self) -> str | None:
        """Send every message of the operation; the code of its refusal, if it was refused."""
        try:
            await self._send_results()
        except (Close, Gone):
            raise
        except Exception as error:  # noqa: BLE001 - logged there, and masked
            errors = operations.refusals(error, self._request_id)
            self._outlet.forget(self._id)
            await self._outlet.send(ws_messages.refused(self._id, errors))
            return errors[0].code
        self._outlet.forget(self._id)
        await self._outlet.send(ws_messages.complete(self._id))
        return None

    async def _send_results(self) -> None:
        request = self._request
        operation = self._gateway.documents.prepare(request.query, request.operation_name)
        self._operation = operation
        # Sockets live for hours: roles are looked up anew, so that one taken away ends within a second.
        self._caller = await self._gateway.authenticate(self._caller.token)
        if operation.kind == "subscription":
            await self._follow(operation)
            return
        result = await operations.answer(self._gateway, operation, request, self._caller, self._request_id, self._scope)
        await self._outlet.send_result(ws_messages.before_result(self._id), result, AFTER_RESULT)

    async def _follow(self, operation: Operation) -> None:
        context = self._gateway.context(self._caller, self._request_id)
        frames = executor.subscribe(operation, self._request.variables, context)
        head, send = ws_messages.before_result(self._id), self._outlet.send_result
        self._gateway.count_subscriptions(1)
        try:
            # Closed here and not by the garbage collector, so that what it holds is free at once.
            async with contextlib.aclosing(frames):
                async for frame in frames:
                    await send(head, frame.json, AFTER_RESULT)
        finally:
            self._gateway.count_subscriptions(-1)
