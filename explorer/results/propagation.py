"""How the signal and its gradient travel through a net that was not trained yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.results.arrays import band, listed
from explorer.results.common import Floats
from explorer.results.statistics import Statistics, kept_statistics

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Propagation:
    """Size of the signal and of its gradient from the image to the last unit.

    Attributes:
        n_images: In the batch.
        fresh: Whether each row is the net with fresh weights of another seed; else there is one
            row, of the weights the net had.
        positions: ``input``, ``stem``, then the units in forward order.
        variance: (seeds, positions), of what flows there, over images and entries.
        gradient: (seeds, positions): √mean((∂ℓ_i/∂y_i)²) over images i and entries of y, the
            signal there; ℓ_i is the loss of image i. As batch norm couples the images, it is
            n · ∂L/∂y, with L the batch's mean loss.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    n_images: int
    fresh: bool
    positions: tuple[str, ...]
    variance: Floats
    gradient: Floats
    statistics: Statistics | None = None

    @property
    def seeds(self) -> int:
        return len(self.variance)

    def to_frame(self) -> pd.DataFrame:
        """A row a position: median over seeds, least and greatest."""
        import pandas as pd

        columns: dict[str, Any] = {"position": list(self.positions)}
        for name, values in (("variance", self.variance), ("gradient_rms", self.gradient)):
            low, middle, high = band(values)
            columns |= {name: middle, f"{name}_least": low, f"{name}_greatest": high}
        return pd.DataFrame(columns)

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "fresh": self.fresh,
            "seeds": self.seeds,
            "positions": list(self.positions),
            "variance": listed(self.variance),
            "gradient": listed(self.gradient),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Propagation:
        return cls(
            net=value["net"],
            data=value["data"],
            statistics=kept_statistics(value),
            n_images=int(value["n_images"]),
            fresh=bool(value["fresh"]),
            positions=tuple(value["positions"]),
            variance=np.asarray(value["variance"], dtype=np.float64),
            gradient=np.asarray(value["gradient"], dtype=np.float64),
        )
