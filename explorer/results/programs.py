"""Accuracy of one program."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from explorer.results.common import Floats
from explorer.results.statistics import Statistics


@dataclass(frozen=True)
class ProgramResult:
    """Accuracy of a net whose units were applied in another order or left out.

    Attributes:
        program: Names of the units in the order applied.
        per_class: Accuracy of each class; NaN (null in JSON) for a class without images.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    n_images: int
    program: tuple[str, ...]
    accuracy: float
    per_class: Floats
    statistics: Statistics | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "program": list(self.program),
            "accuracy": self.accuracy,
            "per_class": [None if math.isnan(v) else float(v) for v in self.per_class],
        }
