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
    expected_shards: int | None = optional(
        "How many shards it consists of, 1 to 4 096: it is PENDING until each rank has uploaded its own and"
        " `commitCheckpoint` was called. Also for a single one, 1 keeps jobs from resuming from what is half uploaded."
    )
    pinned: bool | None = optional("Keep it, whatever the experiment's `checkpointRetention` says; false when absent.")
    labels: list[str] | None = optional("Free words; at most 100.")
    metadata: JSON | None = optional("A JSON object that you own.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="What to change of a checkpoint. What is absent stays as it is.")
class CheckpointPatch:
    name: str | None = optional("A name for people; null for none.")
    step: SafeInt | None = optional("The training step at which it was saved; null when unknown.")
    epoch: MetricValue | None = optional("The epoch at which it was saved; null when unknown.")
    pinned: bool | None = optional("Keep it, whatever the experiment's `checkpointRetention` says.")
    labels: list[str] | None = optional("All its labels, in place of the old ones.")
    metadata: JSON | None = optional("All its metadata, in place of the old; `logMetadata` adds to it.")


@strawberry.input(description="A change of a checkpoint.")
class UpdateCheckpointInput:
    id: strawberry.ID = given("The checkpoint.")
    patch: CheckpointPatch = given("What to change.")
    if_revision: SafeInt | None = optional("Change it only when it is still at this revision.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="A checkpoint whose shards are all there.")
class CommitCheckpointInput:
    id: strawberry.ID = given("The checkpoint.")
    idempotency_key: str | None = optional("Makes a retry safe; a commit sent twice does no harm without it.")


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
        "Record a saved state of an experiment, whatever its status. It is READY at once; with `expectedShards` it is"
        " PENDING until it is committed. Each call makes a new one: send an `idempotencyKey` to be able to repeat it."
        " A sign of life of the experiment.",
        checkpoints.create,
        Role.WRITER,
        CreateCheckpointInput,
    )
    commit_checkpoint: CheckpointPayload = mutation(
        "Make a checkpoint READY, all of it at once; any process may. `UPLOAD_INCOMPLETE` names the shards without an"
        " artifact that is READY; nothing changes then. To say it again changes nothing. A sign of life of the"
        " experiment.",
        checkpoints.commit,
        Role.WRITER,
        CommitCheckpointInput,
    )
    update_checkpoint: CheckpointPayload = mutation(
        "Change a checkpoint.", checkpoints.update, Role.WRITER, UpdateCheckpointInput
    )
    delete_checkpoint: DeletePayload = mutation(
        "Delete a checkpoint.", checkpoints.delete, Role.MAINTAINER, DeleteInput
    )
    restore_checkpoint: CheckpointPayload = mutation(
        "Bring a deleted checkpoint back. `CONFLICT` when its experiment is deleted, too: restore that first; and when"
        " its files are gone, some time after it was deleted. One that `checkpointRetention` dropped is pinned from"
        " then on, or it would be dropped again.",
        checkpoints.restore,
        Role.MAINTAINER,
        RestoreCheckpointInput,
    )
