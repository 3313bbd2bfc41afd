"""Points of one series of floats, as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

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
