"""The ways in which the database layer says no.

The docstring of each class is the sentence that a caller reads when no better message is given.
`code` is a value of the schema's `ErrorCode`; `path` names the input that is at fault.
"""

from __future__ import annotations

from typing import Any, ClassVar


class DomainError(Exception):
    """The request cannot be done."""

    code: ClassVar[str] = "INVALID"

    def __init__(self, message: str = "", *, path: tuple[str, ...] = (), **details: Any) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        self.message = str(self)
        self.path = path
        self.details = details


class NotFound(DomainError):
    """There is no such object, or you may not see it."""

    code = "NOT_FOUND"


class Denied(DomainError):
    """Your role does not allow this."""

    code = "FORBIDDEN"


class Invalid(DomainError):
    """A value is not acceptable."""

    code = "INVALID"


class Conflict(DomainError):
    """The request contradicts what is stored."""

    code = "CONFLICT"


class NameTaken(Conflict):
    """Another object has this name. Choose a different one, or delete or rename the other."""

    code = "NAME_TAKEN"


class RevisionConflict(Conflict):
    """The object changed since you read it. Read it again, then repeat with its new revision."""

    code = "REVISION_CONFLICT"


class CrossTenant(Conflict):
    """Objects of two tenants cannot be linked."""

    code = "CROSS_TENANT"


class UploadIncomplete(Conflict):
    """Parts of the upload are missing. Ask for them with `resumeUpload`, send them, and complete it again."""

    code = "UPLOAD_INCOMPLETE"


class DigestMismatch(Conflict):
    """The bytes are not those that the digest names. Nothing was kept; begin the upload again with the right digest."""

    code = "DIGEST_MISMATCH"


class QuotaExceeded(Conflict):
    """The namespace has no room for this. Delete files, or ask an admin of it for a larger quota."""

    code = "QUOTA_EXCEEDED"


class CursorExpired(DomainError):
    """The cursor is past retention or of an earlier epoch. Query again and use its `feedCursor`."""

    code = "CURSOR_EXPIRED"


class Lagged(DomainError):
    """You read so slowly that too much waits for you. Follow again from this error's `cursor`."""

    code = "LAGGED"


class Unavailable(DomainError):
    """The database does not answer. Try again in a moment."""

    code = "SERVICE_UNAVAILABLE"


class TooSlow(DomainError):
    """The request took too long and was stopped. Ask for less: fewer levels, smaller pages, a narrower filter."""

    code = "LIMIT_EXCEEDED"


class Overloaded(Unavailable):
    """The server is busier than it can be. Nothing was done; try again in a moment."""


class StoreUnavailable(Unavailable):
    """The store of files does not answer, or is full. Nothing was lost; try again in a moment."""
