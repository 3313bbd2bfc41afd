"""By which rules checkpoints of an experiment are kept."""

from __future__ import annotations

from functools import partial
from typing import Any

from db.read.checkpoint import retention
from db.read.link import itself
from db.read.source import EXPERIMENT
from graphql_schema import enums
from graphql_schema.fields import computed, entity, one
from graphql_schema.scalars import SafeInt


def _rule(description: str, path: str) -> Any:
    """A value inside the rules."""
    return computed(description, partial(retention, path))


@entity(EXPERIMENT)
class KeepBest:
    """Keep the checkpoints whose own metric is best; those without the metric do not take part."""

    metric: str = _rule("The key of a series on the checkpoints; its last value counts.", "{keepBest,metric}")
    mode: enums.MetricMode = _rule("Which end is the better one.", "{keepBest,mode}")
    count: SafeInt = _rule("How many of them.", "{keepBest,count}")


@entity(EXPERIMENT)
class CheckpointRetention:
    """Which checkpoints are kept: those that any of the rules keeps.

    Kept whatever the rules say are pinned ones, those that a model version was made from, the latest complete one, and
    those that are PENDING for less than a week. What a resumption left behind (`Checkpoint.isLeftBehind`) counts for no
    rule, and none keeps it. The server deletes what is not kept, some minutes after it fell out, and its bytes a day
    later unless it is restored.
    """

    keep_last: SafeInt | None = _rule("So many complete ones with the greatest steps.", "{keepLast}")
    keep_best: KeepBest | None = one(
        "Those whose metric is best.", itself("checkpoint_retention -> 'keepBest'"), contained=True
    )
    keep_every: SafeInt | None = _rule("Those whose step this number divides.", "{keepEvery}")
