"""Gradient magnitude: by layer, and of fresh nets against depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from explorer.results.common import Floats, floats
from explorer.results.statistics import Statistics, kept_statistics

if TYPE_CHECKING:
    import pandas as pd

Of = Literal["parameters", "outputs"]


@dataclass(frozen=True)
class LayerGradients:
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

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            {
                "layer": list(self.layers),
                "depth_index": list(self.depth_index),
                "parameter_rms": self.parameter_rms,
            }
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "loss": self.loss,
            "layers": [
                {"name": n, "depth_index": d, "parameter_rms": float(v)}
                for n, d, v in zip(self.layers, self.depth_index, self.parameter_rms, strict=True)
            ],
            "units": [
                {"name": n, "output_rms": float(v)}
                for n, v in zip(self.units, self.output_rms, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LayerGradients:
        return cls(
            net=value["net"],
            data=value["data"],
            statistics=kept_statistics(value),
            n_images=int(value["n_images"]),
            loss=float("nan") if value["loss"] is None else float(value["loss"]),
            layers=tuple(row["name"] for row in value["layers"]),
            depth_index=tuple(int(row["depth_index"]) for row in value["layers"]),
            parameter_rms=floats(row["parameter_rms"] for row in value["layers"]),
            units=tuple(row["name"] for row in value["units"]),
            output_rms=floats(row["output_rms"] for row in value["units"]),
        )


@dataclass(frozen=True)
class InitGradient:
    """One fresh net of a sweep; scales as in :class:`LayerGradients`.

    Attributes:
        family: The net's name with N for its depth: ``resnet_v2_N``.
        first_layer, last_layer: parameter_rms of the first and the last layer that count as depth.
        first_unit, last_unit: output_rms of the first and the last unit.
    """

    family: str
    depth: int
    batch_norm: bool
    seed: int
    loss: float
    first_layer: float
    last_layer: float
    first_unit: float
    last_unit: float

    def scale(self, of: Of) -> float:
        """What is drawn against depth: the first layer's gradient, or first unit ÷ last unit."""
        if of == "parameters":
            return self.first_layer
        return self.first_unit / self.last_unit if self.last_unit > 0 else float("nan")


def _padding(family: str) -> str:
    _, given, rest = family.partition(";padding=")
    if family.startswith("fc_"):
        return "no"
    return rest.partition(";")[0] if given else "zeros"


@dataclass(frozen=True)
class GradientsAtInit:
    """Gradients of fresh nets against depth, family by family, with and without batch norm.

    Attributes:
        n_images: Of the one batch that every net saw.
        rows: In the order measured: one for each family, depth, choice of norm, and seed.
    """

    data: str
    n_images: int
    rows: tuple[InitGradient, ...]

    @property
    def statistics(self) -> Statistics | None:
        """``batch`` where there is batch norm, as in a training step."""
        return "batch" if any(row.batch_norm for row in self.rows) else None

    @property
    def padding(self) -> str:
        """What the convolutions of all families pad with; empty where they do not agree."""
        found = {_padding(row.family) for row in self.rows}
        return found.pop() if len(found) == 1 else ""

    def short(self, family: str) -> str:
        """A family's name without the padding, where all families have the same."""
        return family.replace(f";padding={self.padding}", "") if self.padding else family

    def curves(
        self, of: Of = "parameters"
    ) -> dict[tuple[str, bool], tuple[Floats, Floats, Floats, Floats]]:
        """By (family, batch norm): depths, and over the seeds the median, least and greatest."""
        grouped: dict[tuple[str, bool], dict[int, list[float]]] = {}
        for row in self.rows:
            by_depth = grouped.setdefault((row.family, row.batch_norm), {})
            by_depth.setdefault(row.depth, []).append(row.scale(of))
        curves = {}
        for key, by_depth in grouped.items():
            depths = sorted(by_depth)
            values = [by_depth[depth] for depth in depths]
            curves[key] = (
                np.asarray(depths, np.float64),
                np.asarray([np.median(v) for v in values], np.float64),
                np.asarray([np.min(v) for v in values], np.float64),
                np.asarray([np.max(v) for v in values], np.float64),
            )
        return curves

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame([vars(row) for row in self.rows])

    def to_json(self) -> dict[str, Any]:
        return {
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "rows": [dict(vars(row)) for row in self.rows],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> GradientsAtInit:
        def row(given: dict[str, Any]) -> InitGradient:
            known: dict[str, Any] = {k: float("nan") if v is None else v for k, v in given.items()}
            return InitGradient(**known)

        rows = tuple(row(given) for given in value["rows"])
        return cls(value["data"], int(value["n_images"]), rows)
