"""What a caller is told when a mutation is refused."""

from __future__ import annotations

import enum

import strawberry
from strawberry import enum_value

from graphql_schema.scalars import SafeInt


@strawberry.enum(description="Why a mutation was refused. `docs/errors.md` says what to do about each.")
class ErrorCode(enum.Enum):
    NOT_FOUND = enum_value("NOT_FOUND", description="There is no such object, or you may not see it.")
    FORBIDDEN = enum_value("FORBIDDEN", description="You may see the object, but your role does not allow this.")
    INVALID = enum_value("INVALID", description="A value is not acceptable; `path` names it.")
    CONFLICT = enum_value("CONFLICT", description="The request contradicts what is stored.")
    NAME_TAKEN = enum_value("NAME_TAKEN", description="Another object has this name.")
    REVISION_CONFLICT = enum_value("REVISION_CONFLICT", description="The object changed since you read it.")
    UPLOAD_INCOMPLETE = enum_value("UPLOAD_INCOMPLETE", description="Parts of the upload, or shards, are missing.")
    DIGEST_MISMATCH = enum_value("DIGEST_MISMATCH", description="The bytes are not those that the digest names.")
    QUOTA_EXCEEDED = enum_value("QUOTA_EXCEEDED", description="The namespace has no room for this.")
    CROSS_TENANT = enum_value("CROSS_TENANT", description="Objects of two tenants cannot be linked.")


@strawberry.interface(description="A refusal that the caller can do something about. Nothing was written.")
class UserError:
    message: str = strawberry.field(description="What is wrong and what to do, as a sentence.")
    code: ErrorCode = strawberry.field(description="For programs.")
    path: list[str] | None = strawberry.field(description='The argument at fault, such as `["input", "name"]`.')


@strawberry.type(description="A refusal that needs no more words.")
class Refusal(UserError):
    pass


@strawberry.type(description="The object changed since the caller read it.")
class RevisionConflict(UserError):
    current_revision: SafeInt = strawberry.field(description="The revision that it has now.")
