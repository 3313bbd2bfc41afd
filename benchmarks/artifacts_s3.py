"""Files in S3: ModelBox and its signed addresses beside boto3, straight to the same server."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from benchmarks import artifacts_arena, artifacts_downloads, artifacts_receiver
from benchmarks.artifacts_arena import COPIES, PLACE, S3_DATABASE, Arena
from benchmarks.artifacts_client import MIB, Source
from benchmarks.artifacts_report import BOTO, MODELBOX, Figures, Turn
from benchmarks.trackers import ModelBox
from tests.s3 import server as s3_server
from tests.s3.server import S3Server

NAME: Final = "model.bin"
TARGET: Final = COPIES / "fetched"


@dataclass(frozen=True)
class Bucket:
    """All that takes part."""

    box: ModelBox
    owner: str
    client: Any
    """boto3's."""

    name: str
    part_size: int


def one(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """One file up and down again, over the same numbers of connections."""
    upload = figures.race(f"S3 ({os.environ.get(s3_server.VARIABLE, 'moto')}): upload", options.s3_mib, has_ready=True)
    download = figures.race("S3: download", options.s3_mib)
    file, source = artifacts_arena.random_file(options.s3_mib), None
    with _bucket(arena, options.part_mib * MIB) as bucket:
        ways = _ways(bucket, options.connections)
        for round_ in range(-1, options.rounds):
            for name in list(ways) if round_ % 2 == 0 else reversed(ways):
                source = artifacts_arena.changed(file, source, bucket.part_size)
                artifacts_arena.empty(COPIES)
                up, down = ways[name](source)
                if not artifacts_receiver.same(file, TARGET):
                    raise RuntimeError("What was fetched is not the file that was uploaded.")
                if round_ >= 0:
                    upload.add(name, up)
                    download.add(name, down)
    for race in (upload, download):
        race.turns = {name: race.turns[name] for name in ways}


@contextlib.contextmanager
def _bucket(arena: Arena, part_size: int) -> Iterator[Bucket]:
    folder = PLACE / "s3"
    folder.mkdir(exist_ok=True)
    with s3_server.serving(folder) as server:
        where = {"MODELBOX_BLOB_URL": f"s3://{server.bucket}/files", "MODELBOX_S3_ENDPOINT_URL": server.endpoint}
        with artifacts_arena.modelbox(arena.postgres.dsn(S3_DATABASE), where, "ModelBox-S3") as box:
            (owner,) = box.make_runs(1)
            yield Bucket(box, owner, _client(server), server.bucket, part_size)


def _client(server: S3Server) -> Any:
    # In its favour: it hashes nothing but what its signature covers.
    quick = Config(request_checksum_calculation="when_required", response_checksum_validation="when_required")
    return boto3.client("s3", endpoint_url=server.endpoint, region_name=s3_server.REGION, config=quick)


def _ways(bucket: Bucket, counts: list[int]) -> dict[str, Callable[[Source], tuple[Turn, Turn]]]:
    """Who moves the file, and how."""
    ways: dict[str, Callable[[Source], tuple[Turn, Turn]]] = {}
    for who, move in ((BOTO, _by_boto), (MODELBOX, _by_modelbox)):
        for count in counts:
            ways[f"{who}, {count}"] = functools.partial(move, bucket, connections=count)
    return ways


def _by_boto(bucket: Bucket, source: Source, connections: int) -> tuple[Turn, Turn]:
    size = bucket.part_size
    config = TransferConfig(multipart_threshold=size, multipart_chunksize=size, max_concurrency=connections)
    key = f"boto3/{os.urandom(8).hex()}"
    sent = _seconds(lambda: bucket.client.upload_file(str(source.file), bucket.name, key, Config=config))
    got = _seconds(lambda: bucket.client.download_file(bucket.name, key, str(TARGET), Config=config))
    bucket.client.delete_object(Bucket=bucket.name, Key=key)
    return Turn(sent, sent), Turn(got, got)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _by_modelbox(bucket: Bucket, source: Source, connections: int) -> tuple[Turn, Turn]:
    sent, artifact = artifacts_arena.upload(bucket.box, bucket.owner, {NAME: source}, connections)
    with artifacts_downloads.watched(bucket.box.server) as turns:
        _fetch(bucket, artifact, TARGET, source.size, connections)
    return sent, turns[0]


def _fetch(bucket: Bucket, artifact: str, target: Path, size: int, connections: int) -> None:
    """From where the server sends its client, in the same pieces as boto3."""
    place = artifacts_receiver.redirected(artifacts_downloads.file_of(bucket.box, artifact))
    artifacts_receiver.fetch_ranges(place, target, size, bucket.part_size, connections)
