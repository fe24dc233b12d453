"""The classifier after every unit of the last stage (Jastrzebski18)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.instruments.contract import Column, Result, grouped
from explorer.results.common import Floats, wilson_interval
from explorer.results.statistics import Statistics


@dataclass(frozen=True)
class ClassifierByUnit(Result):
    """The classifier applied to each unit's output of the last stage (Jastrzebski18).

    Attributes:
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
        units: Units whose output the classifier takes, in forward order; the last is the net's.
        accuracy: Share of correct answers in [0, 1].
        loss: Mean cross-entropy.
    """

    columns = (
        Column("unit", "after unit", of="units"),
        Column("accuracy", "right", unit="%", digits=1, bar=True),
        Column("low_95", "95 % interval from", unit="%", digits=1),
        Column("high_95", "to", unit="%", digits=1),
        Column("loss"),
    )
    together = grouped("units", "accuracy", "loss", name="units")

    net: str
    data: str
    n_images: int
    statistics: Statistics | None
    units: tuple[str, ...]
    accuracy: Floats
    loss: Floats

    def intervals(self) -> Floats:
        """(units, 2): 95 % Wilson intervals of the accuracy."""
        rows = [wilson_interval(float(a), self.n_images) for a in self.accuracy]
        return np.asarray(rows, dtype=np.float64).reshape(-1, 2)

    @property
    def low_95(self) -> Floats:
        return self.intervals()[:, 0]

    @property
    def high_95(self) -> Floats:
        return self.intervals()[:, 1]
