"""What all results share: the type of their columns, and the interval of a share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
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


def intervals(accuracy: Floats, n: Floats | int) -> Floats:
    """(…, 2): 95 % Wilson intervals of shares measured on ``n`` images each."""
    counts = np.broadcast_to(np.asarray(n), accuracy.shape)
    pairs = [
        wilson_interval(float(a), int(m)) for a, m in zip(accuracy.flat, counts.flat, strict=True)
    ]
    return np.asarray(pairs, dtype=np.float64).reshape(*accuracy.shape, 2)


def only_guesses(accuracy: float, n: int, chance: float) -> bool:
    """Whether an accuracy on ``n`` images cannot be told from guessing."""
    low, _ = wilson_interval(accuracy, n)
    return low <= chance
