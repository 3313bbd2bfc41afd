"""Changes of service accounts, tokens and roles."""

from __future__ import annotations

from datetime import datetime

import strawberry

from db.access import Role as Needed
from db.verbs import access
from graphql_schema import enums
from graphql_schema.mutation import Payload, changed, given, mutation, optional, payload, retry_key, told
from graphql_schema.viewer import Actor, RoleGrant, ServiceAccount, Token

TENANT = "the whole tenant"


@strawberry.input(description="An account for a program.")
class CreateServiceAccountInput:
    name: str = given("Unique among service accounts; 1 to 255 characters, none of them `/`, `:` or `@`.")
    description: str | None = optional("What it is for.")
    idempotency_key: str | None = retry_key()


@payload
class CreateServiceAccountPayload(Payload):
    """The account, and whether it is new."""

    service_account: ServiceAccount | None = changed("The account.", "serviceAccount")
    created: bool | None = told("False when there was one of that name, which is returned unchanged.", "created")


@strawberry.input(description="A user or service account.")
class ActorInput:
    id: strawberry.ID = given("The user or service account.")


@payload
class ActorPayload(Payload):
    """The user or service account as it is now."""

    actor: Actor | None = changed("The user or service account.", "actor")


@strawberry.input(description="A token to make.")
class CreateTokenInput:
    actor_id: strawberry.ID = given("Who will act with it.")
    description: str | None = optional("What it is for.")
    role: enums.Role = given("The most that it allows, whatever roles its actor has.", default=enums.Role.ADMIN)
    namespace_ids: list[strawberry.ID] | None = optional("Bind it to these namespaces and all below them.")
    expires_at: datetime | None = optional("When it stops; never when absent.")


@payload
class CreateTokenPayload(Payload):
    """The token. Its secret is shown once; a lost answer means a new token."""

    tokens: list[Token] | None = changed("What is kept of it.", "tokens")
    secret: str | None = told("The token itself: send it as `Authorization: Bearer …`. It is not kept.", "secret")


@strawberry.input(description="A token to end.")
class RevokeTokenInput:
    id: strawberry.ID = given("The token.")


@payload
class RevokePayload(Payload):
    """What was taken away."""

    revoked_id: strawberry.ID | None = told("The id that was given.", "revokedId")


@strawberry.input(description="A role to give.")
class GrantRoleInput:
    actor_id: strawberry.ID = given("To whom.")
    role: enums.Role = given("What they may do; it replaces an earlier role on the same namespace.")
    namespace_id: strawberry.ID | None = optional("On which namespace and all below it; the whole tenant when absent.")


@payload
class GrantRolePayload(Payload):
    """The role as it is now."""

    grants: list[RoleGrant] | None = changed("The one role that was given.", "grants")


@strawberry.input(description="A role to take away.")
class RevokeRoleInput:
    id: strawberry.ID = given("The grant.")


@strawberry.type
class AccessMutations:
    """Mutations of service accounts, tokens and roles."""

    create_service_account: CreateServiceAccountPayload = mutation(
        "Add an account for a program, or get the one of that name unchanged.",
        access.create_service_account,
        Needed.ADMIN,
        CreateServiceAccountInput,
        on=TENANT,
    )
    disable_actor: ActorPayload = mutation(
        "Keep a user or service account from acting; its tokens stop within a second.",
        access.disable,
        Needed.ADMIN,
        ActorInput,
        on=TENANT,
    )
    enable_actor: ActorPayload = mutation(
        "Let a user or service account act again.", access.enable, Needed.ADMIN, ActorInput, on=TENANT
    )
    create_token: CreateTokenPayload = mutation(
        "Make a bearer token. Its secret is in this answer and nowhere else.",
        access.create_token,
        Needed.ADMIN,
        CreateTokenInput,
        on=TENANT,
    )
    revoke_token: RevokePayload = mutation(
        "End a token; what it opened closes within a second.",
        access.revoke_token,
        Needed.ADMIN,
        RevokeTokenInput,
        on=TENANT,
    )
    grant_role: GrantRolePayload = mutation(
        "Give a role on a namespace and all below it, or on the whole tenant.",
        access.grant_role,
        Needed.ADMIN,
        GrantRoleInput,
    )
    revoke_role: RevokePayload = mutation(
        "Take a role away; `CONFLICT` for the tenant's last admin.", access.revoke_role, Needed.ADMIN, RevokeRoleInput
    )
