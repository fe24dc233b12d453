"""What units' maps look like for one image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.instruments.activations.ask import Part
from explorer.instruments.contract import Column, Result
from explorer.results.common import Floats
from explorer.results.statistics import Statistics


@dataclass(frozen=True, eq=False)
class UnitMaps:
    """Some maps of one unit.

    Attributes:
        shape: (channels, height, width) of all its maps.
        channels: Positions of those kept, in the order in which they are drawn.
        maps: (kept, h, w). Where a map has more than 64 pixels a side, each value is the mean of a
            block of them.
        magnitude: Mean of |activation| over positions, of every channel.
        negative: Share of all its activations that are below 0.
    """

    name: str
    shape: tuple[int, int, int]
    channels: tuple[int, ...]
    maps: Floats
    magnitude: Floats
    negative: float


@dataclass(frozen=True, eq=False)
class ActivationMaps(Result):
    """Maps of some units for one image.

    Attributes:
        image: ``test image 12``, or the file's name.
        part: What of each unit: its output, what its own layers add, or what passes it by.
        deleted: Units that were left out.
        picture: uint8 (H, W, C), as the net sees it.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    columns = (
        Column("unit", "block"),
        Column("channel"),
        Column("magnitude", "mean |activation|"),
        Column("kept", "drawn"),
    )

    net: str
    data: str
    image: str
    part: Part
    deleted: tuple[str, ...]
    picture: NDArray[np.uint8]
    units: tuple[UnitMaps, ...]
    statistics: Statistics | None = None

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """One for each unit and channel: its mean magnitude, and whether its map is kept."""
        for unit in self.units:
            for channel, magnitude in enumerate(unit.magnitude.tolist()):
                yield unit.name, channel, magnitude, channel in unit.channels
