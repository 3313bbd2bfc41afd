"""Places in streams, and what lies between two of them.

A subscription follows one stream or several at once. Its place is a number in each, and order holds within each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from db.errors import CursorExpired


@dataclass(frozen=True, slots=True)
class Head:
    """Where a stream stands: its last number, and from where on it is kept."""

    seq: int
    min_seq: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Position:
    """After which number of each stream, in the order of the streams' ids; in which epoch."""

    epoch: int
    seqs: tuple[int, ...]

    def reaches(self, other: Position) -> bool:
        """Whether it lies behind the other in no stream."""
        return all(own >= seq for own, seq in zip(self.seqs, other.seqs, strict=True))

    def distance(self, other: Position) -> int:
        """How many numbers it lies before the other."""
        return sum(other.seqs) - sum(self.seqs)


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers to read: after one position, up to another. `catching_up` when there are more behind it already."""

    streams: tuple[UUID, ...]
    after: Position
    upto: Position
    catching_up: bool = False

    @property
    def is_empty(self) -> bool:
        """A heartbeat: nothing to read, only the cursor to be told."""
        return self.after == self.upto


def position_of(heads: Sequence[Head]) -> Position:
    """The place behind all that is there."""
    return Position(heads[0].epoch, tuple(head.seq for head in heads))


def check_kept(at: Position, heads: Sequence[Head]) -> None:
    """Raises CursorExpired when not all that follows the position can be read."""
    for seq, head in zip(at.seqs, heads, strict=True):
        if at.epoch != head.epoch or not head.min_seq <= seq <= head.seq:
            raise CursorExpired(path=("after",))


def next_span(streams: tuple[UUID, ...], at: Position, upto: Position, most: int) -> Span:
    """The next numbers on the way from one position to another: not more than `most`, stream after stream."""
    left, seqs = most, []
    for seq, end in zip(at.seqs, upto.seqs, strict=True):
        step = min(max(end - seq, 0), left)
        left -= step
        seqs.append(seq + step)
    reached = Position(at.epoch, tuple(seqs))
    return Span(streams, at, reached, catching_up=not reached.reaches(upto))
