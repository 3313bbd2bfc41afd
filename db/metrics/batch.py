"""The points of one call: checked, and sorted into their series."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from db.errors import Invalid
from db.metrics.figures import Point
from db.text import check_text

MAX_POINTS: Final = 10_000
MAX_SERIES: Final = 1_000
MAX_KEY_BYTES: Final = 1_000
MAX_STRING: Final = 1_048_576
POINTS: Final = ("input", "points")

KINDS: Final = {"value": "FLOAT", "string": "STRING", "bytes": "BYTES"}
"""What a series holds, by the field that gives a value."""

_SEPARATORS: Final = ("Cc", "Zl", "Zp")


@dataclass
class Batch:
    """The new points of one series, in order of arrival; `place` and `given` tell where the first one stood."""

    key: str
    place: int
    given: str
    points: list[Point] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """What its values are."""
        return KINDS[self.given]

    def require_kind(self, kind: str, given: str, place: int) -> None:
        """Raises Invalid, naming the point, when the series holds values of another kind."""
        if KINDS[given] != kind:
            known = next(name for name, value in KINDS.items() if value == kind)
            raise Invalid(
                f"The series {self.key!r} holds {kind}, which its first point settled: give `{known}` instead of"
                f" `{given}`, or use another key.",
                path=(*POINTS, str(place), given),
            )


def batches(points: Sequence[Mapping[str, Any]]) -> list[Batch]:
    """The series of a call, ordered by key.

    Raises:
        Invalid: too many points or keys; or a point, named by its index, with a bad key, without
            exactly one value, or of another kind than those before it.
    """
    if len(points) > MAX_POINTS:
        raise Invalid(f"`input.points` has {len(points)} points; a call takes {MAX_POINTS}. Split them.", path=POINTS)
    found: dict[str, Batch] = {}
    for place, given in enumerate(points):
        name = _given(given, place)
        key = given["key"]
        batch = found.get(key)
        if batch is None:
            batch = found[key] = Batch(check_key(key, place), place, name)
        batch.require_kind(batch.kind, name, place)
        batch.points.append(_point(given, name, place))
    if len(found) > MAX_SERIES:
        raise Invalid(f"`input.points` has {len(found)} keys; a call takes {MAX_SERIES}. Split them.", path=POINTS)
    return [found[key] for key in sorted(found)]


def _given(point: Mapping[str, Any], place: int) -> str:
    """The one field that gives the point's value."""
    given = [name for name in KINDS if point.get(name) is not None]
    if len(given) != 1:
        found = "none of them" if not given else " and ".join(f"`{name}`" for name in given)
        where = (*POINTS, str(place), "value")
        raise Invalid(f"A point has exactly one of `value`, `string` and `bytes`; this one has {found}.", path=where)
    return given[0]


def _point(point: Mapping[str, Any], name: str, place: int) -> Point:
    value = point[name]
    if name == "string":
        where = (*POINTS, str(place), name)
        value = check_text(value, what=".".join(where), max_length=MAX_STRING, path=where)
    number, string, binary = (value if name == kind else None for kind in KINDS)
    return Point(point.get("step"), point.get("wall_time"), number, string, binary)


def check_key(key: str, place: int) -> str:
    """The key of a series as it stands: compared exactly, not normalised, `/` allowed.

    Raises:
        Invalid: it is empty, too long, has blanks at an end, or holds control characters.
    """
    where = (*POINTS, str(place), "key")
    what = ".".join(where)
    check_text(key, what=what, max_length=MAX_KEY_BYTES, path=where)
    size = len(key.encode())
    if size > MAX_KEY_BYTES:
        raise Invalid(f"`{what}` is {size} bytes long; at most {MAX_KEY_BYTES} are allowed. Shorten it.", path=where)
    if not key or key != key.strip():
        raise Invalid(
            f"`{what}` is empty, or begins or ends with a blank. Give a key such as `train/loss`.", path=where
        )
    for character in key:
        if unicodedata.category(character) in _SEPARATORS:
            code = f"U+{ord(character):04X}"
            raise Invalid(f"`{what}` contains the control character {code}. Remove it.", path=where)
    return key
