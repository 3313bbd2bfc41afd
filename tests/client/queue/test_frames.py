"""What a queue's file gives back, whatever happened to it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelbox.queue import frames
from modelbox.queue.frames import Frame, Gap

BODIES = [b"", b"one", frames.MAGIC, bytes(range(256)) * 40, b"\0\0\n"]


def written(bodies: list[bytes]) -> list[bytes]:
    return [frames.packed(number, {"kind": "points", "n": number}, body) for number, body in enumerate(bodies)]


def read(content: bytes) -> tuple[list[Frame], list[Gap]]:
    found = list(frames.read(io.BytesIO(content)))
    return [f for f in found if isinstance(f, Frame)], [g for g in found if isinstance(g, Gap)]


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_all_comes_back(bodies: list[bytes]) -> None:
    whole, gaps = read(b"".join(written(bodies)))
    assert [(frame.number, frame.body) for frame in whole] == list(enumerate(bodies))
    assert gaps == []


@settings(deadline=None)
@given(st.data())
def test_a_file_cut_anywhere_has_all_that_was_whole(data: st.DataObject) -> None:
    parts = written(BODIES)
    content = b"".join(parts)
    cut = data.draw(st.integers(0, len(content)))
    whole, gaps = read(content[:cut])
    ends = [sum(map(len, parts[: n + 1])) for n in range(len(parts))]
    assert len(whole) == sum(end <= cut for end in ends)
    assert all(gap.is_tail for gap in gaps)


@settings(deadline=None)
@given(st.data())
def test_a_flipped_bit_costs_its_own_frame_and_is_seen(data: st.DataObject) -> None:
    parts = written(BODIES)
    content = bytearray(b"".join(parts))
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8
    whole, gaps = read(bytes(content))
    hit = next(n for n in range(len(parts)) if bit // 8 < sum(map(len, parts[: n + 1])))
    assert [frame.number for frame in whole] == [n for n in range(len(parts)) if n != hit]
    assert len(gaps) == 1
    assert gaps[0].is_tail == (hit == len(parts) - 1)


def test_reading_goes_on_from_a_border() -> None:
    parts = written(BODIES)
    found = list(frames.read(io.BytesIO(b"".join(parts)), len(parts[0])))
    assert [frame.number for frame in found if isinstance(frame, Frame)] == [1, 2, 3, 4]


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        frames.packed(0, {"kind": "points"}, bytes(frames.LARGEST))
