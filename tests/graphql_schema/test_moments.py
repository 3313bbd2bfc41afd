"""Times read a thousand at once are those that are read one by one."""

from __future__ import annotations

from datetime import datetime

import pytest
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st

from db.metrics.point_rows import microseconds
from graphql_schema.moments import FEWEST, microseconds_of
from graphql_schema.scalars import parse_date_time

ENDS = [("microseconds", "Z"), ("microseconds", "+00:00"), ("milliseconds", "Z"), ("seconds", "Z")]
PLAIN = "2026-03-01T12:00:00.000000Z"


def one_by_one(texts: list[str]) -> list[int] | None:
    try:
        times: list[datetime | int | None] = [parse_date_time(text) for text in texts]
    except GraphQLError:
        return None
    found: list[int] = microseconds(times).tolist()
    return found


@given(st.lists(st.datetimes(), min_size=FEWEST, max_size=FEWEST + 8), st.sampled_from(ENDS))
def test_times_of_one_form(times: list[datetime], end: tuple[str, str]) -> None:
    precision, offset = end
    texts = [time.isoformat(timespec=precision) + offset for time in times]
    found = microseconds_of(texts)
    assert found is not None
    assert found == one_by_one(texts)


@given(st.integers(0, FEWEST), st.text(st.sampled_from("0123456789-:.TZ+ ٣"), min_size=27, max_size=27), st.data())
def test_what_is_read_at_all_is_what_one_by_one_gives(place: int, odd: str, data: st.DataObject) -> None:
    texts = [PLAIN] * (FEWEST + 1)
    start = data.draw(st.integers(0, 26))
    end = data.draw(st.integers(start + 1, min(start + 3, 27)))
    texts[place] = PLAIN[:start] + odd[start:end] + PLAIN[end:]
    found = microseconds_of(texts)
    assert found is None or found == one_by_one(texts)


ODD = [
    "2026-02-29T12:00:00.000000Z",
    "2026-13-01T12:00:00.000000Z",
    "2026-00-01T12:00:00.000000Z",
    "2026-01-00T12:00:00.000000Z",
    "2026-01-32T12:00:00.000000Z",
    "0000-01-01T12:00:00.000000Z",
    "2026-01-01T24:00:00.000000Z",
    "2026-01-01T12:60:00.000000Z",
    "2026-01-01T12:00:60.000000Z",
    "2026-01-01T12:00:00.00000AZ",
    "2026-01-01 12:00:00.000000Z",
    "2026-01-01T12:00:00.0+00:00",
    "2026-01-01T12:00:00.000000z",
    "٢026-01-01T12:00:00.000000Z",
    "2026-01-01T12:00:00.0000001Z",
]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", [0, FEWEST])
def test_what_is_no_such_time_is_left_alone(odd: str, place: int) -> None:
    texts = [PLAIN] * (FEWEST + 1)
    texts[place] = odd
    assert microseconds_of(texts) is None


def test_the_ends_of_all_time() -> None:
    texts = ["0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z", "2024-02-29T00:00:00.000001Z"] * FEWEST
    assert microseconds_of(texts) == one_by_one(texts)
