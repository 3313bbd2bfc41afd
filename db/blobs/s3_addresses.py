"""Addresses at which clients reach S3 by themselves, for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest

from db.blobs.s3_calls import named_errors

NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True)
class Request:
    """What an address lets its holder do: this, with exactly these headers."""

    method: str
    key: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class Signer:
    """Signs requests with the credentials of the moment, which may be renewed meanwhile.

    A signature is a hundred microseconds of work and no call, but an upload can ask for a thousand: a thread does it.
    """

    def __init__(self, session: Any, region: str, base: str) -> None:
        self._session = session
        self._region = region
        self._base = base

    async def sign(self, requests: Sequence[Request], *, seconds: int) -> list[str]:
        """An address for each, good for so many seconds."""
        with named_errors("sign"):
            credentials = await self._session.get_credentials()
            frozen = await credentials.get_frozen_credentials() if credentials else None
            signature = S3SigV4QueryAuth(frozen, "s3", self._region, expires=seconds)
            return await asyncio.to_thread(lambda: [self._signed(signature, each) for each in requests])

    def _signed(self, signature: S3SigV4QueryAuth, request: Request) -> str:
        signed = AWSRequest(
            method=request.method,
            url=self._base + quote(request.key, safe="/-_.~"),
            params=request.query,
            headers=request.headers,
        )
        signature.add_auth(signed)
        return str(signed.url)
