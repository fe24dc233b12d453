"""The gradient of fresh nets against depth, with one cause of vanishing at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from explorer.results.common import Floats
from explorer.results.gradients import Of
from explorer.results.statistics import Statistics

if TYPE_CHECKING:
    import pandas as pd

Cause = Literal["none", "tanh", "sigmoid", "scale", "zeros"]
Layers = Literal["conv", "fc"]
Panel = tuple[bool, bool]
PANELS: tuple[Panel, ...] = ((False, False), (False, True), (True, False), (True, True))
"""(shortcuts, batch norm), in reading order."""


@dataclass(frozen=True)
class VanishingRow:
    """One fresh net; scales as in :class:`explorer.results.LayerGradients`.

    Attributes:
        net: Its token.
        first_layer: parameter_rms of the first layer, which is what its first step is made of.
        first_unit, last_unit: output_rms of the first and the last unit.
    """

    cause: Cause
    shortcuts: bool
    batch_norm: bool
    depth: int
    seed: int
    net: str
    first_layer: float
    first_unit: float
    last_unit: float

    def scale(self, of: Of) -> float:
        """What is drawn against depth: the first layer's gradient, or first unit ÷ last unit."""
        if of == "parameters":
            return self.first_layer
        return self.first_unit / self.last_unit if self.last_unit > 0 else float("nan")


@dataclass(frozen=True)
class VanishingCauses:
    """Gradients of fresh nets against depth: activation, weight scale and padding apart.

    All start from a net in which none of them acts: ReLUs, He's rule, and convolutions that pad
    circularly (or fully connected layers). Each other curve has one thing changed.

    Attributes:
        n_images: Of the one batch that every net saw.
        gain: The factor on He's standard deviation where ``cause`` is ``scale``.
        rows: In the order measured; a seed's are complete before the next one's.
        expected: By (cause, batch norm), of nets without shortcuts: what a layer more multiplies
            the gradient by in an infinitely wide net (:mod:`explorer.mean_field`).
    """

    data: str
    n_images: int
    layers: Layers
    gain: float
    rows: tuple[VanishingRow, ...]
    expected: dict[tuple[Cause, bool], float]

    @property
    def statistics(self) -> Statistics | None:
        """``batch`` where there is batch norm, as in a training step."""
        return "batch" if any(row.batch_norm for row in self.rows) else None

    @property
    def seeds(self) -> int:
        return len({row.seed for row in self.rows})

    @property
    def causes(self) -> tuple[Cause, ...]:
        return tuple(dict.fromkeys(row.cause for row in self.rows))

    def curves(
        self, panel: Panel, of: Of = "parameters"
    ) -> dict[Cause, tuple[Floats, Floats, Floats, Floats]]:
        """By cause: depths, and over the seeds the median, least and greatest."""
        found: dict[Cause, dict[int, list[float]]] = {cause: {} for cause in self.causes}
        for row in self.rows:
            if (row.shortcuts, row.batch_norm) == panel:
                found[row.cause].setdefault(row.depth, []).append(row.scale(of))
        curves = {}
        for cause, by_depth in found.items():
            if by_depth:
                values = [by_depth[depth] for depth in sorted(by_depth)]
                ends = (np.median, np.min, np.max)
                curves[cause] = (
                    np.asarray(sorted(by_depth), np.float64),
                    *(np.asarray([end(v) for v in values], np.float64) for end in ends),
                )
        return curves  # type: ignore[return-value]

    def factor_a_layer(self, panel: Panel, cause: Cause, of: Of = "parameters") -> Floats:
        """(3,): by what a layer more multiplies the gradient, median, least and greatest seed.

        The factor of a seed is exp of the slope of log gradient against depth; NaN where its nets
        have fewer than two depths with a gradient above 0.
        """
        by_seed: dict[int, list[tuple[int, float]]] = {}
        for row in self.rows:
            value = row.scale(of)
            if (row.shortcuts, row.batch_norm, row.cause) == (*panel, cause) and 0 < value < np.inf:
                by_seed.setdefault(row.seed, []).append((row.depth, float(np.log(value))))
        slopes = [
            float(np.exp(np.polyfit([d for d, _ in points], [log for _, log in points], 1)[0]))
            for points in by_seed.values()
            if len({depth for depth, _ in points}) > 1
        ]
        if not slopes:
            return np.full(3, np.nan)
        return np.asarray([np.median(slopes), np.min(slopes), np.max(slopes)])

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame([vars(row) for row in self.rows])

    def to_json(self) -> dict[str, Any]:
        return {
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "layers": self.layers,
            "gain": self.gain,
            "rows": [dict(vars(row)) for row in self.rows],
            "expected": [
                {"cause": cause, "batch_norm": norm, "factor": factor}
                for (cause, norm), factor in self.expected.items()
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> VanishingCauses:
        def row(given: dict[str, Any]) -> VanishingRow:
            known: dict[str, Any] = {k: float("nan") if v is None else v for k, v in given.items()}
            return VanishingRow(**known)

        return cls(
            data=value["data"],
            n_images=int(value["n_images"]),
            layers=value["layers"],
            gain=float(value["gain"]),
            rows=tuple(row(given) for given in value["rows"]),
            expected={
                (one["cause"], one["batch_norm"]): float(one["factor"]) for one in value["expected"]
            },
        )
