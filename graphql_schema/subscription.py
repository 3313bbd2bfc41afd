"""The root of all subscriptions."""

from __future__ import annotations

from typing import Protocol, cast

import strawberry

from graphql_schema.live_query import LiveFrames
from graphql_schema.selection import Read, Selected
from graphql_schema.subscriptions.changes import CHANGES, ChangeBatch
from graphql_schema.subscriptions.events import FOLLOWED_EVENTS, EventBatch
from graphql_schema.subscriptions.experiment_updates import EXPERIMENT_UPDATES, ExperimentUpdate
from graphql_schema.subscriptions.metric_batches import METRIC_BATCHES, MetricBatch
from graphql_schema.subscriptions.stream import Frames


@strawberry.type(
    description="What can be followed live. Frames come in order, once each, and can be resumed by cursor."
)
class Subscription:
    changes: ChangeBatch = CHANGES
    events: EventBatch = FOLLOWED_EVENTS
    metric_batches: MetricBatch = METRIC_BATCHES
    experiment_updates: ExperimentUpdate = EXPERIMENT_UPDATES


class FollowedRead(Read, Protocol):
    """How a field of `Subscription` is read."""

    def frames(self, key: str, selected: Selected, *, restricted: bool) -> Frames | LiveFrames:
        """The compiled form of the whole subscription."""
        ...


def compiled_frames(key: str, selected: Selected, *, restricted: bool) -> Frames | LiveFrames:
    """The statement of every frame of a subscription, and whom it follows."""
    read = cast("FollowedRead", selected.planner.registry[selected.parent, selected.name])
    return read.frames(key, selected, restricted=restricted)
