"""Points of one series of floats, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

NONE: Final = -(2**63)
"""What stands in a column of steps or times where none was given; no step or time reaches it."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Points in order of arrival: arrays of one length.

    `steps` and `times` hold `NONE` where none was given; times are microseconds since 1970 in UTC. `values` keep
    all 64 bits.
    """

    steps: Ints
    times: Ints
    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    def at(self, which: Ints | Mask | slice) -> Columns:
        """Some of the points, or all in another order."""
        return Columns(self.steps[which], self.times[which], self.values[which])


def together(several: Sequence[Columns]) -> Columns:
    """Points one behind the other."""
    if len(several) == 1:
        return several[0]
    return Columns(
        concatenated([columns.steps for columns in several], np.int64),
        concatenated([columns.times for columns in several], np.int64),
        concatenated([columns.values for columns in several], np.float64),
    )


def concatenated(arrays: Sequence[Any], dtype: Any) -> Any:
    """Arrays one behind the other, of a type that is known of none too."""
    return np.concatenate([np.empty(0, dtype), *arrays])
