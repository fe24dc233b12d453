"""How strongly each layer of a dense net uses each earlier one (Huang16 Fig 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.results.arrays import listed
from explorer.results.common import Floats

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ReuseBlock:
    """One dense block.

    Attributes:
        name: ``block 1``.
        sources: What can be used: ``input`` (of the block), then its units.
        maps: How many maps each source gives.
        targets: What uses it: the block's units, then the transition or the classifier (its
            module's name).
        weight: (sources, targets): mean |w| over the weights from the source's maps to all maps
            of the target; NaN where the target does not see the source.
    """

    name: str
    sources: tuple[str, ...]
    maps: tuple[int, ...]
    targets: tuple[str, ...]
    weight: Floats

    def relative(self) -> Floats:
        """Each column divided by its greatest entry: 1 is the source that the target uses most."""
        greatest = np.nanmax(self.weight, axis=0)
        return np.asarray(self.weight / np.where(greatest > 0, greatest, 1.0), dtype=np.float64)


@dataclass(frozen=True)
class FeatureReuse:
    """The blocks' maps of a dense net.

    Attributes:
        scaled: Whether each weight counts times the scale |γ| of the batch norm before it.
    """

    net: str
    scaled: bool
    blocks: tuple[ReuseBlock, ...]

    def to_frame(self) -> pd.DataFrame:
        """A row for each source and target that are connected."""
        import pandas as pd

        rows = [
            {
                "block": block.name,
                "source": source,
                "maps": maps,
                "target": target,
                "mean_abs_weight": float(block.weight[s, t]),
            }
            for block in self.blocks
            for t, target in enumerate(block.targets)
            for s, (source, maps) in enumerate(zip(block.sources, block.maps, strict=True))
            if np.isfinite(block.weight[s, t])
        ]
        return pd.DataFrame(rows)

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "scaled": self.scaled,
            "blocks": [
                {
                    "name": block.name,
                    "sources": list(block.sources),
                    "maps": list(block.maps),
                    "targets": list(block.targets),
                    "weight": listed(block.weight),
                }
                for block in self.blocks
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FeatureReuse:
        blocks = tuple(
            ReuseBlock(
                name=block["name"],
                sources=tuple(block["sources"]),
                maps=tuple(int(n) for n in block["maps"]),
                targets=tuple(block["targets"]),
                weight=np.asarray(block["weight"], dtype=np.float64),  # None becomes NaN
            )
            for block in value["blocks"]
        )
        return cls(net=value["net"], scaled=bool(value["scaled"]), blocks=blocks)
