"""Where on one image the gates of a convolutional net are open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from explorer.instruments.contract import Column, Result, grouped
from explorer.results.common import Floats
from explorer.results.statistics import Statistics
from explorer.structure.blueprint import GateKind


@dataclass(frozen=True)
class GateImage(Result):
    """A map of each unit's gate over one image.

    Attributes:
        gate: ``transform``: T(x) of highway units. ``shortcut``: g(x) of gated shortcuts.
        image_name: ``test image 3``, or a file's name.
        channel: The channel shown, from 0; None shows the mean over all of them.
        units: Gated units, in forward order.
        maps: Of each unit (height, width), in (0, 1).
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
        picture: uint8 (H, W, C), as the net sees it.
    """

    columns = (
        Column("unit", "block"),
        Column("row"),
        Column("column"),
        Column("gate"),
    )
    together = grouped("units", name="units", map="maps")
    decimals: ClassVar[Mapping[str, int]] = {"maps": 4}

    net: str
    data: str
    gate: GateKind
    image_name: str
    channel: int | None
    units: tuple[str, ...]
    maps: tuple[Floats, ...]
    statistics: Statistics | None = None
    picture: NDArray[np.uint8] | None = None

    @property
    def image(self) -> str:
        return self.image_name

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """One for each unit and place."""
        for unit, values in zip(self.units, self.maps, strict=True):
            for (row, column), value in np.ndenumerate(values):
                yield unit, int(row), int(column), float(value)
