"""How the signal and its gradient travel through a net that was not trained yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.instruments.contract import Column, Result
from explorer.results.arrays import band
from explorer.results.common import Floats
from explorer.results.statistics import Statistics


@dataclass(frozen=True)
class Propagation(Result):
    """Size of the signal and of its gradient from the image to the last unit.

    Attributes:
        n_images: In the batch.
        fresh: Whether each row is the net with fresh weights of another seed; else there is one
            row, of the weights the net had.
        seeds: So many rows.
        positions: ``input``, ``stem``, then the units in forward order.
        variance: (seeds, positions), of what flows there, over images and entries.
        gradient: (seeds, positions): √mean((∂ℓ_i/∂y_i)²) over images i and entries of y, the
            signal there; ℓ_i is the loss of image i. As batch norm couples the images, it is
            n · ∂L/∂y, with L the batch's mean loss.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    columns = (
        Column("position", "after", of="positions"),
        Column("variance", of="over_seeds", at=0),
        Column("variance_least", "least variance", of="over_seeds", at=1),
        Column("variance_greatest", "greatest variance", of="over_seeds", at=2),
        Column("gradient_rms", "RMS of the gradient", of="over_seeds", at=3),
        Column("gradient_rms_least", "least RMS", of="over_seeds", at=4),
        Column("gradient_rms_greatest", "greatest RMS", of="over_seeds", at=5),
    )

    net: str
    data: str
    n_images: int
    fresh: bool
    seeds: int
    positions: tuple[str, ...]
    variance: Floats
    gradient: Floats
    statistics: Statistics | None = None

    @property
    def over_seeds(self) -> Floats:
        """(positions, 6): median, least and greatest of the variance, then of the gradient."""
        least, middle, most = band(self.variance)
        low, slope, high = band(self.gradient)
        return np.stack([middle, least, most, slope, low, high], axis=1)
