"""By which rules checkpoints of an experiment shall be kept."""

from __future__ import annotations

import strawberry

from graphql_schema import enums
from graphql_schema.mutation import given, optional
from graphql_schema.scalars import SafeInt


@strawberry.input(description="Keep the checkpoints whose own metric is best.")
class KeepBestInput:
    metric: str = given("The key of a series on the checkpoints, at most 1 000 bytes; its last value counts.")
    mode: enums.MetricMode = given("Which end is the better one.", default=enums.MetricMode.MAX)
    count: int = given("How many of them, 1 to 10 000.", default=1)


@strawberry.input(
    description="Which checkpoints are kept: those that any of the rules keeps; at least one is given. Kept whatever"
    " they say are pinned ones, those that a model version was made from, the latest complete one, and those that are"
    " PENDING for less than a week. What a resumption left behind counts for no rule, and none keeps it."
)
class CheckpointRetentionInput:
    keep_last: int | None = optional("So many complete ones with the greatest steps, 1 to 10 000.")
    keep_best: KeepBestInput | None = optional(
        "Those whose metric is best. One without the metric, or whose value is not finite, is not among them."
    )
    keep_every: SafeInt | None = optional("Those whose step this number divides; 1 or more.")
