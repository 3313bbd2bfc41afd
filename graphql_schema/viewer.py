"""Who acts: users, service accounts, and their roles."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from db.read.link import Link, by_column, children_by, the_caller
from db.read.order import by_id
from db.read.plan import One, Plan, Variants, Window
from db.read.source import ROLE_GRANT, SERVICE_ACCOUNT, TENANT_SOURCE, USER
from graphql_schema import enums
from graphql_schema.fields import INTERFACES, column, entity, listed, one, possible_types
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
        "Its roles.",
        lambda _: Window(ROLE_GRANT, [by_id(descending=False)], 1000, children_by("actor_id"), True),
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
    return One(USER, link, Variants(lambda alias: f"{alias}.kind", alternatives), contained)


INTERFACES["Actor"] = actor_plan
