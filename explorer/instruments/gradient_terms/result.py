"""What of the gradient comes by the shortcuts alone, and what by the branches (He16)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.instruments.contract import Column, Result, grouped
from explorer.results.common import Floats
from explorer.results.statistics import Statistics


@dataclass(frozen=True)
class GradientTerms(Result):
    """The two terms of He16 Eq 5 at the input x_l of every unit l, as measured.

    ∂E/∂x_l = ∂E/∂x_L · (∏ shortcuts) + ∂E/∂x_L · (∂/∂x_l Σ F): the *direct* term, which comes by
    the shortcuts alone (with identity shortcuts it is ∂E/∂x_L itself), and the *residual* term,
    everything that passed at least one branch. A norm is √( (1/N) Σ_i ‖∂ℓ_i/∂x_l‖² ) over the N
    images, ℓ_i the loss of image i.

    Attributes:
        units: In forward order; entry l of the columns is at the input of unit l.
        whole, direct, residual: Norms of the gradient and of its terms.
        cosine: Of the angle between the two terms, over all images and entries; NaN where one is
            zero.
        end: Norm of ∂E/∂x_L, at the last unit's output.
        shortcut_scale: λ, where every shortcut is λ·x (1 for identities); else None.
        unscaled: Where there is a λ: norm of what the same shortcuts would hand on with λ = 1. It
            is ``end``, but for what option A drops where the shape changes, and what a ReLU after
            the addition stops (Eq 8 takes it that there is none).
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    columns = (
        Column("unit", "block", of="units"),
        Column("whole"),
        Column("direct"),
        Column("residual"),
        Column("cosine", digits=3),
        Column("share", "direct ÷ whole", unit="%", digits=1),
        Column("theory", "direct by Eq 8", of="by_eq_8"),
    )
    together = grouped("units", "whole", "direct", "residual", "cosine", name="units")

    net: str
    data: str
    n_images: int
    units: tuple[str, ...]
    whole: Floats
    direct: Floats
    residual: Floats
    cosine: Floats
    end: float
    shortcut_scale: float | None = None
    unscaled: Floats | None = None
    statistics: Statistics | None = None

    @property
    def share(self) -> Floats:
        """Norm of the direct term by that of the whole; NaN where that is 0."""
        return self.direct / np.where(self.whole > 0, self.whole, np.nan)

    @property
    def by_eq_8(self) -> Floats:
        """:meth:`theory`; NaN where there is none."""
        theory = self.theory()
        return np.full(len(self.units), np.nan) if theory is None else theory

    def theory(self) -> Floats | None:
        """The direct term of He16 Eq 8, λ^(L−l) · ``unscaled``; None without one λ."""
        if self.shortcut_scale is None or self.unscaled is None:
            return None
        left = np.arange(len(self.units), 0, -1)
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(self.unscaled * np.float64(self.shortcut_scale) ** left, np.float64)
