"""Files on their way to the server and back, part by part, each known by its digest."""

from __future__ import annotations

import hashlib
import time
from typing import Any, Final

from demo import mutations
from demo.connection import Connection, DemoFailed

PART_SIZE: Final = 8 << 20
PAUSE: Final = 0.2


def digest_of(content: bytes) -> str:
    """SHA-256, as the server writes it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def upload(server: Connection, object_id: str, name: str, files: dict[str, bytes], **also: Any) -> str:
    """Store files as one artifact of an object; its id.

    Begun again after a crash, it goes on where it was: the server knows an upload by what it is. Raises DemoFailed.
    """
    told = [_announced(path, content) for path, content in files.items()]
    wanted = {"objectId": object_id, "name": name, "files": told, **also}
    found = server.repeat(mutations.BEGIN_UPLOAD, wanted)
    upload_id = found["upload"]["id"]
    while found["parts"]:
        for part in found["parts"]:
            content = files[part["path"]][part["offset"] : part["offset"] + part["size"]]
            server.put(part["url"], content, {each["name"]: each["value"] for each in part["headers"]})
        found = server.repeat(mutations.RESUME_UPLOAD, {"id": upload_id})
    while (done := server.repeat(mutations.COMPLETE_UPLOAD, {"id": upload_id}))["artifact"] is None:
        time.sleep(PAUSE)  # Large files take a while to be looked through.
    artifact: str = done["artifact"]["id"]
    return artifact


def _announced(path: str, content: bytes) -> dict[str, Any]:
    parts = [digest_of(content[at : at + PART_SIZE]) for at in range(0, len(content), PART_SIZE)]
    return {"path": path, "size": len(content), "digest": digest_of(content), "partDigests": parts}


def download(server: Connection, file: dict[str, Any]) -> bytes:
    """The bytes of a file, which are what its digest says, or DemoFailed is raised."""
    content = server.get(file["downloadUrl"])
    if digest_of(content) != file["digest"]:
        raise DemoFailed(f"{file['path']} came with other bytes than its digest says. Fetch it again.")
    return content
