"""What the demo registers: not of one run but of the best of several, so by GraphQL as any script could."""

USE_DATASET = """
mutation ($input: UseDatasetInput!) { useDataset(input: $input) { datasetUse { id } userErrors { code message } } }
"""
CREATE_DATASET = """
mutation ($input: CreateDatasetInput!) {
  createDataset(input: $input) { dataset { id } created userErrors { code message } }
}
"""
LOG_METRICS = """
mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { pointCount userErrors { code message } } }
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
