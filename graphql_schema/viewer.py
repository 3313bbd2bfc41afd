"""Who acts: users, service accounts, and their roles."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from db.read import value
from db.read.link import Link, by_column, children_by, the_caller
from db.read.order import by_id
from db.read.plan import One, Plan, Variants
from db.read.source import ACTOR, ROLE_GRANT, SERVICE_ACCOUNT, TENANT_SOURCE, TOKEN, USER
from db.read.window import Window
from graphql_schema import enums
from graphql_schema.fields import INTERFACES, column, computed, entity, listed, one, possible_types
from graphql_schema.selection import Selected

if TYPE_CHECKING:
    from graphql_schema.namespace import Namespace

NamespaceType = Annotated["Namespace", strawberry.lazy("graphql_schema.namespace")]


@strawberry.interface(description="Somebody or something that acts.")
class Actor:
    id: strawberry.ID = column("Opaque.")
    name: str = column("Unique among users, and among service accounts.")
    created_at: datetime = column("When it was added.")
    disabled_at: datetime | None = column("Since when it may no longer act.")
    grants: list[Annotated[RoleGrant, strawberry.lazy("graphql_schema.viewer")]] = listed(
        "Its roles, as far as you may see where they hold.",
        lambda _: Window(ROLE_GRANT, [by_id(descending=False)], 1000, children_by("actor_id")),
        expected=5,
    )
    tokens: list[Annotated[Token, strawberry.lazy("graphql_schema.viewer")]] = listed(
        "Its tokens, without their secrets; only your own, unless you may see the whole tenant.",
        lambda _: Window(TOKEN, [by_id(descending=False)], 1000, children_by("actor_id")),
        expected=5,
    )


@entity(ROLE_GRANT)
class RoleGrant:
    """A role of an actor on a namespace and all below it."""

    id: strawberry.ID = column("Opaque.")
    actor: Actor = one("Who has it.", by_column("actor_id"), contained=True)
    role: enums.Role = column("What it allows.")
    namespace: NamespaceType | None = one(
        "Where it holds; null for the whole tenant, or for a namespace that you may not see.",
        by_column("namespace_id"),
    )
    created_at: datetime = column("When it was granted.")


@entity(TOKEN)
class Token:
    """A bearer token, as far as it is kept: its secret is not."""

    id: strawberry.ID = column("Opaque.")
    prefix: str = column("Its public part, by which people and logs name it.")
    description: str | None = column("What it is for.")
    role: enums.Role = column("The most that it allows.")
    namespace_ids: list[strawberry.ID] | None = computed(
        "The namespaces that it is bound to, with all below them; null when it is not bound.", value.token_namespaces
    )
    created_at: datetime = column("When it was made.")
    expires_at: datetime | None = column("When it stops; null for never.")
    revoked_at: datetime | None = column("When it was ended; null while it stands.")


@entity(USER)
class User(Actor):
    """A person."""


@entity(SERVICE_ACCOUNT)
class ServiceAccount(Actor):
    """A program: a trainer, a pipeline, a deployment."""

    description: str | None = column("What it is for.")


@entity(TENANT_SOURCE)
class Viewer:
    """Who is asking."""

    tenant: str = column("The organisation that the request acts in.", "name")
    actor: Actor = one(
        "You, or your program.",
        the_caller,
        contained=True,
    )


def actor_plan(selected: Selected, link: Link, contained: bool) -> Plan:
    """A user or a service account, from the one table of both."""
    sources = {"User": USER, "ServiceAccount": SERVICE_ACCOUNT}
    alternatives = [
        (sources[type_.name].kind, selected.planner.object(type_, selected.nodes)) for type_ in possible_types(selected)
    ]
    return One(ACTOR, link, Variants(lambda alias: f"{alias}.kind", alternatives), contained)


INTERFACES["Actor"] = actor_plan
