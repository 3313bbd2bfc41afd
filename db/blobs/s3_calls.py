"""Calls to S3: how many at a time, for how long, and what their failures mean."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any, Final

import aiohttp
import structlog
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from db.blobs.s3 import Limits
from db.errors import StoreUnavailable

log = structlog.get_logger("modelbox.blobs")

NETWORK: Final = (HTTPClientError, aiohttp.ClientError, OSError, TimeoutError)
"""What a call or a body meets when S3 is away, slow, or hangs up."""

NOT_ALLOWED: Final = (
    "S3 does not let this server in: look at its AWS credentials, and at what they may do in the bucket."
)
CREDENTIALS: Final = (
    "There are no usable AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile."
)
NO_BUCKET: Final = (
    "There is no such bucket in this region: look at MODELBOX_BLOB_URL and MODELBOX_S3_REGION, or make it."
)

FOR_THE_OPERATOR: Final = {
    **dict.fromkeys(
        (
            "403",
            "AccessDenied",
            "AccountProblem",
            "AllAccessDisabled",
            "AuthorizationHeaderMalformed",
            "ExpiredToken",
            "Forbidden",
            "InvalidAccessKeyId",
            "InvalidToken",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
        ),
        NOT_ALLOWED,
    ),
    **dict.fromkeys(("301", "NoSuchBucket", "PermanentRedirect"), NO_BUCKET),
}
"""Answers that mean the same to the next call, until somebody does something."""


class Said(Exception):
    """S3 answered with an error that its caller knows what to do about: this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Calls:
    """A client for one bucket, of which only so many calls are under way.

    Its errors say nothing that S3 or a library wrote: such a text can hold an address with its signature.
    """

    def __init__(self, client: Any, bucket: str, limits: Limits) -> None:
        self._client = client
        self._bucket = bucket
        self._limits = limits
        self._calls = asyncio.Semaphore(limits.calls)
        self._reads = asyncio.Semaphore(limits.reads)

    async def __call__(self, operation: str, known: Collection[str] = (), /, **arguments: Any) -> dict[str, Any]:
        """The answer to an operation.

        Raises:
            Said: it was an error with a known code.
            StoreUnavailable: there was none, or another error.
        """
        async with self._turn(self._calls):
            return await self._answer(operation, known, arguments)

    @contextlib.asynccontextmanager
    async def reading(self, operation: str, known: Collection[str], /, **arguments: Any) -> AsyncIterator[Any]:
        """The answer to an operation that has a body, until the body is read."""
        async with self._turn(self._reads):
            answer = await self._answer(operation, known, arguments)
            try:
                yield answer
            finally:
                answer["Body"].close()

    async def pages(self, operation: str, known: Collection[str] = (), /, **arguments: Any) -> AsyncIterator[Any]:
        """The answers to an operation that lists, until the last page."""
        found = self._client.get_paginator(operation).paginate(Bucket=self._bucket, **arguments).__aiter__()
        while True:
            async with self._turn(self._calls):
                with named_errors(operation, known):
                    page = await anext(found, None)
            if page is None:
                return
            yield page

    async def _answer(self, operation: str, known: Collection[str], arguments: dict[str, Any]) -> dict[str, Any]:
        with named_errors(operation, known):
            async with asyncio.timeout(self._limits.call_seconds):
                answer: dict[str, Any] = await getattr(self._client, operation)(Bucket=self._bucket, **arguments)
        return answer

    @contextlib.asynccontextmanager
    async def _turn(self, free: asyncio.Semaphore) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._limits.wait_seconds):
                await free.acquire()
        except TimeoutError:
            log.warning("calls to S3 wait for each other", waited=self._limits.wait_seconds)
            raise StoreUnavailable from None
        try:
            yield
        finally:
            free.release()


@contextlib.contextmanager
def named_errors(operation: str, known: Collection[str] = ()) -> Iterator[None]:
    """Raises Said or StoreUnavailable for what a call to S3 meets; the log says which."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in known:
            raise Said(code) from None
        refused(operation, code, FOR_THE_OPERATOR.get(code))
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, TokenRetrievalError) as error:
        refused(operation, type(error).__name__, CREDENTIALS)
    except (BotoCoreError, ResponseParserError, *NETWORK) as error:
        refused(operation, type(error).__name__)
    else:
        return
    raise StoreUnavailable from None


def refused(operation: str, error: str, advice: str | None = None) -> None:
    """Log what a call met, and what the operator can do if it will not pass by itself."""
    if advice:
        log.error("S3 refuses", operation=operation, error=error, advice=advice)
    else:
        log.warning("S3 fails", operation=operation, error=error)
