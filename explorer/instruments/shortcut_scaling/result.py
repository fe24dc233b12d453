"""The gradient at the first unit's input with every shortcut λ·x (He16 Eq 8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.instruments.contract import Column, Result, grouped
from explorer.results.common import Floats
from explorer.results.statistics import Statistics


@dataclass(frozen=True)
class ShortcutScaling(Result):
    """The gradient at the first unit's input when every shortcut is λ·x (He16 Eq 8).

    Norms, as of the gradient's two terms, are divided by that of what the same shortcuts would
    hand on of ∂E/∂x_L with λ = 1.

    Attributes:
        n_units: L, the shortcuts that the gradient passes.
        scale: λ, one for each fresh net, in the order measured.
        theory: λ^L, what Eq 8 says of the direct term.
        direct: Of ∂E/∂x_0's direct term, measured.
        whole: Of all of ∂E/∂x_0.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    columns = (
        Column("scale", "λ"),
        Column("theory", "λ^L (Eq 8)"),
        Column("direct", "direct, measured"),
        Column("whole", "whole, measured"),
    )
    together = grouped("scales", "scale", "theory", "direct", "whole")

    net: str
    data: str
    n_images: int
    n_units: int
    scale: Floats
    theory: Floats
    direct: Floats
    whole: Floats
    statistics: Statistics | None = None

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """From the least λ to the greatest."""
        values = np.stack([self.scale, self.theory, self.direct, self.whole], axis=1)
        return map(tuple, values[np.argsort(self.scale)].tolist())


def by_eq_8(scale: Floats, n_units: int) -> Floats:
    """λ^L."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(scale**n_units, np.float64)
