"""What SQL computes of checkpoints: their shards, the leg they were saved for, and the rules by which they are kept."""

from __future__ import annotations

from db.read.sql import Expression, Pieces, Statement


def left_behind(tenant: str, row: str, aliases: tuple[str, str] = ("l", "r")) -> str:
    """Condition on a row of `checkpoint`: its experiment was resumed from an earlier step since.

    Since it was saved, or since a job last went on from it, which put it on the line again. Without a step nobody
    knows whether it lies past anything: so it stays.
    """
    leg, back = aliases
    resumed = (
        f"SELECT max({back}.number) FROM leg {back} WHERE {back}.tenant_id = {tenant}"
        f" AND {back}.experiment_id = {row}.experiment_id AND {back}.checkpoint_id = {row}.id"
    )
    return (
        f"EXISTS (SELECT FROM leg {leg} WHERE {leg}.tenant_id = {tenant}"
        f" AND {leg}.experiment_id = {row}.experiment_id AND {leg}.from_step < {row}.step"
        f" AND {leg}.number > greatest({row}.leg, ({resumed})))"
    )


def is_left_behind(statement: Statement, alias: str) -> Pieces:
    """Whether a checkpoint was left behind, as JSON."""
    found = left_behind(statement.tenant, alias, (statement.alias(), statement.alias()))
    return [Expression(f"({found})::text")]


def shard_there(statement: Statement, row: str, checkpoint: str) -> str:
    """Condition on a row of `artifact`: it is a shard of that checkpoint, and complete."""
    return (
        f"{row}.tenant_id = {statement.tenant} AND {row}.object_id = {checkpoint}.id"
        f" AND {row}.deleted_at IS NULL AND {row}.status = 'READY' AND {row}.shard < {checkpoint}.expected_shards"
    )


def shards_expected(_statement: Statement, alias: str) -> Pieces:
    """How many shards a checkpoint of several has."""
    return [Expression(f"{alias}.expected_shards::text")]


def shards_received(statement: Statement, alias: str) -> Pieces:
    """How many of a checkpoint's shards are there."""
    row = statement.alias()
    found = f"SELECT count(*)::text FROM artifact {row} WHERE {shard_there(statement, row, alias)}"
    return [Expression(f"({found})")]


def shards_missing(statement: Statement, alias: str) -> Pieces:
    """The numbers of those that are not, rising."""
    row, each = statement.alias(), statement.alias()
    there = f"SELECT FROM artifact {row} WHERE {shard_there(statement, row, alias)} AND {row}.shard = {each}"
    numbers = f"generate_series(0, {alias}.expected_shards - 1) {each}"
    listed = f"SELECT to_json(array_agg({each} ORDER BY {each}))::text FROM {numbers} WHERE NOT EXISTS ({there})"
    return [Expression(f"coalesce(({listed}),'[]')")]


def leg(statement: Statement, alias: str) -> Pieces:
    """The leg that a checkpoint's experiment is on."""
    row = statement.alias()
    found = f"SELECT {row}.leg::text FROM experiment {row} WHERE {row}.tenant_id = {statement.tenant}"
    return [Expression(f"({found} AND {row}.id = {alias}.experiment_id)")]


def retention(path: str, _statement: Statement, alias: str) -> Pieces:
    """What an experiment's rules say at a path such as `{keepBest,count}`; null when they do not."""
    return [Expression(f"coalesce(({alias}.checkpoint_retention #> '{path}')::text,'null')")]
