"""What a call logs: checked, and as arrays for each object."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from db.errors import Invalid
from db.metrics.columns import Columns, Ints
from db.metrics.point_rows import Point, part_of_points
from db.metrics.point_table import MAX_SERIES, CheckedTable, Table, part_of_table
from db.metrics.series_part import Opaque, Path, joined, other_kind
from db.text import check_text

__all__ = [
    "MAX_BATCHES",
    "MAX_POINTS",
    "MAX_SERIES",
    "Batch",
    "CheckedTable",
    "Opaque",
    "Point",
    "Table",
    "batches",
    "digest",
]

MAX_POINTS: Final = 10_000
MAX_BATCHES: Final = 100
MAX_WRITER: Final = 255
INPUT: Final = ("input",)
_OF_ONE: Final = ("object_id", "points", "columns")


@dataclass(frozen=True)
class Batch:
    """New points of one object.

    `keys` are its series of floats, sorted and distinct; `counts` says how many points of `columns`, which is in that
    order, each has. `opaque` are its other series, sorted by key. `path` is that of the input object that holds
    `objectId`; `places` finds where a key's first value stands in the input, for refusals.
    """

    object_id: str
    path: Path
    keys: list[str]
    counts: Ints
    columns: Columns
    opaque: Sequence[Opaque] = ()
    places: Callable[[str], Path] = field(default=lambda key: (key,), repr=False)

    @property
    def point_count(self) -> int:
        """How many points there are, of every kind."""
        return len(self.columns) + sum(len(series.points) for series in self.opaque)

    @property
    def all_keys(self) -> list[str]:
        """The keys of all series, sorted."""
        return sorted([*self.keys, *(series.key for series in self.opaque)]) if self.opaque else self.keys

    def refusal(self, key: str, kind: str) -> Invalid:
        """What to raise when the stored series of this key holds values of another kind."""
        return other_kind(key, kind, self.places(key))


def batches(arguments: Mapping[str, Any]) -> list[Batch]:
    """The points of a call by object, in the order of the input. Arguments that the input left out may be missing.

    Raises:
        Invalid: something is not as it should be; the path names it by its index or its key.
    """
    _check_writer(arguments.get("writer"), arguments.get("sequence"))
    several = arguments.get("batches")
    if several is None:
        return _checked([_batch(arguments, INPUT)], INPUT)
    for name, spelled in zip(_OF_ONE, ("objectId", "points", "columns"), strict=True):
        if arguments.get(name) is not None:
            message = "Give either `batches`, or `objectId` with its points; not both."
            raise Invalid(message, path=(*INPUT, spelled))
    return _several(several, (*INPUT, "batches"))


def digest(given: Iterable[Batch]) -> bytes:
    """A hash that is equal for equal points, whatever form they came in."""
    hashed = hashlib.sha256()
    for batch in given:
        opaque = [(series.key, series.kind, series.points) for series in batch.opaque]
        hashed.update(repr((batch.object_id, batch.keys, opaque)).encode("utf-8", "surrogatepass"))
        for array in (batch.counts, batch.columns.steps, batch.columns.times, batch.columns.values):
            hashed.update(array.tobytes())
    return hashed.digest()


def _several(given: Sequence[Mapping[str, Any]], path: Path) -> list[Batch]:
    if not given:
        raise Invalid("`input.batches` is empty. Give at least one.", path=path)
    if len(given) > MAX_BATCHES:
        message = f"`input.batches` has {len(given)} objects; a call takes {MAX_BATCHES}. Split them."
        raise Invalid(message, path=path)
    seen: set[str] = set()
    found: list[Batch] = []
    for place, each in enumerate(given):
        batch = _batch(each, (*path, str(place)))
        if batch.object_id in seen:
            message = f"{batch.object_id} stands in an earlier batch. Give an object's points in one."
            raise Invalid(message, path=(*batch.path, "objectId"))
        seen.add(batch.object_id)
        # Counted after each, so that what comes behind too many is not even read.
        found = _checked([*found, batch], path)
    return found


def _batch(given: Mapping[str, Any], path: Path) -> Batch:
    object_id, points, table = (given.get(name) for name in _OF_ONE)
    if object_id is None:
        raise Invalid("Name the object that was measured.", path=(*path, "objectId"))
    if points is None and table is None:
        raise Invalid("Give `points` or `columns`.", path=(*path, "points"))
    parts = []
    if points is not None:
        _check_count(len(points), (*path, "points"))
        parts.append(part_of_points(points, (*path, "points")))
    if table is not None:
        parts.append(part_of_table(table, (*path, "columns")))
    part = parts[0] if len(parts) == 1 else joined(*parts)
    return Batch(object_id, path, part.keys, part.counts, part.columns, part.opaque, part.places)


def _checked(found: list[Batch], path: Path) -> list[Batch]:
    """The batches, when all together are not too many."""
    points = sum(batch.point_count for batch in found)
    keys = sum(len(batch.keys) + len(batch.opaque) for batch in found)
    if points > MAX_POINTS or keys > MAX_SERIES:
        where = path if path != INPUT else (*INPUT, found[0].places(found[0].all_keys[-1])[1])
        _check_count(points, where)
        message = f"`{'.'.join(where)}` has {keys} keys; a call takes {MAX_SERIES}. Split them."
        raise Invalid(message, path=where)
    return found


def _check_count(points: int, path: Path) -> None:
    if points > MAX_POINTS:
        message = f"`{'.'.join(path)}` has {points} points; a call takes {MAX_POINTS}. Split them."
        raise Invalid(message, path=path)


def _check_writer(writer: str | None, sequence: int | None) -> None:
    if writer is None and sequence is None:
        return
    if writer is None or sequence is None:
        missing = "writer" if writer is None else "sequence"
        raise Invalid("`writer` and `sequence` go together. Give both or neither.", path=(*INPUT, missing))
    if not check_text(writer, what="input.writer", max_length=MAX_WRITER):
        raise Invalid(f"`input.writer` is empty. Give 1 to {MAX_WRITER} characters.", path=(*INPUT, "writer"))
    if sequence < 0:
        message = f"`input.sequence` is {sequence}. Count a writer's calls from 0."
        raise Invalid(message, path=(*INPUT, "sequence"))
