"""Changes of experiments."""

from __future__ import annotations

import enum
from datetime import datetime

import strawberry
from strawberry import enum_value

from db.access import Role
from db.verbs import experiments, legs
from graphql_schema import enums
from graphql_schema.experiment import Experiment
from graphql_schema.mutation import Payload, changed, given, mutation, optional, payload, retry_key, told
from graphql_schema.mutations.checkpoint_retention import CheckpointRetentionInput
from graphql_schema.mutations.inputs import DeleteInput, DeletePayload
from graphql_schema.scalars import JSON, MetricValue, SafeInt

HYPERPARAMETERS = (
    "A JSON object of what was chosen, nested as you like: at most 1 000 values, 20 levels, and 1 000 bytes of keys"
    " on the way to a value (else `INVALID`). Each value can be filtered and ordered by its path; positions in lists"
    ' are keys, as in `["layers", "0"]`. Numbers compare as numbers, booleans as the texts `true` and `false`; nulls'
    " and strings over 1 000 bytes are kept, but not found by filters."
)


@strawberry.enum(description="How an experiment ended.")
class ExperimentOutcome(enum.Enum):
    COMPLETED = enum_value("COMPLETED", description="As intended.")
    FAILED = enum_value("FAILED", description="By an error.")
    KILLED = enum_value("KILLED", description="Stopped by somebody.")
    PREEMPTED = enum_value("PREEMPTED", description="Stopped by the machine's owner; may be resumed.")


@strawberry.input(description="An experiment to create or to get.")
class CreateExperimentInput:
    name: str | None = optional(
        "Unique in its namespace; 1 to 255 characters, none of them `/`, `:` or `@`. When absent (and `externalId`"
        " hits none), a readable one is made, such as `quiet-otter-17`."
    )
    namespace: str = given("The path of its namespace, made when first named.", default="default")
    external_id: str | None = optional(
        "The trainer's own id of it, such as a job's number; unique in its namespace, at most 255 characters."
    )
    description: str | None = optional("What it tries; at most 65 536 characters.")
    owner: str | None = optional("Who answers for it; at most 255 characters.")
    framework: enums.Framework | None = optional("The library that it trains with.")
    hyperparameters: JSON | None = optional(HYPERPARAMETERS)
    environment: JSON | None = optional(
        "A JSON object of what it runs on: packages, host, commit, command. Keep secrets out of it."
    )
    group: str | None = optional("What it is compared within, such as a sweep; a name.")
    parent_id: strawberry.ID | None = optional("The experiment that it is part of; one that you may see.")
    started_at: datetime | None = optional("When it began; now when absent.")
    stall_after: MetricValue | None = strawberry.field(
        name="stallAfterSeconds",
        description="How long it may be silent before it is STALLED, in seconds: 1 to 31 536 000; 600 when absent.",
        default=strawberry.UNSET,
    )
    checkpoint_retention: CheckpointRetentionInput | None = optional(
        "Which of its checkpoints are kept; all when absent."
    )
    labels: list[str] | None = optional("Free words; at most 100.")
    metadata: JSON | None = optional("A JSON object that you own.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="What to change of an experiment. What is absent stays as it is.")
class ExperimentPatch:
    name: str | None = optional("A new name.")
    external_id: str | None = optional("The trainer's own id of it; null for none.")
    description: str | None = optional("What it tries.")
    owner: str | None = optional("Who answers for it; null for nobody.")
    framework: enums.Framework | None = optional("The library that it trains with.")
    hyperparameters: JSON | None = optional(f"All its hyperparameters, in place of the old. {HYPERPARAMETERS}")
    environment: JSON | None = optional("All that it runs on, in place of the old.")
    group: str | None = optional("What it is compared within; null for nothing.")
    parent_id: strawberry.ID | None = optional(
        "The experiment that it is part of, and does not contain; null for none."
    )
    stall_after: MetricValue | None = strawberry.field(
        name="stallAfterSeconds",
        description="How long it may be silent before it is STALLED, in seconds: 1 to 31 536 000.",
        default=strawberry.UNSET,
    )
    checkpoint_retention: CheckpointRetentionInput | None = optional(
        "Which of its checkpoints are kept, in place of the old rules; null for all."
    )
    labels: list[str] | None = optional("All its labels, in place of the old ones.")
    metadata: JSON | None = optional("All its metadata, in place of the old; `logMetadata` adds to it.")


@strawberry.input(description="A change of an experiment.")
class UpdateExperimentInput:
    id: strawberry.ID = given("The experiment.")
    patch: ExperimentPatch = given("What to change.")
    if_revision: SafeInt | None = optional("Change it only when it is still at this revision.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="A sign of life.")
class HeartbeatInput:
    id: strawberry.ID = given("The experiment that lives.")
    idempotency_key: str | None = optional("Makes a retry safe; a heartbeat sent twice does no harm without it.")


@strawberry.input(description="The end of an experiment.")
class FinishExperimentInput:
    id: strawberry.ID = given("The experiment.")
    status: ExperimentOutcome = given("How it ended.")
    ended_at: datetime | None = optional("When it ended, not before it started; now when absent.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="A deleted experiment to bring back.")
class RestoreExperimentInput:
    id: strawberry.ID = given("The experiment.")
    new_name: str | None = optional("A new name, when its own is in use again.")
    new_external_id: str | None = optional("A new external id, when its own is in use again.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="An experiment to resume: from a checkpoint or from a step.")
class ResumeExperimentInput:
    id: strawberry.ID = given("The experiment.")
    checkpoint_id: strawberry.ID | None = optional("One of its complete checkpoints: it goes on from its step.")
    step: SafeInt | None = optional("The step to go on from, in the place of a checkpoint.")
    idempotency_key: str | None = retry_key()


@payload
class ExperimentPayload(Payload):
    """The experiment as it is now."""

    experiment: Experiment | None = changed("The experiment.", "experiment")


@payload
class CreateExperimentPayload(ExperimentPayload):
    """The experiment, and whether it is new."""

    created: bool | None = told(
        "False when there was one of that name or external id, which is returned unchanged, finished or not.",
        "created",
    )


@strawberry.type
class ExperimentMutations:
    """Mutations of experiments."""

    create_experiment: CreateExperimentPayload = mutation(
        "Create an experiment, which is RUNNING from then on; or get the one of that name or external id unchanged."
        " `CONFLICT` when the two belong to two experiments.",
        experiments.create,
        Role.WRITER,
        CreateExperimentInput,
    )
    update_experiment: ExperimentPayload = mutation(
        "Change an experiment. `NAME_TAKEN` when another has the name or the external id; `INVALID` when it would"
        " become part of itself.",
        experiments.update,
        Role.WRITER,
        UpdateExperimentInput,
    )
    heartbeat: ExperimentPayload = mutation(
        "Say that an experiment lives; send it more often than its `stallAfterSeconds`. It ends STALLED and changes"
        " nothing else. Logging metrics or events and saving checkpoints are signs of life, too.",
        experiments.heartbeat,
        Role.WRITER,
        HeartbeatInput,
    )
    finish_experiment: ExperimentPayload = mutation(
        "End an experiment. To say it again changes nothing; `CONFLICT` when it already ended otherwise.",
        experiments.finish,
        Role.WRITER,
        FinishExperimentInput,
    )
    resume_experiment: ExperimentPayload = mutation(
        "Resume an experiment, whatever its status, from a checkpoint or a step: it is RUNNING again, on its next leg."
        " Points past the step that were logged before leave the run's line and stay readable by `metrics(leg:)`; so"
        " what the job logs again is not there twice. Send an `idempotencyKey` to be able to repeat it.",
        legs.resume,
        Role.WRITER,
        ResumeExperimentInput,
    )
    delete_experiment: DeletePayload = mutation(
        "Delete an experiment; its checkpoints go out of sight with it, the versions that it produced do not.",
        experiments.delete,
        Role.MAINTAINER,
        DeleteInput,
    )
    restore_experiment: ExperimentPayload = mutation(
        "Bring a deleted experiment back with its checkpoints. `NAME_TAKEN` when its name or its external id is in use"
        " again: give `newName` or `newExternalId`.",
        experiments.restore,
        Role.MAINTAINER,
        RestoreExperimentInput,
    )
