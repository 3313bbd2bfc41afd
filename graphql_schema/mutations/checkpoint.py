"""Changes of checkpoints."""

from __future__ import annotations

import strawberry

from db.access import Role
from db.verbs import checkpoints
from graphql_schema.checkpoint import Checkpoint
from graphql_schema.mutation import Payload, changed, given, mutation, optional, payload, retry_key
from graphql_schema.mutations.inputs import DeleteInput, DeletePayload
from graphql_schema.scalars import JSON, MetricValue, SafeInt


@strawberry.input(description="A saved state of an experiment.")
class CreateCheckpointInput:
    experiment_id: strawberry.ID = given("The experiment whose state it is.")
    name: str | None = optional("A name for people; need not be unique.")
    step: SafeInt | None = optional("The training step at which it was saved.")
    epoch: MetricValue | None = optional("The epoch at which it was saved: finite, fractions are allowed.")
    labels: list[str] | None = optional("Free words; at most 100.")
    metadata: JSON | None = optional("A JSON object that you own.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="What to change of a checkpoint. What is absent stays as it is.")
class CheckpointPatch:
    name: str | None = optional("A name for people; null for none.")
    step: SafeInt | None = optional("The training step at which it was saved; null when unknown.")
    epoch: MetricValue | None = optional("The epoch at which it was saved; null when unknown.")
    labels: list[str] | None = optional("All its labels, in place of the old ones.")
    metadata: JSON | None = optional("All its metadata, in place of the old; `logMetadata` adds to it.")


@strawberry.input(description="A change of a checkpoint.")
class UpdateCheckpointInput:
    id: strawberry.ID = given("The checkpoint.")
    patch: CheckpointPatch = given("What to change.")
    if_revision: SafeInt | None = optional("Change it only when it is still at this revision.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="A deleted checkpoint to bring back.")
class RestoreCheckpointInput:
    id: strawberry.ID = given("The checkpoint.")
    idempotency_key: str | None = retry_key()


@payload
class CheckpointPayload(Payload):
    """The checkpoint as it is now."""

    checkpoint: Checkpoint | None = changed("The checkpoint.", "checkpoint")


@strawberry.type
class CheckpointMutations:
    """Mutations of checkpoints."""

    create_checkpoint: CheckpointPayload = mutation(
        "Record a saved state of an experiment, whatever its status; it is READY at once. Each call makes a new one:"
        " send an `idempotencyKey` to be able to repeat it. A sign of life of the experiment.",
        checkpoints.create,
        Role.WRITER,
        CreateCheckpointInput,
    )
    update_checkpoint: CheckpointPayload = mutation(
        "Change a checkpoint.", checkpoints.update, Role.WRITER, UpdateCheckpointInput
    )
    delete_checkpoint: DeletePayload = mutation(
        "Delete a checkpoint.", checkpoints.delete, Role.MAINTAINER, DeleteInput
    )
    restore_checkpoint: CheckpointPayload = mutation(
        "Bring a deleted checkpoint back. `CONFLICT` when its experiment is deleted, too: restore that first.",
        checkpoints.restore,
        Role.MAINTAINER,
        RestoreCheckpointInput,
    )
