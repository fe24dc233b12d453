"""How much a change moves a residual branch, and how much the whole map that it is part of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.errors import NotApplicableError
from explorer.results.arrays import listed
from explorer.results.common import Floats
from explorer.results.statistics import Statistics, kept_statistics

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class WorkedExample:
    """A unit that maps ``x`` to ``before`` is asked to map it to ``after`` instead.

    A plain unit's whole output changes: (after − before) / before. A residual unit's branch gives
    F = output − x, a small number, so that the same change is a large share of it:
    (after − before) / (before − x). For 5 → 5.1 → 5.2 that is 2 % against 100 %.

    Raises:
        NotApplicableError: A share of nothing: ``before`` is 0, or equals ``x``.
    """

    x: float = 5.0
    before: float = 5.1
    after: float = 5.2

    def __post_init__(self) -> None:
        if not np.isfinite([self.x, self.before, self.after]).all():
            raise NotApplicableError("The example takes three finite numbers, such as 5 5.1 5.2.")
        if self.before in (0, self.x):
            raise NotApplicableError(
                "The first output must be neither 0 nor the input, for the change is a share of it "
                "and of their difference; try 5 5.1 5.2."
            )

    @property
    def residual_before(self) -> float:
        return self.before - self.x

    @property
    def residual_after(self) -> float:
        return self.after - self.x

    @property
    def plain_change(self) -> float:
        """Share by which the plain map's output changes."""
        return abs((self.after - self.before) / self.before)

    @property
    def residual_change(self) -> float:
        """Share by which F changes."""
        return abs((self.after - self.before) / self.residual_before)

    @property
    def amplification(self) -> float:
        """How many times the plain map's change F's is: |before| / |before − x|."""
        return abs(self.before / self.residual_before)


@dataclass(frozen=True)
class Sensitivity:
    """The same measured in a net, unit by unit: H(x) = shortcut + F(x), before any ReLU after it.

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

    net: str
    data: str
    n_images: int
    nudge: float
    units: tuple[str, ...]
    amplification: Floats
    residual_change: Floats
    output_change: Floats
    statistics: Statistics | None = None

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        columns: dict[str, Any] = {"unit": list(self.units)}
        for name in ("amplification", "residual_change", "output_change"):
            values: Floats = getattr(self, name)
            columns |= {
                name: values[:, 0],
                f"{name}_low_10": values[:, 1],
                f"{name}_high_90": values[:, 2],
            }
        return pd.DataFrame(columns)

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "nudge": self.nudge,
            "units": list(self.units),
            "amplification": listed(self.amplification),
            "residual_change": listed(self.residual_change),
            "output_change": listed(self.output_change),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Sensitivity:
        names = ("amplification", "residual_change", "output_change")
        arrays = {name: np.asarray(value[name], dtype=np.float64).reshape(-1, 3) for name in names}
        return cls(
            net=value["net"],
            data=value["data"],
            statistics=kept_statistics(value),
            n_images=int(value["n_images"]),
            nudge=float(value["nudge"]),
            units=tuple(value["units"]),
            **arrays,
        )
