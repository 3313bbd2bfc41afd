"""TensorBoard's event files, read without TensorBoard: records with checksums, each a small message of protobuf.

    record = length (8 bytes) | checksum of it (4) | message | checksum of the message (4)

Numbers and texts are read, as old and new writers write them; pictures, sounds and histograms are counted.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

LONGEST_RECORD: Final = 64 << 20
MASK: Final = 0xA282EAD8
HYPERPARAMETERS: Final = "_hparams_/session_start_info"
ASIDE: Final = ("_hparams_/", "custom_scalars__")
"""Beginnings of tags that are TensorBoard's own."""

Field: TypeAlias = "tuple[int, Any]"


@dataclass
class Event:
    """What was written at once."""

    end: int = 0
    """Where the next begins in the file."""

    moment: float = 0.0
    step: int = 0
    numbers: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    skipped: int = 0
    """Values of kinds that are not read."""

    is_damaged: bool = False


def events(path: Path, start: int = 0) -> Iterator[Event]:
    """The events of a file from a place on; one that is still being written ends where it is whole.

    A message that is damaged is an event without values; behind a damaged length nothing can be read.
    """
    with path.open("rb") as file:
        file.seek(start)
        while len(head := file.read(12)) == 12:
            size, checksum = struct.unpack("<QI", head)
            if masked_crc(head[:8]) != checksum or size > LONGEST_RECORD:
                yield Event(end=start, is_damaged=True)
                return
            body = file.read(size + 4)
            if len(body) < size + 4:
                return
            start += 16 + size
            yield _event(body, start)


def _event(body: bytes, end: int) -> Event:
    """An event that is what was written: its checksum is looked at when anything of it is kept."""
    try:
        found = _parsed(memoryview(body)[:-4])
    except (ValueError, TypeError, struct.error):  # Bytes where a number should be, or the other way round, too.
        return Event(end=end, is_damaged=True)
    is_kept = found.numbers or found.texts or found.hyperparameters
    if is_kept and masked_crc(body[:-4]) != struct.unpack("<I", body[-4:])[0]:
        return Event(end=end, is_damaged=True)
    found.end = end
    return found


def _parsed(message: memoryview) -> Event:
    event = Event()
    for number, value in fields(message):
        if number == 1:
            (event.moment,) = struct.unpack("<d", value)
        elif number == 2:
            event.step = _signed(value)
        elif number == 5:
            for inner, one in fields(value):
                if inner == 1:
                    _add(event, one)
    return event


def _add(event: Event, message: memoryview) -> None:
    """Add a value of a summary."""
    found: dict[int, Any] = dict(fields(message))
    tag = bytes(found.get(1, b"")).decode()
    if tag == HYPERPARAMETERS:
        event.hyperparameters = _hyperparameters(found.get(9, b""))
    elif tag.startswith(ASIDE):
        return
    elif 2 in found:
        (event.numbers[tag],) = struct.unpack("<f", found[2])
    elif 8 in found and (value := _tensor(found[8])) is not None:
        if isinstance(value, str):
            event.texts[tag.removesuffix("/text_summary")] = value
        else:
            event.numbers[tag] = value
    else:
        event.skipped += 1


# --- Tensors of one element ---

NUMBERS: Final = {1: "f", 2: "d", 3: "i", 4: "B", 5: "h", 6: "b", 9: "q", 10: "?", 17: "H", 19: "e", 22: "I", 23: "Q"}
"""Kinds of elements, as `struct` names them."""

TEXT: Final = 7
LISTS: Final = {5: "f", 6: "d", 7: None, 10: None, 11: None}
"""Fields that hold elements one by one: packed numbers by their kind, or packed varints."""


def _tensor(message: memoryview) -> float | str | None:
    """Its element, if it has one and that is a number or a text."""
    parts: dict[int, list[Any]] = {}
    for number, value in fields(message):
        parts.setdefault(number, []).append(value)
    kind, content = parts.get(1, [0])[-1], bytes(parts.get(4, [b""])[-1])
    if any(size != 1 for shape in parts.get(2, ()) for size in _sizes(shape)):
        return None
    if kind == TEXT:
        texts = parts.get(8, ())
        return bytes(texts[0]).decode() if len(texts) == 1 else None
    if content and kind in NUMBERS:
        return float(struct.unpack(f"<{NUMBERS[kind]}", content)[0])
    listed = [each for number, code in LISTS.items() for part in parts.get(number, ()) for each in _listed(part, code)]
    return listed[0] if len(listed) == 1 else None


def _sizes(shape: Any) -> Iterator[int]:
    return (_signed(size) for dimension in _all(shape, 2) for size in _all(dimension, 1))


def _listed(value: Any, kind: str | None) -> list[float]:
    if isinstance(value, int):
        return [float(_signed(value))]
    if kind is not None:
        return [each[0] for each in struct.iter_unpack(f"<{kind}", value)]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(float(_signed(number)))
    return found


# --- Hyperparameters, as the plugin of that name keeps them ---


def _hyperparameters(metadata: Any) -> dict[str, Any]:
    """Of a summary's metadata: plugin data, in it the session's start, in it a map of texts to values."""
    found: dict[str, Any] = {}
    for content in (each for data in _all(metadata, 1) for each in _all(data, 2)):
        for start in _all(content, 3):
            for entry in _all(start, 1):
                pair = dict(fields(entry))
                found[bytes(pair.get(1, b"")).decode()] = _value(pair.get(2, b""))
    return found


def _all(message: Any, wanted: int) -> Iterator[Any]:
    return (value for number, value in fields(message) if number == wanted)


def _value(message: Any) -> Any:
    """A `google.protobuf.Value` that holds no other."""
    for number, value in fields(message):
        if number == 2:
            return struct.unpack("<d", value)[0]
        if number == 3:
            return bytes(value).decode()
        if number == 4:
            return bool(value)
    return None


# --- Protobuf and checksums ---


def fields(message: Any) -> Iterator[Field]:
    """The numbers and raw values of a message's fields.

    Raises:
        ValueError: it is none.
    """
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        wire, number = key & 7, key >> 3
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        size, at = _varint(message, at) if wire == 2 else ({1: 8, 5: 4}.get(wire, -1), at)
        if size < 0 or at + size > end:
            raise ValueError("no message")
        yield number, message[at : at + size]
        at += size


def _varint(message: Any, at: int) -> tuple[int, int]:
    found = shift = 0
    while shift < 70:
        if at >= len(message):
            raise ValueError("no message")
        byte = message[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return found, at
        shift += 7
    raise ValueError("no message")


def _signed(number: int) -> int:
    number &= (1 << 64) - 1
    return number - (1 << 64) if number >> 63 else number


def _table() -> array[int]:
    found = array("L")
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        found.append(crc)
    return found


_CRC: Final = _table()


def masked_crc(data: bytes) -> int:
    """CRC-32C, turned and shifted, so that a checksum of checksums is one."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + MASK) & 0xFFFFFFFF
