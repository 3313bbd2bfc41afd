"""What export asks and import sends."""

from __future__ import annotations

from typing import Final

RUN: Final = """query ($id: ID!) { node(id: $id) { ... on Experiment {
  id name externalId status description owner framework group hyperparameters environment labels metadata
  startedAt endedAt namespace { path } } } }"""
CHECKPOINTS: Final = """query ($id: ID!, $after: Cursor) { node(id: $id) { ... on Experiment {
  checkpoints(first: 100, after: $after) { pageInfo { hasNextPage endCursor }
    nodes { id name step epoch status isPinned isLeftBehind labels metadata } } } } }"""
ARTIFACTS: Final = """query ($id: ID!, $after: Cursor) { node(id: $id) { ... on Entity {
  artifacts(first: 50, after: $after) { pageInfo { hasNextPage endCursor }
    nodes { name kind metadata shard status allFiles { path size digest mediaType uri downloadUrl } } } } } }"""
EVENTS: Final = """query ($id: ID!, $after: Cursor) { node(id: $id) { ... on Entity {
  events(first: 100, after: $after) { pageInfo { hasNextPage endCursor }
    nodes { name source externalId at endedAt metadata } } } } }"""
METRICS: Final = """query ($id: ID!, $after: Cursor) { node(id: $id) { ... on Entity {
  metrics(first: 100, after: $after) { pageInfo { hasNextPage endCursor } nodes { key kind count } } } } }"""
COLUMNS: Final = """query ($id: ID!, $key: String!, $range: StepRange) { node(id: $id) { ... on Entity {
  metric(key: $key) { firstStep lastStep columns(range: $range) { steps wallTimes values strings bytes } } } } }"""

_ERRORS: Final = "userErrors { code message }"
CREATE: Final = f"""mutation ($input: CreateExperimentInput!) {{
  createExperiment(input: $input) {{ experiment {{ id name }} created {_ERRORS} }} }}"""
LOG: Final = f"""mutation ($input: LogMetricsInput!) {{ logMetrics(input: $input) {{ pointCount {_ERRORS} }} }}"""
LOG_EVENTS: Final = f"""mutation ($input: LogEventsInput!) {{ logEvents(input: $input) {{ created {_ERRORS} }} }}"""
CHECKPOINT: Final = f"""mutation ($input: CreateCheckpointInput!) {{
  createCheckpoint(input: $input) {{ checkpoint {{ id status }} {_ERRORS} }} }}"""
COMMIT: Final = f"""mutation ($input: CommitCheckpointInput!) {{
  commitCheckpoint(input: $input) {{ checkpoint {{ id }} {_ERRORS} }} }}"""
TRACK: Final = f"""mutation ($input: TrackArtifactsInput!) {{
  trackArtifacts(input: $input) {{ artifacts {{ id }} {_ERRORS} }} }}"""
FINISH: Final = f"""mutation ($input: FinishExperimentInput!) {{
  finishExperiment(input: $input) {{ experiment {{ id }} {_ERRORS} }} }}"""
