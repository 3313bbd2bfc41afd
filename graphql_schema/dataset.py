"""Datasets, and their uses."""

from __future__ import annotations

from db.read.link import by_column, children_by
from db.read.source import DATASET, DATASET_USE
from graphql_schema import listings
from graphql_schema.connection import Connection, many
from graphql_schema.fields import column, entity, one
from graphql_schema.node import Entity
from graphql_schema.scalars import JSON, Digest


@entity(DATASET)
class Dataset(Entity):
    """What a version was trained or judged on: a name, and the digest of one state of it."""

    name: str = column("Unique, together with its digest, in its namespace.")
    digest: Digest | None = column("Of its content.")
    uri: str | None = column("Where it lies; kept as text, never opened.")
    description: str | None = column("What it holds.")
    schema: JSON | None = column("Its columns or features, as the caller describes them.", "schema")
    profile: JSON | None = column("Its size and statistics, as the caller describes them.")
    uses: Connection[DatasetUse] = many(
        "Where it was used, newest first.", lambda: listings.DATASET_USES, children_by("dataset_id")
    )


@entity(DATASET_USE)
class DatasetUse(Entity):
    """A dataset in a role, such as `train` or `validation`, of a model, a version or an experiment."""

    role: str = column("What it was used for.")
    dataset: Dataset | None = one("The dataset; null when deleted or not yours to see.", by_column("dataset_id"))
    object: Entity | None = one("What used it: a model, a version or an experiment.", by_column("object_id"))
