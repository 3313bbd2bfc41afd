"""The mutations that the job sends, as a trainer's script would."""

CREATE_DATASET = """
mutation ($input: CreateDatasetInput!) {
  createDataset(input: $input) { dataset { id } created userErrors { code message } }
}
"""
USE_DATASET = """
mutation ($input: UseDatasetInput!) { useDataset(input: $input) { datasetUse { id } userErrors { code message } } }
"""
CREATE_EXPERIMENT = """
mutation ($input: CreateExperimentInput!) {
  createExperiment(input: $input) { experiment { id status leg } created userErrors { code message } }
}
"""
FINISH_EXPERIMENT = """
mutation ($input: FinishExperimentInput!) {
  finishExperiment(input: $input) { experiment { status } userErrors { code message } }
}
"""
CREATE_CHECKPOINT = """
mutation ($input: CreateCheckpointInput!) {
  createCheckpoint(input: $input) { checkpoint { id } userErrors { code message } }
}
"""
COMMIT_CHECKPOINT = """
mutation ($input: CommitCheckpointInput!) {
  commitCheckpoint(input: $input) { checkpoint { status } userErrors { code message } }
}
"""
RESUME_EXPERIMENT = """
mutation ($input: ResumeExperimentInput!) {
  resumeExperiment(input: $input) { experiment { leg } userErrors { code message } }
}
"""
PARTS = "upload { id } parts { path offset size url headers { name value } }"
BEGIN_UPLOAD = f"""
mutation ($input: BeginUploadInput!) {{ beginUpload(input: $input) {{ {PARTS} userErrors {{ code message }} }} }}
"""
RESUME_UPLOAD = f"""
mutation ($input: ResumeUploadInput!) {{ resumeUpload(input: $input) {{ {PARTS} userErrors {{ code message }} }} }}
"""
COMPLETE_UPLOAD = """
mutation ($input: CompleteUploadInput!) {
  completeUpload(input: $input) { upload { status } artifact { id } userErrors { code message } }
}
"""
LOG_METRICS = """
mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { pointCount userErrors { code message } } }
"""
LOG_EVENTS = """
mutation ($input: LogEventsInput!) { logEvents(input: $input) { created userErrors { code message } } }
"""
LOG_METADATA = """
mutation ($input: LogMetadataInput!) { logMetadata(input: $input) { object { id } userErrors { code message } } }
"""
CREATE_MODEL = """
mutation ($input: CreateModelInput!) {
  createModel(input: $input) { model { id } created userErrors { code message } }
}
"""
PROMOTE_CHECKPOINT = """
mutation ($input: PromoteCheckpointInput!) {
  promoteCheckpoint(input: $input) { modelVersion { id version } userErrors { code message } }
}
"""
SET_UNIQUE_TAG = """
mutation ($input: SetUniqueTagInput!) {
  setUniqueTag(input: $input) { modelVersion { version uniqueTags } userErrors { code message } }
}
"""
