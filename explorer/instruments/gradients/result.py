"""Gradient magnitude by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from explorer.instruments.contract import Column, Result, grouped
from explorer.instruments.gradient_scales import Of
from explorer.results.common import Floats
from explorer.results.statistics import Statistics


@dataclass(frozen=True)
class LayerGradients(Result):
    """Gradient magnitude by layer on a fixed batch of N images (He15 §4.1; SGS15 §1).

    L = (1/N) Σ ℓ_i is the mean cross-entropy, ℓ_i that of image i. The scales are

    =============== ============================================================================
    parameter_rms   √( Σ (∂L/∂w)² / number of weights ) of one layer's weights w
    output_rms      √( Σ_i Σ (∂ℓ_i/∂y_i)² / (N · entries of y_i) ) of one unit's output y
    first_to_last   median of the first three of these ÷ median of the last three: below 1 the
                    gradient vanishes on its way to the input, above 1 it explodes
    factor_a_layer  exp of the slope of their logarithm: what one layer more (one unit more, of
                    outputs) towards the input multiplies them by, on average
    =============== ============================================================================

    Attributes:
        layers: Weight layers in forward order (blueprint names).
        depth_index: Position as the paper counts depth; 0 for projections and gates.
        units: Unit names in forward order.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    columns = (
        Column("of"),
        Column("kind", "gradient of"),
        Column("depth"),
        Column("rms", "RMS", bar="log"),
    )
    together: ClassVar = {
        **grouped("layers", "depth_index", "parameter_rms", name="layers"),
        **grouped("units", "output_rms", name="units"),
    }

    net: str
    data: str
    n_images: int
    loss: float
    layers: tuple[str, ...]
    depth_index: tuple[int, ...]
    parameter_rms: Floats
    units: tuple[str, ...]
    output_rms: Floats
    statistics: Statistics | None = None

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The weights of every layer, then the output of every unit, which has no depth."""
        depths = [depth or None for depth in self.depth_index]
        for layer, depth, rms in zip(self.layers, depths, self.parameter_rms.tolist(), strict=True):
            yield layer, "weights", depth, rms
        for unit, rms in zip(self.units, self.output_rms.tolist(), strict=True):
            yield unit, "output", None, rms

    def profile(self, of: Of = "parameters") -> Floats:
        """The scale against depth: of the counted layers, or of the units' outputs."""
        if of == "outputs":
            return self.output_rms
        return self.parameter_rms[np.asarray(self.depth_index) > 0]

    def first_to_last(self, of: Of = "parameters") -> float:
        """See above; NaN where a gradient is not finite, or is 0 at the end."""
        values = self.profile(of)
        first, last = float(np.median(values[:3])), float(np.median(values[-3:]))
        return first / last if last > 0 else float("nan")

    def factor_a_layer(self, of: Of = "parameters") -> float:
        """See above; over the scales that are above 0; NaN of fewer than two."""
        values = self.profile(of)
        kept = np.isfinite(values) & (values > 0)
        if kept.sum() < 2:
            return float("nan")
        slope, _ = np.polyfit(np.arange(len(values))[kept], np.log(values[kept]), 1)
        return float(np.exp(-slope))
