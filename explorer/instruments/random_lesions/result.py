"""Accuracy with more and more blocks deleted at random."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.instruments.contract import Column
from explorer.instruments.lesion_results import ACCURACY, LesionStudy
from explorer.results.common import Floats


@dataclass(frozen=True, kw_only=True)
class LesionBand(LesionStudy):
    """Accuracy against the number of units deleted at random (Veit16 Fig 5a).

    Attributes:
        deleted: Of each trial the units in the order in which they went: k deletions are the
            first k.
        accuracy: (trials, K): with 1 … K units deleted.
    """

    # One row for each trial and k; ``unit`` is the last one deleted.
    columns = (Column("trial"), Column("k"), Column("unit", "last deleted"), *ACCURACY)

    deleted: tuple[tuple[str, ...], ...]

    @property
    def k(self) -> Floats:
        """1 … K."""
        return np.arange(1, self.accuracy.shape[1] + 1, dtype=np.float64)

    def quantiles(self, *shares: float) -> Floats:
        """(len(shares), K): over the trials."""
        return np.asarray(np.quantile(self.accuracy, shares, axis=0))

    def programs(self) -> Iterator[tuple[Any, ...]]:
        for trial, units in enumerate(self.deleted, start=1):
            for k, unit in enumerate(units, start=1):
                yield trial, k, unit
