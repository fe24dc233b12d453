"""What units' maps look like for one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from explorer.results.attribution import from_png, to_png
from explorer.results.common import Floats
from explorer.results.statistics import Statistics, kept_statistics

if TYPE_CHECKING:
    import pandas as pd

Part = Literal["output", "branch", "shortcut"]
PARTS: tuple[Part, ...] = get_args(Part)
Channels = Literal["strongest", "first"]
CHANNELS: tuple[Channels, ...] = get_args(Channels)


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

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "shape": list(self.shape),
            "channels": list(self.channels),
            "maps": self.maps.tolist(),
            "magnitude": self.magnitude.tolist(),
            "negative": self.negative,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> UnitMaps:
        channels, height, width = value["shape"]
        return cls(
            name=value["name"],
            shape=(channels, height, width),
            channels=tuple(value["channels"]),
            maps=np.asarray(value["maps"], dtype=np.float64),
            magnitude=np.asarray(value["magnitude"], dtype=np.float64),
            negative=float(value["negative"]),
        )


@dataclass(frozen=True, eq=False)
class ActivationMaps:
    """Maps of some units for one image; see :mod:`explorer.probes.activations`.

    Attributes:
        image: ``test image 12``, or the file's name.
        part: What of each unit: its output, what its own layers add, or what passes it by.
        deleted: Units that were left out.
        picture: uint8 (H, W, C), as the net sees it.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    image: str
    part: Part
    deleted: tuple[str, ...]
    picture: NDArray[np.uint8]
    units: tuple[UnitMaps, ...]
    statistics: Statistics | None = None

    def to_frame(self) -> pd.DataFrame:
        """One line for each unit and channel: the mean magnitude, and whether its map is kept."""
        import pandas as pd

        sizes = [len(unit.magnitude) for unit in self.units]
        return pd.DataFrame(
            {
                "net": self.net,
                "unit": np.repeat([unit.name for unit in self.units], sizes),
                "channel": np.concatenate([np.arange(n) for n in sizes]),
                "magnitude": np.concatenate([unit.magnitude for unit in self.units]),
                "kept": np.concatenate(
                    [np.isin(np.arange(len(u.magnitude)), u.channels) for u in self.units]
                ),
            }
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "statistics": self.statistics,
            "image": self.image,
            "part": self.part,
            "deleted": list(self.deleted),
            "picture": to_png(self.picture),
            "units": [unit.to_json() for unit in self.units],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ActivationMaps:
        return cls(
            net=value["net"],
            data=value["data"],
            statistics=kept_statistics(value),
            image=value["image"],
            part=value["part"],
            deleted=tuple(value["deleted"]),
            picture=from_png(value["picture"]),
            units=tuple(UnitMaps.from_json(unit) for unit in value["units"]),
        )
