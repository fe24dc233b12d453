"""How strongly each layer answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.instruments.contract import Column, Result, grouped
from explorer.results.common import Floats
from explorer.results.statistics import Statistics


@dataclass(frozen=True)
class LayerResponses(Result):
    """Standard deviation of each layer's response (He15 Fig 7).

    Attributes:
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
        layers: Layers that count as depth, but the classifier, in forward order.
        depth_index: Their positions as the paper counts depth, from 1.
        sd: √( mean(r²) − mean(r)² ) over all images and entries of the response r: the layer's
            output after its batch norm (where one follows at once), before activation and
            addition.
    """

    columns = (
        Column("layer", of="layers"),
        Column("depth_index", "depth"),
        Column("sd", bar=True),
        Column("rank"),
    )
    together = grouped("layers", "depth_index", "sd", name="layers")

    net: str
    data: str
    n_images: int
    statistics: Statistics | None
    layers: tuple[str, ...]
    depth_index: tuple[int, ...]
    sd: Floats

    @property
    def rank(self) -> list[int]:
        """Of each layer's sd; 1 is the greatest."""
        return [int(place) + 1 for place in np.argsort(np.argsort(-self.sd))]

    def sorted(self) -> Floats:
        """From the greatest to the least, as in the lower half of Fig 7."""
        return np.asarray(np.sort(self.sd)[::-1], np.float64)
