"""The mutations that a sender sends."""

from __future__ import annotations

from typing import Final

ERRORS: Final = "userErrors { code message path }"

CREATE: Final = f"""mutation ($input: CreateExperimentInput!) {{
  createExperiment(input: $input) {{ experiment {{ id name externalId status }} created {ERRORS} }} }}"""
RESUME: Final = f"""mutation ($input: ResumeExperimentInput!) {{
  resumeExperiment(input: $input) {{ experiment {{ id leg }} {ERRORS} }} }}"""
POINTS: Final = f"""mutation ($input: LogMetricsInput!) {{
  logMetrics(input: $input) {{ pointCount replayed {ERRORS} }} }}"""
EVENTS: Final = f"""mutation ($input: LogEventsInput!) {{ logEvents(input: $input) {{ created {ERRORS} }} }}"""
METADATA: Final = (
    f"""mutation ($input: LogMetadataInput!) {{ logMetadata(input: $input) {{ object {{ id }} {ERRORS} }} }}"""
)
HEARTBEAT: Final = f"""mutation ($input: HeartbeatInput!) {{
  heartbeat(input: $input) {{ experiment {{ id }} {ERRORS} }} }}"""
FINISH: Final = f"""mutation ($input: FinishExperimentInput!) {{
  finishExperiment(input: $input) {{ experiment {{ status }} {ERRORS} }} }}"""
DATASET: Final = f"""mutation ($input: CreateDatasetInput!) {{
  createDataset(input: $input) {{ dataset {{ id }} {ERRORS} }} }}"""
USE: Final = (
    f"""mutation ($input: UseDatasetInput!) {{ useDataset(input: $input) {{ datasetUse {{ id }} {ERRORS} }} }}"""
)
TRACK: Final = f"""mutation ($input: TrackArtifactsInput!) {{
  trackArtifacts(input: $input) {{ artifacts {{ id }} {ERRORS} }} }}"""
CHECKPOINT: Final = f"""mutation ($input: CreateCheckpointInput!) {{
  createCheckpoint(input: $input) {{ checkpoint {{ id status }} {ERRORS} }} }}"""
COMMIT: Final = f"""mutation ($input: CommitCheckpointInput!) {{
  commitCheckpoint(input: $input) {{ checkpoint {{ id status }} {ERRORS} }} }}"""
MODEL: Final = (
    f"""mutation ($input: CreateModelInput!) {{ createModel(input: $input) {{ model {{ id }} {ERRORS} }} }}"""
)
PROMOTE: Final = f"""mutation ($input: PromoteCheckpointInput!) {{
  promoteCheckpoint(input: $input) {{ modelVersion {{ id version }} {ERRORS} }} }}"""
VERSION: Final = f"""mutation ($input: CreateModelVersionInput!) {{
  createModelVersion(input: $input) {{ modelVersion {{ id version }} {ERRORS} }} }}"""
