"""How much each unit changes its input, and which way (Jastrzebski18; He16 §4.2)."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.instruments.contract import Column, Result, grouped
from explorer.results.common import Floats
from explorer.results.statistics import Statistics


@dataclass(frozen=True)
class BranchResponses(Result):
    """How large each unit's F is, which way it points, and what the last ReLU cuts.

    h is the unit's input and F what is added to it: the residual branch as it is added, or, of a
    highway unit, y − h = T(h)·(H(h) − h).

    Attributes:
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
        units: Units with a shortcut, in forward order.
        ratio: Mean over images of ‖F(h)‖ / ‖h‖ (Jastrzebski18).
        ratio_sd: Standard deviation over images.
        cosine: Mean over images of cos(F(h), ∂ℓ/∂h), ℓ the image's own loss: below 0 F steps
            down the loss (Jastrzebski18). NaN where F and h differ in shape.
        cosine_sd: Standard deviation over images.
        cut: Share of negative entries before the ReLU that follows the addition (it sets them to
            0); NaN where none follows.
    """

    columns = (
        Column("unit", of="units"),
        Column("ratio", "‖F‖/‖h‖"),
        Column("ratio_sd", "± sd", digits=2),
        Column("cosine", "cos(F, ∂ℓ/∂h)", digits=3),
        Column("cosine_sd", "its sd", digits=2),
        Column("cut", unit="%", digits=1),
    )
    together = grouped("units", "ratio", "ratio_sd", "cosine", "cosine_sd", "cut", name="units")

    net: str
    data: str
    n_images: int
    statistics: Statistics | None
    units: tuple[str, ...]
    ratio: Floats
    ratio_sd: Floats
    cosine: Floats
    cosine_sd: Floats
    cut: Floats
