"""Argument values that mean something: ids, names and numbers of the seeded rows, and some of nobody's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hypothesis import strategies as st
from strawberry.utils.str_converters import to_camel_case

from tests.differential import words
from tests.differential.reference import BY_PREFIX
from tests.differential.seed import PATHS, ROLES, SERIES_KEYS, SOURCES, SPANS, TAGS, Row, Seed
from tests.differential.sight import TYPES

PREFIX_OF = {table: prefix for prefix, table in BY_PREFIX.items()}
NOBODY = "f" * 32
JSON_PATHS = [
    ["lr"],
    ["lr2"],
    ["optimizer"],
    ["optimizer", "name"],
    ["optimizer", "lr"],
    ["optimizer", "nested", "deep", "1", "0"],
    ["optimizer", "-1", "name"],
    ["a"],
    ["a", "b"],
    ["a/b"],
    [""],
    [],
    ["it's"],
    ["big"],
    ["list"],
    ["zero"],
    ["z"],
    ["third"],
    ["none"],
]


VALUES = ["adam", "sgd", "0.1", "0.10", "1", "true", "rival", "e", "\\", '{"b": 2}', "[]"]
LISTED = {TYPES[table]: table for table in (*PREFIX_OF, "series")} | {
    "User": "actor",
    "ServiceAccount": "actor",
}


class Vocabulary:
    """What arguments of each meaning are drawn from."""

    def __init__(self, seed: Seed) -> None:
        rows = seed.rows
        self.ids = {table: ids(table, rows[table]) for table in PREFIX_OF}
        self.every_id = [id_ for found in self.ids.values() for id_ in found]
        self.columns = {f"{name}Filter": stored(rows[table]) for name, table in LISTED.items()}
        self.texts = [*words.TEXTS, *SPANS, *SOURCES, *ROLES, *(path for path, _ in PATHS), *VALUES]
        self.globs = [*words.NAMES, "*", "?", "??", "*a*", "a?", "*\\*", "alpha/*", "*b", "*'*", "", "**", "sweep"]
        self.models = [row["name"] for row in rows["model"]]
        self.versions = [row["version"] for row in rows["model_version"]]
        self.names = {
            "ModelBy": [(row, row["name"]) for row in rows["model"]],
            "ExperimentBy": [(row, row["name"]) for row in rows["experiment"]],
            "DatasetBy": [(row, row["name"]) for row in rows["dataset"]],
        }
        self.externals = [(row, row["external_id"]) for row in rows["experiment"] if row["external_id"]]
        self.paths_by_id = {row["id"]: row["path"] for row in rows["namespace"]}
        self.paths = [*self.paths_by_id.values(), "", "none", "alpha/", "rival"]
        numbers = [*words.FLOATS, *map(float, words.INTEGERS), 0.25, 0.001]
        self.numbers = [spoken(number) for number in numbers]
        self.moments = [*map(written, words.MOMENTS), "2024-02-29T13:00:00+01:00", "2000-01-01T00:00:00.5Z"]
        self.scalars: dict[str, Sequence[Any]] = {
            "Boolean": [True, False],
            "Int": [1, 1, 2, 3, 5, 100],
            "MetricValue": self.numbers,
            "DateTime": self.moments,
            "ID": self.every_id,
            "Digest": ["sha256:" + "0" * 64, "sha256:" + "af" * 32, "sha256:" + "1" * 64],
        }
        self.keys = [*SERIES_KEYS, "none"]
        self.metadata_keys = sorted({key for document in words.DOCUMENTS for key in document})
        self.tags = [*TAGS, "none"]


def stored(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """What is stored in each column, as arguments say it."""
    found: dict[str, list[Any]] = {}
    for name in rows[0]:
        values = [row[name] for row in rows if isinstance(row[name], str | int | float | datetime)]
        found[to_camel_case(name)] = [as_argument(value) for value in values]
    return found


def as_argument(value: Any) -> Any:
    if isinstance(value, datetime):
        return written(value)
    return spoken(value) if isinstance(value, float) else value


def ids(table: str, rows: Sequence[Row]) -> list[str]:
    return [f"{PREFIX_OF[table]}_{row['id'].hex}" for row in rows] + [f"{PREFIX_OF[table]}_{NOBODY}"]


def spoken(number: float) -> float | str:
    """A number as JSON has it."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def written(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def texts(vocabulary: Vocabulary, name: str) -> st.SearchStrategy[str]:
    """Text for an argument or an input field of that name."""
    pools: dict[str, Sequence[str]] = {
        "namespace": vocabulary.paths,
        "path": vocabulary.paths,
        "key": vocabulary.keys,
        "keys": vocabulary.keys,
        "keyPrefix": ["", "train", "l", "it's", "ключ"],
        "keyPattern": ["*", "", "l*", "train/*", "*/loss", "a?b", "?oss", "it's", "none"],
        "prefix": ["", "train", "l", "none"],
        "metric": vocabulary.keys,
        "version": vocabulary.versions,
        "tag": vocabulary.tags,
        "matches": vocabulary.globs,
    }
    return st.sampled_from(pools.get(name, vocabulary.texts))
