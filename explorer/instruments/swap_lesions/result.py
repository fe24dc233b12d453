"""Accuracy with every two blocks of one shape swapped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.instruments.contract import Column
from explorer.instruments.lesion_results import ACCURACY, LesionStudy
from explorer.results.common import Floats


@dataclass(frozen=True, kw_only=True)
class SwapLesions(LesionStudy):
    """Accuracy after two units of one shape have changed places.

    Attributes:
        units: All units of the net, in order.
        first, second: Of each swap the positions among ``units``; first < second.
        accuracy: (swaps,).
    """

    columns = (
        Column("first", "block"),
        Column("second", "and"),
        Column("distance", "apart"),
        *ACCURACY,
    )

    units: tuple[str, ...]
    first: tuple[int, ...]
    second: tuple[int, ...]

    def matrix(self) -> Floats:
        """(units, units), symmetric; NaN where no swap was measured, the diagonal is intact."""
        table = np.full((len(self.units),) * 2, np.nan)
        table[self.first, self.second] = table[self.second, self.first] = self.accuracy
        inside = sorted({*self.first, *self.second})
        table[inside, inside] = self.baseline_accuracy
        return table

    def programs(self) -> Iterator[tuple[Any, ...]]:
        for first, second in zip(self.first, self.second, strict=True):
            yield self.units[first], self.units[second], second - first
