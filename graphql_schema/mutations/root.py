"""The root of all mutations."""

from __future__ import annotations

import strawberry

from graphql_schema.mutations.access import AccessMutations
from graphql_schema.mutations.artifact import ArtifactMutations
from graphql_schema.mutations.checkpoint import CheckpointMutations
from graphql_schema.mutations.dataset import DatasetMutations
from graphql_schema.mutations.event import EventMutations
from graphql_schema.mutations.experiment import ExperimentMutations
from graphql_schema.mutations.metadata import MetadataMutations
from graphql_schema.mutations.metric import MetricMutations
from graphql_schema.mutations.model import ModelMutations
from graphql_schema.mutations.namespace import NamespaceMutations
from graphql_schema.mutations.promotion import PromotionMutations
from graphql_schema.mutations.upload import UploadMutations
from graphql_schema.mutations.version import ModelVersionMutations


@strawberry.type(
    description="What can be changed. Each field is one transaction with its audit record; several run in order."
)
class Mutation(
    AccessMutations,
    NamespaceMutations,
    ModelMutations,
    MetricMutations,
    MetadataMutations,
    EventMutations,
    ArtifactMutations,
    UploadMutations,
    DatasetMutations,
    ExperimentMutations,
    CheckpointMutations,
    ModelVersionMutations,
    PromotionMutations,
):
    pass
