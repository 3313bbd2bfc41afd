"""Values that SQL computes from a row and its neighbours, as JSON text."""

from __future__ import annotations

from db.metrics.stream import stream_sql
from db.read.column import boolean_json, instant_json, reference
from db.read.source import PREFIXES, object_visible
from db.read.sql import Bind, Expression, Pieces, Statement


def metadata(keys: Bind | None, statement: Statement, alias: str) -> Pieces:
    """The whole metadata, or only these keys of its first level."""
    value = reference(alias, "metadata")
    if keys is None:
        return [Expression(f"{value}::text")]
    row = statement.alias()
    return [
        Expression(
            f"coalesce((SELECT jsonb_object_agg({row}.key, {row}.value)::text"
            f" FROM jsonb_each({value}) {row} WHERE {row}.key = ANY({statement.bind(keys)})),'{{}}')"
        )
    ]


def version_name(statement: Statement, alias: str) -> Pieces:
    """A version's own name, or its model's."""
    row = statement.alias()
    inherited = (
        f"(SELECT {row}.name FROM model {row} WHERE {row}.tenant_id = {statement.tenant}"
        f" AND {row}.id = {alias}.model_id)"
    )
    return [Expression(f"to_json(coalesce({alias}.name, {inherited}))::text")]


def raw_metric_days(statement: Statement, alias: str) -> Pieces:
    """A namespace's setting, or that of the nearest above it which has one."""
    row = statement.alias()
    return [
        Expression(
            f"coalesce((SELECT {row}.raw_metric_days::text FROM namespace {row}"
            f" WHERE {row}.tenant_id = {statement.tenant} AND {row}.id = ANY({alias}.lineage)"
            f" AND {row}.raw_metric_days IS NOT NULL ORDER BY cardinality({row}.lineage) DESC LIMIT 1),'null')"
        )
    ]


def unique_tags(statement: Statement, alias: str) -> Pieces:
    """The tags that point to a version, sorted."""
    row = statement.alias()
    return [
        Expression(
            f"coalesce((SELECT to_json(array_agg({row}.tag ORDER BY {row}.tag))::text FROM unique_tag {row}"
            f" WHERE {row}.tenant_id = {statement.tenant} AND {row}.version_id = {alias}.id),'[]')"
        )
    ]


def over_files(aggregate: str, statement: Statement, alias: str) -> Pieces:
    """An aggregate over the files of an artifact."""
    row = statement.alias()
    return [
        Expression(
            f"(SELECT ({aggregate})::text FROM file {row} WHERE {row}.tenant_id = {statement.tenant}"
            f" AND {row}.artifact_id = {alias}.id)"
        )
    ]


def total_size(statement: Statement, alias: str) -> Pieces:
    """The sum of an artifact's known sizes, as far as every JSON reader keeps it whole."""
    total = "coalesce(sum(size), 0)"
    return over_files(f"CASE WHEN {total} <= {2**53 - 1} THEN {total}::text ELSE 'null' END", statement, alias)


def received_size(statement: Statement, alias: str) -> Pieces:
    """The bytes of an upload that are known to be there."""
    file, part = statement.alias(), statement.alias()
    parts = f"(SELECT coalesce(sum(upper({part})-lower({part})),0) FROM unnest({file}.received) {part})"
    known = f"CASE WHEN {file}.is_stored THEN {file}.size ELSE least({file}.size,{file}.part_size*{parts}) END"
    return [
        Expression(
            f"coalesce((SELECT sum({known}) FROM upload_file {file} WHERE {file}.tenant_id = {statement.tenant}"
            f" AND {file}.upload_id = {alias}.id),0)::text"
        )
    ]


def download_url(_statement: Statement, alias: str) -> Pieces:
    """Where a stored file is read."""
    url = f"""'"files/fil_'||encode(uuid_send({alias}.id),'hex')||'"'"""
    return [Expression(f"CASE WHEN {alias}.blob_id IS NULL THEN 'null' ELSE {url} END")]


def is_damaged(statement: Statement, alias: str) -> Pieces:
    """Whether a file's bytes were found to be missing or wrong."""
    blob = statement.alias()
    found = (
        f"SELECT {blob}.damaged_at IS NOT NULL FROM blob {blob}"
        f" WHERE {blob}.tenant_id = {statement.tenant} AND {blob}.id = {alias}.blob_id"
    )
    return [Expression(boolean_json(f"({found})"))]


def archive_url(_statement: Statement, alias: str) -> Pieces:
    """Where all files of an artifact are read."""
    return ['"artifacts/art_', Expression(f"encode(uuid_send({alias}.id),'hex')"), '.tar"']


def duration(_statement: Statement, alias: str) -> Pieces:
    """Milliseconds from an event's start to its end."""
    span = f"to_json((extract(epoch FROM {alias}.ended_at - {alias}.at) * 1000)::float8)::text"
    return [Expression(f"CASE WHEN {alias}.ended_at IS NULL THEN 'null' ELSE {span} END")]


def audited_id(_statement: Statement, alias: str) -> Pieces:
    """The id of what an audit event is about, with the prefix of its kind."""
    cases = " ".join(f"WHEN '{kind}' THEN '{prefix}'" for kind, prefix in PREFIXES.items())
    digits = f"encode(uuid_send({alias}.object_id),'hex')"
    return [Expression(f"""'"'||CASE {alias}.kind {cases} ELSE 'obj' END||'_'||{digits}||'"'""")]


def heartbeat(statement: Statement, alias: str) -> Pieces:
    """An experiment's last sign of life."""
    row = statement.alias()
    return [
        Expression(
            f"coalesce((SELECT {instant_json(f'{row}.at')} FROM heartbeat {row}"
            f" WHERE {row}.tenant_id = {statement.tenant} AND {row}.experiment_id = {alias}.id),'null')"
        )
    ]


def clock(_statement: Statement, _alias: str) -> Pieces:
    """The database's clock."""
    return [Expression(f"({instant_json('clock_timestamp()')})")]


def cursor_text(array: str) -> str:
    """A cursor as SQL text: base64url, without padding, of a JSON array's text."""
    return f"translate(encode(convert_to({array},'UTF8'),'base64'),E'+/=\\n','-_')"


def stream_position(statement: Statement, alias: str) -> Pieces:
    """Where the stream of a namespace's root stands, as `feed.cursor` writes it."""
    head, home = statement.alias(), statement.alias()
    # A stream whose first records are written by this very transaction has no head yet.
    epoch = f"coalesce({head}.epoch,(SELECT epoch FROM installation LIMIT 1),1)"
    array = (
        f"""'["f",'||{epoch}||',[["'||encode(uuid_send({home}.root_id),'hex')||'",'||coalesce({head}.seq,0)||']]]'"""
    )
    return [
        Expression(
            f"""(SELECT '"'||{cursor_text(array)}||'"' FROM namespace {home} LEFT JOIN stream_head {head}"""
            f" ON {head}.tenant_id = {statement.tenant} AND {head}.stream_id = {home}.root_id"
            f" WHERE {home}.tenant_id = {statement.tenant} AND {home}.id = {alias}.namespace_id)"
        )
    ]


def metric_position(ids: Bind, statement: Statement) -> Pieces:
    """Where the metric streams of those of these objects stand that are in sight, in the form of a `feed.cursor`."""
    wanted, head = statement.alias(), statement.alias()
    stream = stream_sql(f"{wanted}.id")
    pair = f"""'["'||encode(uuid_send({stream}),'hex')||'",'||coalesce({head}.seq,0)||']'"""
    pairs = f"coalesce(string_agg({pair},',' ORDER BY {stream}),'')"
    array = f"""'["f",'||coalesce((SELECT epoch FROM installation LIMIT 1),1)||',['||{pairs}||']]'"""
    return [
        Expression(
            f"""(SELECT '"'||{cursor_text(array)}||'"' FROM unnest({statement.bind(ids)}) {wanted}(id)"""
            f" LEFT JOIN stream_head {head} ON {head}.tenant_id = {statement.tenant} AND {head}.stream_id = {stream}"
            f" WHERE {object_visible(statement, f'{wanted}.id')})"
        )
    ]


def token_namespaces(_statement: Statement, alias: str) -> Pieces:
    """The ids of the namespaces that a token is bound to; null when it is not bound."""
    ids = f"(SELECT array_agg('nsp_'||digits) FROM unnest({alias}.namespaces) digits)"
    return [
        Expression(f"CASE WHEN {alias}.namespaces IS NULL THEN 'null' ELSE coalesce(to_json({ids})::text,'[]') END")
    ]
