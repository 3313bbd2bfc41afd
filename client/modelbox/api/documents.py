"""The operations as they are sent.

Made by `make client`; change `operations.graphql` or the schema, and not this file.
"""

from __future__ import annotations

from typing import Final

_EXPERIMENT: Final = (
    "fragment Experiment on Experiment{id name namespace{path}status description owner framework externalId group"
    " parentId:parent{id}labels hyperparameters metadata leg startedAt endedAt heartbeatAt "
    "createdBy{name}createdAt updatedAt revision}"
)
_MODEL: Final = (
    "fragment Model on Model{id name namespace{path}description owner task labels metadata "
    "uniqueTags{...UniqueTag}createdBy{name}createdAt updatedAt revision}"
)
_UNIQUE_TAG: Final = "fragment UniqueTag on UniqueTag{tag version{version}versionId:version{id}at}"
_TAG_CHANGE: Final = (
    "fragment TagChange on TagChange{id tag version{version}versionId:version{id}previousVersion{version}previous"
    "VersionId:previousVersion{id}actor{name}at}"
)
_MODEL_VERSION: Final = (
    "fragment ModelVersion on ModelVersion{id version name "
    "namespace{path}model{name}modelId:model{id}experimentId:experiment{id}checkpointId:checkpoint{id}status "
    "description framework uniqueTags labels metadata createdBy{name}createdAt updatedAt revision}"
)
_MODEL_VERSION_WITH_FILES: Final = (
    "fragment ModelVersionWithFiles on ModelVersion{...ModelVersion artifacts(first:100){nodes{...Artifact}}}"
)
_ARTIFACT: Final = (
    "fragment Artifact on Artifact{id name kind status shard metadata fileCount totalSize archiveUrl "
    "files:allFiles{...File}createdBy{name}createdAt updatedAt revision}"
)
_FILE: Final = "fragment File on File{id path size digest mediaType uri downloadUrl isDamaged verifiedAt createdAt}"
_CHECKPOINT: Final = (
    "fragment Checkpoint on Checkpoint{id name step epoch status isPinned leg isLeftBehind "
    "experimentId:experiment{id}labels metadata createdBy{name}createdAt updatedAt revision}"
)
_METRIC_SERIES: Final = (
    "fragment MetricSeries on MetricSeries{key kind leg count nonFiniteCount firstStep lastStep firstAt lastAt "
    "first last min minStep max maxStep mean}"
)
_METRIC_COLUMNS: Final = "fragment MetricColumns on MetricColumns{steps wallTimes values strings bytes}"
_METRIC_SAMPLE: Final = (
    "fragment MetricSample on MetricSample{x columns{...MetricColumns}rawCount nonFiniteCount method isExact}"
)
_EVENT: Final = (
    "fragment Event on Event{id name source externalId at endedAt durationMs metadata "
    "objectId:object{id}actor{name}recordedAt}"
)
_AUDIT_EVENT: Final = (
    "fragment AuditEvent on AuditEvent{id sequence at action kind objectId objectName actorName requestId address"
    " byteCount before after}"
)
_COMPARISON: Final = (
    "fragment Comparison on Comparison{experiments{...Experiment}hyperparameters(onlyDifferent:true){...Hyperpara"
    "meterComparison}metrics{...MetricComparison}}"
)
_HYPERPARAMETER_COMPARISON: Final = (
    "fragment HyperparameterComparison on HyperparameterComparison{path values isDifferent}"
)
_METRIC_COMPARISON: Final = "fragment MetricComparison on MetricComparison{key kind series{series{...MetricSeries}}}"
_USAGE: Final = "fragment Usage on Usage{fileCount fileBytes storedBytes uploadBytes quotaBytes}"
_VIEWER: Final = "fragment Viewer on Viewer{tenant actor{name}}"
_SERVER: Final = "fragment Server on Server{version time}"
_METRIC_BATCH: Final = "fragment MetricBatch on MetricBatch{cursor catchingUp series{...SeriesPoints}legs{...BegunLeg}}"
_SERIES_POINTS: Final = "fragment SeriesPoints on SeriesPoints{objectId key kind leg columns{...MetricColumns}rawCount}"
_BEGUN_LEG: Final = "fragment BegunLeg on BegunLeg{objectId number fromStep}"
_EVENT_BATCH: Final = "fragment EventBatch on EventBatch{cursor catchingUp events{...Event}}"

VIEWER: Final = "query Viewer{viewer{...Viewer}}" + _VIEWER
SERVER: Final = "query Server{server{...Server}}" + _SERVER
EXPERIMENT: Final = "query Experiment($by:ExperimentBy!){experiment(by:$by){...Experiment}}" + _EXPERIMENT
ENVIRONMENT: Final = "query Environment($by:ExperimentBy!){experiment(by:$by){environment}}"
EXPERIMENTS: Final = (
    "query Experiments($namespace:String$descendants:Boolean=true$filter:ExperimentFilter$orderBy:[ExperimentOrde"
    "r!]$first:Int$after:Cursor){experiments(namespace:$namespace descendants:$descendants filter:$filter "
    "orderBy:$orderBy first:$first after:$after){nodes{...Experiment}pageInfo{hasNextPage endCursor}}}"
) + _EXPERIMENT
MODEL: Final = "query Model($by:ModelBy!){model(by:$by){...Model}}" + _MODEL + _UNIQUE_TAG
MODELS: Final = (
    (
        "query Models($namespace:String$descendants:Boolean=true$filter:ModelFilter$orderBy:[ModelOrder!]$first:Int$a"
        "fter:Cursor){models(namespace:$namespace descendants:$descendants filter:$filter orderBy:$orderBy "
        "first:$first after:$after){nodes{...Model}pageInfo{hasNextPage endCursor}}}"
    )
    + _MODEL
    + _UNIQUE_TAG
)
MODEL_VERSION: Final = (
    "query ModelVersion($by:ModelVersionBy!){modelVersion(by:$by){...ModelVersionWithFiles}}"
    + _MODEL_VERSION_WITH_FILES
    + _MODEL_VERSION
    + _ARTIFACT
    + _FILE
)
VERSION_BY_TAG: Final = (
    "query VersionByTag($model:ModelBy!$tag:String!$asOf:DateTime){model(by:$model){versionByTag(tag:$tag "
    "asOf:$asOf){...ModelVersion}}}"
) + _MODEL_VERSION
MODEL_VERSIONS: Final = (
    "query ModelVersions($model:ModelBy!$filter:ModelVersionFilter$orderBy:[ModelVersionOrder!]$first:Int$after:C"
    "ursor){model(by:$model){versions(filter:$filter orderBy:$orderBy first:$first "
    "after:$after){nodes{...ModelVersion}pageInfo{hasNextPage endCursor}}}}"
) + _MODEL_VERSION
TAG_HISTORY: Final = (
    "query TagHistory($model:ModelBy!$filter:TagChangeFilter$orderBy:[TagChangeOrder!]$first:Int$after:Cursor){mo"
    "del(by:$model){tagHistory(filter:$filter orderBy:$orderBy first:$first "
    "after:$after){nodes{...TagChange}pageInfo{hasNextPage endCursor}}}}"
) + _TAG_CHANGE
ARTIFACTS: Final = (
    (
        "query Artifacts($id:ID!$first:Int$after:Cursor){node(id:$id){...on Entity{artifacts(first:$first "
        "after:$after){nodes{...Artifact}pageInfo{hasNextPage endCursor}}}}}"
    )
    + _ARTIFACT
    + _FILE
)
CHECKPOINTS: Final = (
    "query Checkpoints($experiment:ExperimentBy!$filter:CheckpointFilter$orderBy:[CheckpointOrder!]$first:Int$aft"
    "er:Cursor){experiment(by:$experiment){checkpoints(filter:$filter orderBy:$orderBy first:$first "
    "after:$after){nodes{...Checkpoint}pageInfo{hasNextPage endCursor}}}}"
) + _CHECKPOINT
SERIES: Final = (
    "query Series($id:ID!$keys:[String!]$keyPrefix:String$keyPattern:String$leg:Int$first:Int$after:Cursor){node("
    "id:$id){...on Entity{metrics(keys:$keys keyPrefix:$keyPrefix keyPattern:$keyPattern leg:$leg first:$first "
    "after:$after){nodes{...MetricSeries}pageInfo{hasNextPage endCursor}}}}}"
) + _METRIC_SERIES
COLUMNS: Final = (
    "query Columns($id:ID!$key:String!$leg:Int$range:StepRange){node(id:$id){...on Entity{metric(key:$key "
    "leg:$leg){columns(range:$range){...MetricColumns}}}}}"
) + _METRIC_COLUMNS
SAMPLE: Final = (
    (
        "query Sample($id:ID!$key:String!$leg:Int$maxPoints:Int=500$method:SampleMethod=MINMAX$x:SampleAxis=STEP$xKey"
        ":String$range:SampleRange){node(id:$id){...on Entity{metric(key:$key leg:$leg){sample(maxPoints:$maxPoints "
        "method:$method x:$x xKey:$xKey range:$range){...MetricSample}}}}}"
    )
    + _METRIC_SAMPLE
    + _METRIC_COLUMNS
)
COMPARE: Final = (
    (
        "query Compare($experimentIds:[ID!]!$keys:[String!]){compare(experimentIds:$experimentIds "
        "keys:$keys){...Comparison}}"
    )
    + _COMPARISON
    + _EXPERIMENT
    + _HYPERPARAMETER_COMPARISON
    + _METRIC_COMPARISON
    + _METRIC_SERIES
)
EVENTS: Final = (
    "query Events($namespace:String$descendants:Boolean=true$filter:EventFilter$orderBy:[EventOrder!]$first:Int$a"
    "fter:Cursor){events(namespace:$namespace descendants:$descendants filter:$filter orderBy:$orderBy "
    "first:$first after:$after){nodes{...Event}pageInfo{hasNextPage endCursor}}}"
) + _EVENT
EVENTS_OF: Final = (
    "query EventsOf($id:ID!$filter:EventFilter$orderBy:[EventOrder!]$first:Int$after:Cursor){node(id:$id){...on "
    "Entity{events(filter:$filter orderBy:$orderBy first:$first after:$after){nodes{...Event}pageInfo{hasNextPage"
    " endCursor}}}}}"
) + _EVENT
AUDIT_EVENTS: Final = (
    "query AuditEvents($namespace:String$descendants:Boolean=true$filter:AuditEventFilter$orderBy:[AuditEventOrde"
    "r!]$first:Int$after:Cursor){auditEvents(namespace:$namespace descendants:$descendants filter:$filter "
    "orderBy:$orderBy first:$first after:$after){nodes{...AuditEvent}pageInfo{hasNextPage endCursor}}}"
) + _AUDIT_EVENT
AUDIT_EVENTS_OF: Final = (
    "query AuditEventsOf($id:ID!$filter:AuditEventFilter$orderBy:[AuditEventOrder!]$first:Int$after:Cursor){node("
    "id:$id){...on Entity{auditEvents(filter:$filter orderBy:$orderBy first:$first "
    "after:$after){nodes{...AuditEvent}pageInfo{hasNextPage endCursor}}}}}"
) + _AUDIT_EVENT
USAGE: Final = "query Usage($by:NamespaceBy!){namespace(by:$by){usage{...Usage}}}" + _USAGE
FEED_CURSOR: Final = "query FeedCursor($objectIds:[ID!]!){feedCursor(objectIds:$objectIds)}"
DELETE_EXPERIMENT: Final = (
    "mutation DeleteExperiment($input:DeleteInput!){deleteExperiment(input:$input){deletedId userErrors{code message}}}"
)
SET_UNIQUE_TAG: Final = (
    "mutation SetUniqueTag($input:SetUniqueTagInput!){setUniqueTag(input:$input){previousVersion{...ModelVersion}"
    "userErrors{code message}}}"
) + _MODEL_VERSION
METRIC_BATCHES: Final = (
    (
        "subscription MetricBatches($objectIds:[ID!]!$keys:[String!]$keyPrefix:String$after:Cursor$every:Int=0$coales"
        "ce:Coalescing=ALL){metricBatches(objectIds:$objectIds keys:$keys keyPrefix:$keyPrefix after:$after "
        "every:$every coalesce:$coalesce){...MetricBatch}}"
    )
    + _METRIC_BATCH
    + _SERIES_POINTS
    + _METRIC_COLUMNS
    + _BEGUN_LEG
)
EVENT_BATCHES: Final = (
    (
        "subscription EventBatches($namespace:String$objectId:ID$filter:EventFilter$after:Cursor$every:Int=0){events("
        "namespace:$namespace objectId:$objectId filter:$filter after:$after every:$every){...EventBatch}}"
    )
    + _EVENT_BATCH
    + _EVENT
)
