"""How strongly each layer of a dense net uses each earlier one (Huang16 Fig 5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.instruments.contract import Column, Result
from explorer.results.common import Floats


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
class FeatureReuse(Result):
    """The blocks' maps of a dense net.

    Attributes:
        scaled: Whether each weight counts times the scale |γ| of the batch norm before it.
    """

    columns = (
        Column("block"),
        Column("source"),
        Column("maps"),
        Column("target", "used by"),
        Column("mean_abs_weight", "mean |w|"),
    )

    net: str
    scaled: bool
    blocks: tuple[ReuseBlock, ...]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """One for each source and target that are connected."""
        for block in self.blocks:
            for t, target in enumerate(block.targets):
                for s, (source, maps) in enumerate(zip(block.sources, block.maps, strict=True)):
                    if np.isfinite(block.weight[s, t]):
                        yield block.name, source, maps, target, float(block.weight[s, t])
