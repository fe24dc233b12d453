"""Gradient magnitude by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.results.common import Floats

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LayerGradients:
    """Gradient magnitude by layer on a fixed batch (He15 §4.1; SGS15 §1).

    Attributes:
        layers: Weight layers in forward order (blueprint names).
        depth_index: Position as the paper counts depth; 0 for projections and gates.
        parameter_rms: √mean((∂L/∂w)²) over the weights of each layer, L the mean loss.
        units: Unit names in forward order.
        output_rms: √mean((∂ℓ_i/∂y_i)²) over examples i and entries of each unit's output y.
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
            n_images=int(value["n_images"]),
            loss=float(value["loss"]),
            layers=tuple(row["name"] for row in value["layers"]),
            depth_index=tuple(int(row["depth_index"]) for row in value["layers"]),
            parameter_rms=np.asarray([r["parameter_rms"] for r in value["layers"]], np.float64),
            units=tuple(row["name"] for row in value["units"]),
            output_rms=np.asarray([r["output_rms"] for r in value["units"]], np.float64),
        )
