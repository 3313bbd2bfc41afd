"""A store of a known size and content: the same seed writes the same rows, ids included.

At scale 1, in one tenant: 20 namespaces, 2 000 models, 20 000 versions, 20 000 experiments, 100 000
checkpoints, 200 000 artifacts and 5 000 000 metric points. What belongs together was created at different
times, as in life: the versions of one model do not lie side by side in their table.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import numpy as np
import orjson

from db.metrics import segment, summary
from db.metrics.columns import Columns
from db.metrics.stream import stream_of
from db.verbs import parameters

NAMESPACES = 20
ROOTS = ("audio", "language", "tabular", "vision")
TASKS = ("detection", "ranking", "segmentation", "translation")
VERSIONS_PER_MODEL = 10
CHECKPOINTS_PER_EXPERIMENT = 5
OPTIMIZERS = ("adam", "lamb", "sgd")
STATUSES = ("COMPLETED", "COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "KILLED", "PREEMPTED")
FRAMEWORKS = ("PYTORCH", "JAX", "TENSORFLOW", "SKLEARN")
KINDS = ("MODEL", "TEXT", "IMAGE", "CODE", "OTHER")
VERSION_KEYS = ("latency_ms", "test/accuracy", "test/f1", "test/loss", "test/precision", "test/recall")
VERSION_POINTS = 3
EXPERIMENT_KEYS = ("lr", "train/loss", "val/accuracy", "val/loss")
EXPERIMENT_POINTS = 58
PACE = timedelta(seconds=30)

KIND_NUMBERS = {
    kind: number
    for number, kind in enumerate(
        ("namespace", "model", "version", "experiment", "checkpoint", "artifact", "file", "grant", "actor")
    )
}
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=180)
Record = tuple[Any, ...]


@dataclass(frozen=True)
class Table:
    """Rows for one table, made while they are copied."""

    name: str
    columns: tuple[str, ...]
    records: Iterator[Record]


ENTITY = ("tenant_id", "id", "namespace_id", "created_at", "created_by", "updated_at", "labels", "metadata")


@dataclass(frozen=True)
class Seed:
    """What to write: a scale, and the number that every choice in it depends on."""

    tenant: UUID
    actor: UUID
    scale: float = 1.0
    number: int = 1

    @property
    def models(self) -> int:
        """How many models: a multiple of the namespaces."""
        return max(1, round(100 * self.scale)) * NAMESPACES

    @property
    def versions(self) -> int:
        """How many versions; there are as many experiments."""
        return self.models * VERSIONS_PER_MODEL

    @property
    def checkpoints(self) -> int:
        """How many checkpoints."""
        return self.versions * CHECKPOINTS_PER_EXPERIMENT

    def random(self, *what: object) -> random.Random:
        """Chance that depends on the seed and on what it is for, and on nothing else."""
        return random.Random(repr((self.number, *what)))

    def moment(self, kind: str, number: int) -> datetime:
        """When the object was created: in the order of its kind, spread over half a year."""
        return BEGIN + SPAN * (number / self._count(kind))

    def id(self, kind: str, number: int) -> UUID:
        """A UUIDv7 of that moment; what is random in others is the object's kind and number here."""
        elapsed = self.moment(kind, number) - datetime(1970, 1, 1, tzinfo=UTC)
        milliseconds = elapsed // timedelta(milliseconds=1)
        tail = (self.number << 40) | (KIND_NUMBERS[kind] << 32) | number
        return UUID(int=(milliseconds << 80) | (0x7 << 76) | (0b10 << 62) | tail)

    def _count(self, kind: str) -> int:
        counts = {"namespace": NAMESPACES, "model": self.models, "artifact": self.versions * 10}
        counts |= {"checkpoint": self.checkpoints, "file": self.versions * 15}
        return counts.get(kind, self.versions)

    def tables(self) -> Iterator[Table]:
        """Every table, in an order in which links point backwards."""
        yield self._objects()
        yield self._namespaces()
        yield self._models()
        yield self._experiments()
        yield self._parameters()
        yield self._checkpoints()
        yield self._versions()
        yield self._tags()
        yield self._artifacts()
        yield self._files()
        yield self._series()
        yield self._points()
        yield self._heads()

    def _entity(self, kind: str, number: int) -> Record:
        chance = random.Random(number)
        at = self.moment(kind, number)
        metadata = {"commit": f"{chance.getrandbits(64):016x}", "cluster": {"nodes": chance.randint(1, 8)}}
        labels = sorted(chance.sample(("baseline", "candidate", "nightly", "reviewed"), 2))
        home = self.id("namespace", number % NAMESPACES if kind != "checkpoint" else self._home(number))
        return (self.tenant, self.id(kind, number), home, at, self.actor, at, labels, _json(metadata))

    def _home(self, checkpoint: int) -> int:
        return checkpoint % self.versions % NAMESPACES

    def _objects(self) -> Table:
        def records() -> Iterator[Record]:
            for number in range(NAMESPACES):
                yield self._object("namespace", number, [], namespace_path(number).rpartition("/")[2])
            for number in range(self.models):
                yield self._object("model", number, [], model_name(number))
            for number in range(self.versions):
                yield self._object("experiment", number, [], experiment_name(number))
                model = self.id("model", number % self.models)
                yield self._object("version", number, [model], self._version(number))
            for number in range(self.checkpoints):
                experiment = self.id("experiment", number % self.versions)
                yield self._object("checkpoint", number, [experiment], f"step-{self._step(number)}")

        return Table("object", ("tenant_id", "id", "kind", "namespace_id", "container_ids", "name"), records())

    def _object(self, kind: str, number: int, containers: list[UUID], name: str) -> Record:
        home = number % NAMESPACES if kind != "checkpoint" else self._home(number)
        stored = {"version": "MODEL_VERSION"}.get(kind, kind.upper())
        tenant, namespace = self.tenant, self.id("namespace", home)
        return (tenant, self.id(kind, number), stored, namespace, containers, name)

    def _namespaces(self) -> Table:
        def records() -> Iterator[Record]:
            for number in range(NAMESPACES):
                path = namespace_path(number)
                root = self.id("namespace", number % len(ROOTS))
                own = self.id("namespace", number)
                above = None if number < len(ROOTS) else root
                lineage = [own] if above is None else [root, own]
                name = path.rpartition("/")[2]
                row = self._entity("namespace", number)
                yield (*row, above, root, name, path, "A team's place.", lineage, True)

        columns = ("parent_id", "root_id", "name", "path", "description", "lineage", "visible")
        return Table("namespace", ENTITY + columns, records())

    def _models(self) -> Table:
        def records() -> Iterator[Record]:
            for number in range(self.models):
                own = (model_name(number), f"team-{number % 7}", TASKS[number % 4], "What it is good for.")
                yield (*self._entity("model", number), *own, VERSIONS_PER_MODEL + 1)

        columns = ("name", "owner", "task", "description", "next_version")
        return Table("model", ENTITY + columns, records())

    def _version(self, number: int) -> str:
        return str(number // self.models + 1)

    def _versions(self) -> Table:
        def records() -> Iterator[Record]:
            for number in range(self.versions):
                yield (
                    *self._entity("version", number),
                    self.id("model", number % self.models),
                    self._version(number),
                    f"{model_name(number % self.models)}-r{self._version(number)}",
                    "Trained on the newest data.",
                    FRAMEWORKS[number % len(FRAMEWORKS)],
                    self.id("experiment", number),
                    self.id("checkpoint", number + 4 * self.versions),
                )

        columns = ("model_id", "version", "name", "description", "framework", "experiment_id")
        return Table("model_version", (*ENTITY, *columns, "checkpoint_id"), records())

    def _tags(self) -> Table:
        def records() -> Iterator[Record]:
            for number in range(self.models):
                newest = number + self.models * (VERSIONS_PER_MODEL - 1)
                at = self.moment("version", newest)
                yield (self.tenant, self.id("model", number), "production", self.id("version", newest), at)

        return Table("unique_tag", ("tenant_id", "model_id", "tag", "version_id", "at"), records())

    def _experiments(self) -> Table:
        def records() -> Iterator[Record]:
            for number in range(self.versions):
                begun = self.moment("experiment", number)
                yield (
                    *self._entity("experiment", number),
                    experiment_name(number),
                    "A sweep over optimizers.",
                    f"team-{number % 7}",
                    FRAMEWORKS[number % len(FRAMEWORKS)],
                    f"run-{number}",
                    STATUSES[self.random("status", number).randrange(len(STATUSES))],
                    _json(self.hyperparameters(number)),
                    _json({"python": "3.12", "gpus": 8}),
                    f"sweep-{number // 50}",
                    begun,
                    begun + timedelta(seconds=30 * EXPERIMENT_POINTS),
                )

        columns = ("name", "description", "owner", "framework", "external_id", "status", "hyperparameters")
        return Table("experiment", (*ENTITY, *columns, "environment", "group", "started_at", "ended_at"), records())

    def hyperparameters(self, experiment: int) -> dict[str, Any]:
        """Of an experiment; each value is independent of the metrics, so that a filter keeps a fair third."""
        chance = self.random("hyperparameters", experiment)
        return {
            "lr": 10 ** chance.uniform(-5, -1),
            "optimizer": OPTIMIZERS[chance.randrange(3)],
            "layers": chance.randint(2, 48),
            "dropout": round(chance.uniform(0, 0.5), 3),
            "batch": {"size": 2 ** chance.randint(4, 10), "shuffle": chance.random() < 0.5},
        }

    def _parameters(self) -> Table:
        def records() -> Iterator[Record]:
            for number in range(self.versions):
                experiment = self.id("experiment", number)
                for leaf in parameters.leaves(self.hyperparameters(number), ()):
                    yield (self.tenant, experiment, leaf["path"], leaf["number"], leaf["text"])

        return Table("parameter", ("tenant_id", "experiment_id", "path", "number", "text"), records())

    def _step(self, checkpoint: int) -> int:
        return 1000 * (checkpoint // self.versions + 1)

    def _checkpoints(self) -> Table:
        def records() -> Iterator[Record]:
            for number in range(self.checkpoints):
                experiment, step = self.id("experiment", number % self.versions), self._step(number)
                yield (*self._entity("checkpoint", number), experiment, f"step-{step}", step, step / 1000)

        return Table("checkpoint", (*ENTITY, "experiment_id", "name", "step", "epoch"), records())

    def _artifact_owners(self) -> Iterator[tuple[UUID, int, int]]:
        """Owner, namespace and how many: 5 of each version, 3 of each experiment, 1 of two checkpoints in five."""
        for number in range(self.versions):
            yield self.id("version", number), number % NAMESPACES, 5
            yield self.id("experiment", number), number % NAMESPACES, 3
        for number in range(self.checkpoints * 2 // 5):
            yield self.id("checkpoint", number), self._home(number), 1

    def _artifacts(self) -> Table:
        def records() -> Iterator[Record]:
            number = 0
            for owner, home, count in self._artifact_owners():
                namespace = self.id("namespace", home)
                for place in range(count):
                    at = self.moment("artifact", number)
                    name, kind = f"{KINDS[place].lower()}-{place}", KINDS[place]
                    own = (self.tenant, self.id("artifact", number), owner, namespace, name, kind)
                    yield (*own, at, self.actor, at)
                    number += 1

        columns = ("tenant_id", "id", "object_id", "namespace_id", "name", "kind")
        return Table("artifact", (*columns, "created_at", "created_by", "updated_at"), records())

    def _files(self) -> Table:
        def records() -> Iterator[Record]:
            for number in range(self.versions * 15):  # three files on two artifacts
                artifact = number * 2 // 3
                chance = random.Random(number)
                path, digest = f"part-{number % 3}.bin", f"sha256:{chance.getrandbits(256):064x}"
                uri = f"s3://models/{artifact}/{path}"
                place = (self.tenant, self.id("file", number), self.id("artifact", artifact), path)
                at = self.moment("file", number)
                yield (*place, chance.randrange(1 << 30), digest, "application/octet-stream", uri, at)

        columns = ("tenant_id", "id", "artifact_id", "path", "size", "digest", "media_type", "uri")
        return Table("file", (*columns, "created_at"), records())

    def _curves(self) -> Iterator[tuple[UUID, int, datetime, str, list[float]]]:
        """Every series: owner, namespace, begin, key, values."""
        for number in range(self.versions):
            for kind, keys, count in (
                ("version", VERSION_KEYS, VERSION_POINTS),
                ("experiment", EXPERIMENT_KEYS, EXPERIMENT_POINTS),
            ):
                begun, chance = self.moment(kind, number), self.random(kind, number)
                for key in keys:
                    values = _curve(chance, count)
                    yield self.id(kind, number), number % NAMESPACES, begun, key, values

    def _series(self) -> Table:
        def records() -> Iterator[Record]:
            for owner, home, begun, key, values in self._curves():
                end = begun + PACE * (len(values) - 1)
                yield (
                    *(self.tenant, owner, key, self.id("namespace", home), "FLOAT", len(values)),
                    *(0, 10 * (len(values) - 1), begun, end, values[0], values[-1]),
                    *(min(values), 10 * values.index(min(values))),
                    *(max(values), 10 * values.index(max(values))),
                    *(math.fsum(values) / len(values), end, _series_id(owner, key)),
                )

        columns = ("tenant_id", "owner_id", "key", "namespace_id", "kind", "count", "first_step", "last_step")
        figures = ("first_at", "last_at", "first", "last", "min", "min_step", "max", "max_step", "mean")
        return Table("series", (*columns, *figures, "updated_at", "id"), records())

    def _points(self) -> Table:
        """As compaction leaves them: a segment of each series, which came in one call with all others of its object."""

        def records() -> Iterator[Record]:
            for owner, _, begun, key, values in self._curves():
                yield (self.tenant, owner, _series_id(owner, key), 0, len(values), *_segment(begun, values))

        columns = ("tenant_id", "owner_id", "series_id", "position", "count", "first_seq", "last_seq", "min_step")
        figures = ("max_step", "min_time", "max_time", "recorded_until", "summary", "parts", "data")
        return Table("metric_segment", (*columns, *figures), records())

    def _heads(self) -> Table:
        def records() -> Iterator[Record]:
            yield from ((self.tenant, stream, 0) for stream in (self.tenant, *self._roots()))
            for number in range(self.versions):
                for kind in ("version", "experiment"):
                    yield self.tenant, stream_of(self.id(kind, number)), 1

        return Table("stream_head", ("tenant_id", "stream_id", "seq"), records())

    def _roots(self) -> Iterator[UUID]:
        return (self.id("namespace", number) for number in range(len(ROOTS)))


def _series_id(owner: UUID, key: str) -> int:
    return int.from_bytes(hashlib.blake2b(owner.bytes + key.encode(), digest_size=8).digest()) >> 1


def _segment(begun: datetime, values: list[float]) -> Record:
    """What is stored of the points beside their place."""
    count = len(values)
    first, pace = int(begun.timestamp() * 1_000_000), PACE // timedelta(microseconds=1)
    order = np.arange(count)
    columns = Columns(10 * order, first + pace * order, np.array(values))
    last = (10 * (count - 1), first, first + pace * (count - 1), begun + PACE * (count - 1))
    figures = summary.pack(summary.summarise(columns))  # of the whole, and of its only part
    return 1, 1, 0, *last, figures, figures, segment.encode(columns, np.ones(count, np.int64))


@cache
def namespace_path(number: int) -> str:
    """Four roots, and four namespaces below each."""
    root = ROOTS[number % len(ROOTS)]
    return root if number < len(ROOTS) else f"{root}/team-{number // len(ROOTS)}"


def model_name(number: int) -> str:
    """Of the model of that number."""
    return f"{TASKS[number % 4]}-{number:04d}"


def experiment_name(number: int) -> str:
    """Of the experiment of that number."""
    return f"{TASKS[number % 4]}-run-{number:05d}"


def _curve(chance: random.Random, count: int) -> list[float]:
    level, gain, noise = chance.random(), chance.random(), chance.random
    return [level + gain * math.exp(-place / 12) + 0.02 * noise() for place in range(count)]


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
