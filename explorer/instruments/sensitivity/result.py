"""How much a change moves a residual branch, and how much the whole map that it is part of."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.instruments.contract import Column, Result
from explorer.results.common import Floats
from explorer.results.statistics import Statistics


@dataclass(frozen=True)
class Sensitivity(Result):
    """The worked example in a net, unit by unit: H(x) = shortcut + F(x), before any ReLU after it.

    ``amplification`` is the worked example's: where the wanted output of a unit moves by a small
    share of it, F must move by so many times that share. ``residual_change`` and
    ``output_change`` are what happens when instead the unit's *input* moves.

    Attributes:
        nudge: ‖Δx‖ / ‖x‖ of the inputs' random change.
        units: Units with a shortcut, in forward order. Values are NaN where F is exactly 0.
        amplification: (units, 3): median over images of ‖H(x)‖ / ‖F(x)‖, 10 % and 90 % percentile.
        residual_change: (units, 3): likewise ‖F(x + Δx) − F(x)‖ / ‖F(x)‖.
        output_change: (units, 3): likewise ‖H(x + Δx) − H(x)‖ / ‖H(x)‖.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    columns = (
        Column("unit", of="units"),
        Column("amplification", "‖H‖ / ‖F‖", digits=3, at=0),
        Column("amplification_low_10", "middle 80 % from", digits=3, of="amplification", at=1),
        Column("amplification_high_90", "to", digits=3, of="amplification", at=2),
        Column("residual_change", "F moves", unit="%", digits=2, at=0),
        Column("residual_change_low_10", shown=False, of="residual_change", at=1),
        Column("residual_change_high_90", shown=False, of="residual_change", at=2),
        Column("output_change", "H moves", unit="%", digits=2, at=0),
        Column("output_change_low_10", shown=False, of="output_change", at=1),
        Column("output_change_high_90", shown=False, of="output_change", at=2),
    )

    net: str
    data: str
    n_images: int
    nudge: float
    units: tuple[str, ...]
    amplification: Floats
    residual_change: Floats
    output_change: Floats
    statistics: Statistics | None = None
