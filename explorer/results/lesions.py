"""Accuracy with units deleted or in another order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.results.common import Floats, wilson_interval

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LesionCurve:
    """Accuracy after deleting each single unit (Veit16 Fig 3; SGS15 Fig 4).

    Attributes:
        units: Names of the deleted units, in forward order; only deletable ones.
        accuracy: Share of correct answers in [0, 1], one per unit.
    """

    net: str
    data: str
    n_images: int
    baseline_accuracy: float
    units: tuple[str, ...]
    accuracy: Floats

    def intervals(self) -> Floats:
        """(units, 2): 95 % Wilson intervals."""
        rows = [wilson_interval(float(a), self.n_images) for a in self.accuracy]
        return np.asarray(rows, dtype=np.float64).reshape(-1, 2)

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        low_high = self.intervals()
        return pd.DataFrame(
            {
                "unit": list(self.units),
                "accuracy": self.accuracy,
                "low_95": low_high[:, 0],
                "high_95": low_high[:, 1],
            }
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "baseline_accuracy": self.baseline_accuracy,
            "units": [
                {"name": name, "accuracy": float(a)}
                for name, a in zip(self.units, self.accuracy, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LesionCurve:
        return cls(
            net=value["net"],
            data=value["data"],
            n_images=int(value["n_images"]),
            baseline_accuracy=float(value["baseline_accuracy"]),
            units=tuple(row["name"] for row in value["units"]),
            accuracy=np.asarray([row["accuracy"] for row in value["units"]], dtype=np.float64),
        )


@dataclass(frozen=True)
class ProgramResult:
    """Accuracy of a net whose units were applied in another order or left out.

    Attributes:
        program: Names of the units in the order applied.
        per_class: Accuracy of each class; NaN (null in JSON) for a class without images.
    """

    net: str
    data: str
    n_images: int
    program: tuple[str, ...]
    accuracy: float
    per_class: Floats

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "program": list(self.program),
            "accuracy": self.accuracy,
            "per_class": [None if math.isnan(v) else float(v) for v in self.per_class],
        }
