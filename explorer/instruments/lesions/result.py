"""Accuracy after deleting each block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from explorer.instruments.contract import Column, grouped
from explorer.instruments.lesion_results import ACCURACY, LesionStudy


@dataclass(frozen=True, kw_only=True)
class LesionCurve(LesionStudy):
    """Accuracy after deleting each single unit (Veit16 Fig 3; SGS15 Fig 4).

    Attributes:
        units: Names of the deleted units, in forward order; only deletable ones.
        accuracy: One per unit.
    """

    columns = (
        Column("unit", "without", of="units"),
        *ACCURACY,
        Column("cost", unit="points", digits=2),
    )
    together = grouped("units", "accuracy", name="units")

    units: tuple[str, ...]

    def programs(self) -> Iterator[tuple[Any, ...]]:
        return zip(self.units)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Also what the deletion costs."""
        costs = (self.baseline_accuracy - self.accuracy).tolist()
        return ((*row, cost) for row, cost in zip(super().rows(), costs, strict=True))
