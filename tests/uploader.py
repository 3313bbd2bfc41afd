"""A client that uploads, as a trainer's script would: over HTTP, part by part, and again where that failed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import httpx

MIB = 1 << 20
PARTS = "parts { path fileNumber number offset size digest url headers { name value } } missingPartCount"
ERRORS = "userErrors { code message path }"
BEGIN = f"""mutation ($input: BeginUploadInput!) {{
  beginUpload(input: $input) {{ created upload {{ id status artifact {{ id status }} }} {PARTS} {ERRORS} }}
}}"""
RESUME = f"""mutation ($input: ResumeUploadInput!) {{
  resumeUpload(input: $input) {{ upload {{ id status receivedSize totalSize }} {PARTS} {ERRORS} }}
}}"""
COMPLETE = f"""mutation ($input: CompleteUploadInput!) {{
  completeUpload(input: $input) {{
    upload {{ id status }} artifact {{ id status fileCount totalSize files(first: 100) {{
      nodes {{ id path size digest mediaType verifiedAt downloadUrl }} }} }} {ERRORS}
  }}
}}"""
ABORT = f"""mutation ($input: AbortUploadInput!) {{
  abortUpload(input: $input) {{ upload {{ id status }} {ERRORS} }}
}}"""


class Refused(Exception):
    """A mutation was refused; `code` says how."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error["message"])
        self.code: str = error["code"]
        self.path: list[str] | None = error["path"]


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def announced(path: str, data: bytes, part_size: int = 8 * MIB, **also: Any) -> dict[str, Any]:
    """A file as `beginUpload` wants it."""
    parts = [digest_of(data[at : at + part_size]) for at in range(0, len(data), part_size)]
    return {
        "path": path,
        "size": len(data),
        "digest": digest_of(data),
        "partSize": part_size,
        "partDigests": parts,
        **also,
    }


@dataclass
class Uploader:
    """Sends files to a server, whose GraphQL is at `endpoint`."""

    http: httpx.AsyncClient
    endpoint: str
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a document."""
        answer = await self.http.post(
            self.endpoint, json={"query": query, "variables": variables}, headers=self.headers
        )
        body: dict[str, Any] = answer.json()
        assert "errors" not in body, body
        data: dict[str, Any] = body["data"]
        return data

    async def change(self, query: str, **given: Any) -> dict[str, Any]:
        """The payload of a document's only mutation.

        Raises:
            Refused: it was refused.
        """
        (payload,) = (await self.ask(query, input=given)).values()
        for error in payload["userErrors"]:
            raise Refused(error)
        found: dict[str, Any] = payload
        return found

    async def put(self, part: Mapping[str, Any], data: bytes) -> httpx.Response:
        """Send one part; our own token only to our own server."""
        url = urljoin(self.endpoint, part["url"])
        headers = {header["name"]: header["value"] for header in part["headers"]}
        if part["url"] == urljoin("", part["url"]) and "://" not in part["url"]:
            headers |= self.headers
        return await self.http.put(url, content=data, headers=headers)

    async def send(self, parts: Sequence[Mapping[str, Any]], files: Mapping[str, bytes]) -> None:
        """Send parts of these files."""
        for part in parts:
            data = files[part["path"]][part["offset"] : part["offset"] + part["size"]]
            answer = await self.put(part, data)
            assert answer.is_success, (answer.status_code, answer.text)

    async def upload(
        self,
        object_id: str,
        name: str,
        files: Mapping[str, bytes],
        part_size: int = 8 * MIB,
        media_types: Mapping[str, str] | None = None,
        **also: Any,
    ) -> dict[str, Any]:
        """The payload of `completeUpload` for files that were sent whole."""
        types = media_types or {}
        told = [announced(path, data, part_size, mediaType=types.get(path)) for path, data in files.items()]
        payload = await self.change(BEGIN, objectId=object_id, name=name, files=told, **also)
        upload = payload["upload"]["id"]
        while payload["parts"]:
            await self.send(payload["parts"], files)
            payload = await self.change(RESUME, id=upload)
        return await self.complete(upload)

    async def complete(self, upload: str) -> dict[str, Any]:
        """The payload, once the upload is no more VERIFYING."""
        while True:
            payload = await self.change(COMPLETE, id=upload)
            if payload["upload"]["status"] != "VERIFYING":
                return payload
