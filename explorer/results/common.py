"""What all results share: the type of their columns, and the interval of a share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Split = Literal["test", "train"]
IMAGES: dict[str, str] = {"test": "test images", "train": "training images"}


def floats(values: Iterable[float | None]) -> Floats:
    """A column from JSON, where null stands for what is not a finite number."""
    return np.asarray([math.nan if v is None else v for v in values], dtype=np.float64)


def wilson_interval(correct: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % Wilson score interval of a share measured on ``n`` images (both ends in [0, 1])."""
    if n <= 0:
        return 0.0, 1.0
    share = correct
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)
