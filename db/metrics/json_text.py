"""Columns of points as finished JSON, at the speed of orjson."""

from __future__ import annotations

import math
from itertools import chain, zip_longest
from typing import Final

import numpy as np
import orjson

from db.metrics.columns import NONE, Floats, Ints, Mask

_NULL: Final = b"null"
_NONE: Final = str(NONE).encode()
_NAN, _INFINITE, _MINUS_INFINITE = b'"NaN"', b'"Infinity"', b'"-Infinity"'


def floats_json(values: Floats) -> bytes:
    """A JSON array from which every double reads back bit for bit (of NaNs, that they are).

    What JSON has no number for are the strings "NaN", "Infinity" and "-Infinity"; zero keeps its sign.
    """
    text = _dumped(values)
    finite = np.isfinite(values)
    if finite.all():
        return text
    words = [_word(value) for value in values[~finite].tolist()]
    return b"".join(chain.from_iterable(zip_longest(text.split(_NULL), words, fillvalue=b"")))


def sparse_json(values: Floats, present: Mask) -> bytes:
    """The same, with null where nothing is present."""
    text = _dumped(np.where(present, values, np.nan))
    odd = ~(present & np.isfinite(values))
    pairs = zip(values[odd].tolist(), present[odd].tolist(), strict=True)
    words = [_word(value) if there else _NULL for value, there in pairs]
    return b"".join(chain.from_iterable(zip_longest(text.split(_NULL), words, fillvalue=b"")))


def finite_json(values: Floats) -> bytes:
    """The same, with null for what is not finite."""
    return _dumped(values)


def ints_json(values: Ints) -> bytes:
    """A JSON array of integers; `NONE` is null."""
    text = _dumped(values)
    return text.replace(_NONE, _NULL) if bool((values == NONE).any()) else text


def _dumped(values: Floats | Ints) -> bytes:
    return orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)


def _word(value: float) -> bytes:
    if math.isnan(value):
        return _NAN
    return _INFINITE if value > 0 else _MINUS_INFINITE
