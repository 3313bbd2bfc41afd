"""The root of all mutations."""

from __future__ import annotations

import strawberry

from graphql_schema.mutations.access import AccessMutations
from graphql_schema.mutations.model import ModelMutations
from graphql_schema.mutations.namespace import NamespaceMutations


@strawberry.type(
    description="What can be changed. Each field is one transaction with its audit record; several run in order."
)
class Mutation(AccessMutations, NamespaceMutations, ModelMutations):
    pass
