"""Gates by unit: their mean, and how their values are spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from explorer.instruments.contract import Column, Result, grouped
from explorer.results.common import Floats
from explorer.results.statistics import Statistics
from explorer.structure.blueprint import GateKind


@dataclass(frozen=True)
class GateMeans(Result):
    """Gates by unit (SGS15 Fig 2), and how their values are spread over images and entries.

    What a training records, and what cards of shipped weights hold, is without the spread.

    Attributes:
        units: Those with a gate, in forward order.
        mean: Mean of the gate over images and entries, in (0, 1), one per gated unit.
        sd: Standard deviation over images and entries.
        bias: Mean of the bias of each unit's gate.
        gate: ``transform``: T(x) of a highway unit. ``shortcut``: g(x) of a gated shortcut (He16
            §3.1). Both are what the shortcut loses: it passes on 1 − T, 1 − g.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
        levels: Shares below the quantiles, ascending, in (0, 1).
        quantiles: (units, levels), exact to within 0.01 of a logit.
        edges: Of the histogram's bins, from 0 to 1.
        share: (units, bins): share of the values in each bin; each row sums to 1.
    """

    columns = (
        Column("unit", "block", of="units"),
        Column("mean", digits=3, bar=1.0),
        Column("sd", digits=3),
        Column("bias", "mean bias", digits=3),
    )
    together = grouped("units", "mean", "sd", "bias", name="units")
    left_out = ("levels", "quantiles", "edges", "share")

    net: str
    data: str
    n_images: int
    units: tuple[str, ...]
    mean: Floats
    sd: Floats
    bias: Floats
    gate: GateKind = "transform"
    statistics: Statistics | None = None
    levels: Floats | None = None
    quantiles: Floats | None = None
    edges: Floats | None = None
    share: Floats | None = None

    def more_columns(self) -> Mapping[str, Any]:
        """The quantiles, where they are known: ``q5``, ``q25``, ``q50``, …"""
        if self.levels is None or self.quantiles is None:
            return {}
        names = [f"q{100 * level:g}" for level in self.levels]
        return dict(zip(names, self.quantiles.T, strict=True))
