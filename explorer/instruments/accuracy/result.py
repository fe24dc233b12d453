"""How often a net is right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.instruments.contract import Column, Result
from explorer.results.common import Floats, Split, wilson_interval
from explorer.results.statistics import Statistics

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Accuracy(Result):
    """Right answers of a net, in all and by class.

    Attributes:
        of_class: Images of each class.
        right: (classes,): of these, those whose first answer is right.
        right_of_five: (classes,): those with the right one among the first five answers.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    columns = (
        Column("class"),
        Column("images"),
        Column("accuracy", unit="%", digits=2, bar=True),
        Column("low_95", "95 % from", unit="%", digits=2),
        Column("high_95", "to", unit="%", digits=2),
        Column("top_5", "among five", unit="%", digits=2),
    )
    also = ("n_images", "accuracy", "top_5", "low_95", "high_95")

    net: str
    data: str
    images: Split
    of_class: Counts
    right: Counts
    right_of_five: Counts
    statistics: Statistics | None = None

    @property
    def n_images(self) -> int:
        return int(self.of_class.sum())

    @property
    def accuracy(self) -> float:
        """Share of all images, in [0, 1]."""
        return float(self.right.sum() / self.n_images)

    @property
    def top_5(self) -> float:
        """Share of all images, in [0, 1]."""
        return float(self.right_of_five.sum() / self.n_images)

    @property
    def low_95(self) -> float:
        return wilson_interval(self.accuracy, self.n_images)[0]

    @property
    def high_95(self) -> float:
        return wilson_interval(self.accuracy, self.n_images)[1]

    def shares(self) -> tuple[Floats, Floats]:
        """Accuracy of each class, and among five answers; NaN without images."""
        n = np.where(self.of_class > 0, self.of_class, 1)
        none = np.where(self.of_class > 0, 0.0, np.nan)
        return self.right / n + none, self.right_of_five / n + none

    def intervals(self) -> Floats:
        """(classes, 2): 95 % Wilson intervals of each class's accuracy; NaN without images."""
        nothing = (float("nan"), float("nan"))
        return np.asarray(
            [
                wilson_interval(int(right) / int(n), int(n)) if n else nothing
                for right, n in zip(self.right, self.of_class, strict=True)
            ]
        )

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """A row a class."""
        right, of_five = (share.tolist() for share in self.shares())
        low, high = self.intervals().T.tolist()
        numbers = range(len(self.of_class))
        return zip(numbers, self.of_class.tolist(), right, low, high, of_five, strict=True)
