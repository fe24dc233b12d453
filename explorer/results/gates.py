"""Gates by unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.results.common import Floats

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class GateMeans:
    """Transform gates T(x) by unit (SGS15 Fig 2).

    Attributes:
        mean: Mean of T over images and entries, in (0, 1), one per gated unit.
        sd: Standard deviation over images and entries.
        bias: Mean of b_T of each unit.
    """

    net: str
    data: str
    n_images: int
    units: tuple[str, ...]
    mean: Floats
    sd: Floats
    bias: Floats

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            {"unit": list(self.units), "mean": self.mean, "sd": self.sd, "bias": self.bias}
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "units": [
                {"name": n, "mean": float(m), "sd": float(s), "bias": float(b)}
                for n, m, s, b in zip(self.units, self.mean, self.sd, self.bias, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> GateMeans:
        rows = value["units"]
        return cls(
            net=value["net"],
            data=value["data"],
            n_images=int(value["n_images"]),
            units=tuple(row["name"] for row in rows),
            mean=np.asarray([row["mean"] for row in rows], dtype=np.float64),
            sd=np.asarray([row["sd"] for row in rows], dtype=np.float64),
            bias=np.asarray([row["bias"] for row in rows], dtype=np.float64),
        )
