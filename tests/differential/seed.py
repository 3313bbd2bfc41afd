"""Rows of every table, made from a seed: full of nulls, equal keys, deleted containers, and awkward values."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

from db.tables.artifact import FILE_KINDS
from db.tables.experiment import STATUSES
from db.tables.feed import ACTIONS
from db.tables.registry import FRAMEWORKS
from tests.differential import words
from tests.differential.storage import stored

Row = dict[str, Any]

PATHS = [
    ("default", False),
    ("alpha", False),
    ("alpha/b", False),
    ("alpha/b/c", False),
    ("alpha/b/c/💥", False),
    ("alpha/b2", False),
    ("alpha/b%", True),
    ("beta", False),
    ("beta/x", True),
    ("beta/x/y", False),
    ("gone", True),
    ("gone/z", False),
    ("it's", False),
]
"""Namespaces, and which of them are deleted. What lies below a deleted one is out of sight with it."""

SERIES_KEYS = ["loss", "acc", "train/loss", "train/acc", "ключ", "it's", "", "a.b", "Loss"]
TAGS = ["prod", "staging", "it's", "💥"]
SPANS = ["train", "validate", "checkpoint_write", "it's"]
SOURCES = ["trainer", "pipeline", "💥"]
ROLES = ["train", "validation", "test"]


class Seed:
    """Makes rows table by table; `rows` are what to insert, in an order that foreign keys allow."""

    def __init__(self, number: int) -> None:
        self.random = Random(number)
        self.tenant = self.id()
        self.rows: dict[str, list[Row]] = defaultdict(list)
        self.lineages: dict[UUID, list[UUID]] = {}
        self.points: dict[int, list[Row]] = {}
        """The points of each series by its id, as they came; the rows hold them in the form of the storage."""
        self.float = 0
        self.taken: set[Any] = set()
        self.people()
        self.namespaces()
        self.members()
        self.experiments()
        self.checkpoints()
        self.legs()
        self.models()
        self.versions()
        self.tags()
        self.datasets()
        self.artifacts()
        self.series()
        self.events()
        self.audit()

    def id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128))

    def any(self, table: str) -> Row:
        return self.random.choice(self.rows[table])

    def maybe(self, values: Iterable[Any], chance: float = 0.7) -> Any:
        values = list(values)
        return self.random.choice(values) if values and self.random.random() < chance else None

    def one(self, values: Iterable[Any]) -> Any:
        return self.random.choice(list(values))

    def add(self, table: str, **values: Any) -> Row:
        row = {"tenant_id": self.tenant, **values}
        self.rows[table].append(row)
        return row

    def unused(self, *key: Any, text: str) -> str:
        """A text that nothing else of the same key has."""
        while (*key, text) in self.taken:
            text += self.one("xyzé")
        self.taken.add((*key, text))
        return text

    def people(self) -> None:
        self.add("tenant", id=self.tenant, name="acme 💥", created_at=self.one(words.MOMENTS))
        self.rows["tenant"][0].pop("tenant_id")
        for kind in ["USER"] * 4 + ["SERVICE_ACCOUNT"] * 3:
            self.add(
                "actor",
                id=self.id(),
                kind=kind,
                name=self.unused("actor", kind, text=self.one(words.NAMES)),
                description=self.maybe(words.TEXTS),
                created_at=self.one(words.MOMENTS),
                disabled_at=self.maybe(words.MOMENTS, 0.2),
            )

    def namespaces(self) -> None:
        made: dict[str, Row] = {}
        for path, is_deleted in [*PATHS, ("beta/x", False)]:
            parent = made.get(path.rpartition("/")[0])
            id_ = self.id()
            self.lineages[id_] = [*(self.lineages[parent["id"]] if parent else []), id_]
            row = made[path] = self.entity(
                "namespace",
                "NAMESPACE",
                id_=id_,
                home=id_,
                deleted=is_deleted,
                containers=[],
                parent_id=parent and parent["id"],
                root_id=self.lineages[id_][0],
                name=path.rpartition("/")[2],
                path=path,
                description=self.maybe(words.TEXTS),
                lineage=self.lineages[id_],
                raw_metric_days=self.maybe([1, 30, 36_500]),
            )
            row["visible"] = row["deleted_at"] is None and (parent is None or parent["visible"])

    def members(self) -> None:
        for actor in self.rows["actor"]:
            for place in {self.maybe(self.lineages, 0.9) for _ in range(2)}:
                self.add(
                    "role_grant",
                    id=self.id(),
                    actor_id=actor["id"],
                    namespace_id=place,
                    role=self.one(["READER", "WRITER", "MAINTAINER", "ADMIN"]),
                    created_at=self.one(words.MOMENTS),
                    created_by=self.maybe([actor["id"]]),
                )
            for _ in range(2):
                bound = self.random.sample(list(self.lineages), self.random.randrange(3))
                self.add(
                    "token",
                    prefix=self.unused("token", text="mbx_" + self.id().hex[:8]),
                    id=self.id(),
                    actor_id=actor["id"],
                    digest=self.id().bytes,
                    description=self.maybe(words.TEXTS),
                    role=self.one(["READER", "ADMIN"]),
                    namespaces=self.maybe([[place.hex for place in bound]]),
                    created_at=self.one(words.MOMENTS),
                    expires_at=self.maybe(words.MOMENTS, 0.4),
                    revoked_at=self.maybe(words.MOMENTS, 0.3),
                )

    def entity(
        self,
        table: str,
        kind: str,
        *,
        home: UUID,
        containers: list[UUID],
        id_: UUID | None = None,
        deleted: bool | None = None,
        **values: Any,
    ) -> Row:
        """A row of an entity, with its narrow row."""
        id_ = id_ or self.id()
        is_deleted = self.random.random() < 0.15 if deleted is None else deleted
        gone = self.one(words.MOMENTS) if is_deleted else None
        label = str(values.get("path") or values.get("name") or values.get("version") or values.get("role") or id_)
        shared = {"id": id_, "namespace_id": home, "deleted_at": gone}
        self.add("object", **shared, kind=kind, container_ids=containers, name=label)
        return self.add(
            table,
            **shared,
            created_at=self.one(words.MOMENTS),
            created_by=self.any("actor")["id"],
            updated_at=self.one(words.MOMENTS),
            revision=self.one([1, 1, 2, 2**53 - 1]),
            labels=sorted(self.random.sample(words.TEXTS, self.random.randrange(4))),
            metadata=self.one(words.DOCUMENTS),
            **values,
        )

    def experiments(self) -> None:
        for number in range(26):
            home = self.one(self.lineages)
            parameters = self.one(words.DOCUMENTS)
            row = self.entity(
                "experiment",
                "EXPERIMENT",
                home=home,
                containers=[],
                name=self.unused("experiment", home, text=self.one(words.NAMES)),
                description=self.maybe(words.TEXTS),
                owner=self.maybe(words.TEXTS),
                framework=self.maybe(FRAMEWORKS),
                external_id=self.maybe([self.unused("external", home, text=self.one(words.NAMES))]),
                status=self.one(STATUSES),
                hyperparameters=parameters,
                environment=self.one(words.DOCUMENTS),
                group=self.maybe(["sweep", "it's", "", "Sweep"]),
                parent_id=self.maybe([row["id"] for row in self.rows["experiment"]], 0.5),
                started_at=self.one(words.MOMENTS),
                ended_at=self.maybe(words.MOMENTS, 0.5),
                stall_after=self.one([600.0, 0.5, 1e308]),
            )
            for path, number_, text in leaves(parameters):
                self.add("parameter", experiment_id=row["id"], path=path, number=number_, text=text)
            if number % 3:
                self.add("heartbeat", experiment_id=row["id"], at=self.one(words.MOMENTS))

    def checkpoints(self) -> None:
        for _ in range(45):
            experiment = self.any("experiment")
            self.entity(
                "checkpoint",
                "CHECKPOINT",
                home=experiment["namespace_id"],
                containers=[experiment["id"]],
                experiment_id=experiment["id"],
                name=self.maybe(words.TEXTS),
                step=self.maybe([*words.INTEGERS, *[2**53 - 1] * 6]),
                epoch=self.maybe(words.FLOATS),
                status=self.one(["READY", "READY", "PENDING"]),
            )

    def legs(self) -> None:
        """Of some experiments, resumptions; their checkpoints were saved on any leg. Drawn apart from all the rest."""
        chance = Random(2)
        for experiment in self.rows["experiment"]:
            saved = [row for row in self.rows["checkpoint"] if row["experiment_id"] == experiment["id"]]
            experiment["leg"] = chance.choice([0, 0, 1, 3]) if saved else 0
            for row in saved:
                row["leg"] = chance.randint(0, experiment["leg"])
            for number in range(1, experiment["leg"] + 1):
                self.add(
                    "leg",
                    experiment_id=experiment["id"],
                    number=number,
                    from_step=chance.choice([*words.INTEGERS, *(row["step"] for row in saved if row["step"])]),
                    checkpoint_id=chance.choice([None, chance.choice(saved)["id"]]),
                    started_at=chance.choice(words.MOMENTS),
                    started_by=chance.choice(self.rows["actor"])["id"],
                )

    def models(self) -> None:
        for _ in range(16):
            home = self.one(self.lineages)
            self.entity(
                "model",
                "MODEL",
                home=home,
                containers=[],
                name=self.unused("model", home, text=self.one(words.NAMES)),
                owner=self.maybe(words.TEXTS),
                task=self.maybe(words.TEXTS),
                description=self.maybe(words.TEXTS),
                next_version=self.one([1, 2, 100]),
            )

    def versions(self) -> None:
        for _ in range(40):
            model = self.any("model")
            self.entity(
                "model_version",
                "MODEL_VERSION",
                home=model["namespace_id"],
                containers=[model["id"]],
                model_id=model["id"],
                version=self.unused("version", model["id"], text=self.one([*words.NAMES, "1", "2", "10"])),
                name=self.maybe(words.NAMES, 0.5),
                description=self.maybe(words.TEXTS),
                framework=self.maybe(FRAMEWORKS),
                status=self.one(["READY", "PENDING"]),
                experiment_id=self.maybe([row["id"] for row in self.rows["experiment"]]),
                checkpoint_id=self.maybe([row["id"] for row in self.rows["checkpoint"]]),
            )

    def tags(self) -> None:
        by_model: dict[UUID, list[UUID]] = defaultdict(list)
        for version in self.rows["model_version"]:
            by_model[version["model_id"]].append(version["id"])
        for model, versions in by_model.items():
            for tag in self.random.sample(TAGS, self.random.randrange(4)):
                chosen = self.one(versions)
                self.add("unique_tag", model_id=model, tag=tag, version_id=chosen, at=self.one(words.MOMENTS))
                for _ in range(self.random.randrange(4)):
                    self.add(
                        "tag_change",
                        id=self.id(),
                        model_id=model,
                        tag=tag,
                        version_id=self.maybe(versions),
                        previous_version_id=self.maybe(versions),
                        actor_id=self.any("actor")["id"],
                        at=self.one(words.MOMENTS),
                    )

    def datasets(self) -> None:
        for _ in range(10):
            home = self.one(self.lineages)
            self.entity(
                "dataset",
                "DATASET",
                home=home,
                containers=[],
                name=self.unused("dataset", home, text=self.one(words.NAMES)),
                digest=self.maybe(["sha256:" + "0" * 64, "sha256:" + "af" * 32]),
                uri=self.maybe(words.TEXTS),
                description=self.maybe(words.TEXTS),
                schema=self.maybe([*words.DOCUMENTS, [], 0, "x", False]),
                profile=self.maybe([*words.DOCUMENTS, [1], 0.5, ""]),
            )
        for _ in range(30):
            owner = self.one([*self.rows["model"], *self.rows["model_version"], *self.rows["experiment"]])
            containers = [owner["model_id"]] if "model_id" in owner else []
            self.entity(
                "dataset_use",
                "DATASET_USE",
                home=owner["namespace_id"],
                containers=[*containers, owner["id"]],
                object_id=owner["id"],
                dataset_id=self.any("dataset")["id"],
                role=self.unused("use", owner["id"], text=self.one(ROLES)),
            )

    def artifacts(self) -> None:
        for _ in range(70):
            owner = self.any("object")
            row = self.add(
                "artifact",
                id=self.id(),
                object_id=owner["id"],
                namespace_id=owner["namespace_id"],
                name=self.unused("artifact", owner["id"], text=self.one(words.NAMES)),
                kind=self.one(FILE_KINDS),
                status=self.one(["READY", "PENDING"]),
                metadata=self.one(words.DOCUMENTS),
                created_at=self.one(words.MOMENTS),
                created_by=self.any("actor")["id"],
                updated_at=self.one(words.MOMENTS),
                revision=self.one([1, 7]),
                deleted_at=self.maybe(words.MOMENTS, 0.1),
            )
            for _ in range(self.random.randrange(4)):
                self.add(
                    "file",
                    id=self.id(),
                    artifact_id=row["id"],
                    path=self.unused("file", row["id"], text="dir/" + self.one(words.NAMES)),
                    size=self.maybe([0, 1, 4096, 2**40]),
                    digest=self.maybe(["sha256:" + "1" * 64]),
                    media_type=self.maybe(["text/plain", 'a/"b"']),
                    uri=self.maybe(words.TEXTS),
                    verified_at=self.maybe(words.MOMENTS),
                    created_at=self.one(words.MOMENTS),
                )

    def series(self) -> None:
        for owner in self.rows["object"]:
            for key in self.random.sample(SERIES_KEYS, self.random.randrange(4)):
                for leg in range(1 + (self.random.random() < 0.2)):
                    self.one_series(owner, key, leg)
        by_owner: dict[UUID, list[Row]] = defaultdict(list)
        for series in self.rows["series"]:
            by_owner[series["owner_id"]].append(series)
        for found in by_owner.values():
            for table, row in stored(found, self.points, self.random):
                self.add(table, **row)

    def one_series(self, owner: Row, key: str, leg: int) -> None:
        kind = self.one(["FLOAT", "FLOAT", "FLOAT", "STRING", "BYTES"])
        number = partial(self.maybe, words.FINITE) if kind == "FLOAT" else lambda: None
        known = {"owner_id": owner["id"], "key": key, "leg": leg}
        id_ = self.random.getrandbits(63)
        # Most series are short, and some are longer than what a sample of them may hold.
        count = self.one([0, 1, 2, 3, 3, 40, 700])
        self.add(
            "series",
            **known,
            namespace_id=owner["namespace_id"],
            kind=kind,
            count=count,
            non_finite_count=self.one([0, 1]),
            first_step=self.maybe(words.INTEGERS),
            last_step=self.maybe(words.INTEGERS),
            first_at=self.maybe(words.MOMENTS),
            last_at=self.maybe(words.MOMENTS),
            first=self.maybe(words.FLOATS) if kind == "FLOAT" else None,
            last=self.maybe(words.FLOATS, 0.9) if kind == "FLOAT" else None,
            min=number(),
            min_step=self.maybe(words.INTEGERS),
            max=number(),
            max_step=self.maybe(words.INTEGERS),
            mean=number(),
            updated_at=self.one(words.MOMENTS),
            id=id_,
        )
        self.points[id_] = [self.point(kind, position) for position in range(count)]

    def point(self, kind: str, position: int) -> Row:
        """A point of a series; what it holds is often what others hold, too."""
        self.float += 1
        return {
            "position": position,
            "step": self.maybe([*words.INTEGERS, *range(20), position]),
            "wall_time": self.maybe(words.MOMENTS),
            "number": words.FLOATS[self.float % len(words.FLOATS)] if kind == "FLOAT" else None,
            "string": self.one(words.TEXTS) if kind == "STRING" else None,
            "binary": self.one([b"", b"\0\xff", bytes(range(256))]) if kind == "BYTES" else None,
        }

    def events(self) -> None:
        sequences: Counter[UUID] = Counter()
        for number in range(120):
            owner = self.any("object")
            root = self.lineages[owner["namespace_id"]][0]
            sequences[root] += 1
            at = self.one(words.MOMENTS)
            self.add(
                "event",
                id=self.id(),
                stream_id=root,
                seq=sequences[root],
                object_id=owner["id"],
                namespace_id=owner["namespace_id"],
                name=self.one(SPANS),
                source=self.one(SOURCES),
                external_id=f"it's {number}",
                at=at,
                ended_at=self.maybe([later(at, 0.1), later(at, 1 / 3), later(at, 86400.000001), at]),
                metadata=self.one(words.DOCUMENTS),
                actor_id=self.any("actor")["id"],
                recorded_at=self.one(words.MOMENTS),
            )
        for root, seq in list(sequences.items())[1:]:
            self.add("stream_head", stream_id=root, seq=seq, epoch=self.one([1, 2**40]), min_seq=0)

    def audit(self) -> None:
        others = [("USER", self.any("actor")["id"]), ("ARTIFACT", self.any("artifact")["id"]), ("SERIES", self.id())]
        for number in range(120):
            owner = self.any("object")
            kind, object_id = self.one([(owner["kind"], owner["id"])] * 5 + others)
            self.add(
                "audit_event",
                stream_id=self.lineages[owner["namespace_id"]][0],
                seq=number,
                id=self.id(),
                at=self.one(words.MOMENTS),
                action=self.one(ACTIONS),
                kind=kind,
                object_id=object_id,
                object_name=self.one(words.TEXTS),
                namespace_id=owner["namespace_id"] if kind == owner["kind"] else self.maybe([owner["namespace_id"]]),
                actor_id=self.one([self.any("actor")["id"], self.id()]),
                actor_name=self.one(words.NAMES),
                request_id=self.maybe(words.TEXTS),
                before=self.maybe(words.DOCUMENTS),
                after=self.maybe(words.DOCUMENTS),
            )
        self.add(
            "idempotency_record",
            actor_id=self.any("actor")["id"],
            key="it's",
            verb="createModel",
            input_digest=b"\0",
            result={},
            created_at=self.one(words.MOMENTS),
        )


def later(moment: datetime, seconds: float) -> datetime:
    """So much later, or earlier where time ends."""
    span = timedelta(seconds=seconds)
    return moment + span if moment.year < 9999 else moment - span


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterable[tuple[list[str], float | None, str | None]]:
    """The leaves of hyperparameters: path, number, text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, str):
        yield list(path), None, value
    elif isinstance(value, bool) or value is None:
        yield list(path), None, None if value is None else str(value).lower()
    elif isinstance(value, int | float):
        yield list(path), float(value), json.dumps(value)


KEPT_WORDS = {"kind", "status", "framework", "role", "action", "digest"}


def rivals(rows: dict[str, list[Row]], tenant: UUID) -> dict[str, list[Row]]:
    """The same ids in another tenant, with nothing deleted and every text another: none may ever be seen."""
    result: dict[str, list[Row]] = {}
    for table, found in rows.items():
        result[table] = [rival(table, row, number, tenant) for number, row in enumerate(found)]
    return result


def rival(table: str, row: Row, number: int, tenant: UUID) -> Row:
    changed = {
        name: f"rival {number} {value}" if isinstance(value, str) and name not in KEPT_WORDS else value
        for name, value in row.items()
    }
    if table == "tenant":
        return {**changed, "id": tenant}
    alive = {name: None for name in row if name == "deleted_at"} | {name: True for name in row if name == "visible"}
    return {**changed, **alive, "tenant_id": tenant}
