"""Input gradients of nets that map a number to a number, at initialisation (Balduzzi17)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from explorer.results.arrays import listed
from explorer.results.common import Floats

if TYPE_CHECKING:
    import pandas as pd

ScalarFamily = Literal["plain", "residual", "highway"]


@dataclass(frozen=True)
class ShatteredGradients:
    """dy/dx of scalar nets, how alike it is at two inputs, and how that falls with depth.

    Attributes:
        width: Units a layer.
        beta: Factor on F of residual nets; 1 for the others.
        transform_bias: b_T of highway nets; None for the others.
        inputs: (points,), evenly spaced.
        depths: Layers of the nets that are shown.
        gradient: (depths, points): dy/dx of the first seed's nets, divided by its own RMS.
        distance: (lags,) between two inputs; from 0 to half the interval.
        autocorrelation: (depths, 3, lags): mean over seeds, 10 % and 90 % percentile of the
            correlation of dy/dx at inputs that far apart; 1 where the net is linear.
        pair_depths: 1, 2, 3, …, greatest depth.
        pair_correlation: (pair_depths, 3): likewise, over all pairs of inputs and averaged over
            the last layer's weights; 2^-L in Balduzzi17's theory of plain nets.
        cosine: (depths, 3, lags): likewise the mean cosine between dh/dx at inputs that far apart,
            h the last layer's values. Every point counts the same, so that it means something
            also where a few points hold nearly all of Σ|dh/dx|².
        pair_cosine: (pair_depths, 3): likewise, over all pairs of inputs.
        largest_share: (pair_depths,): share of Σ|dh/dx|² at the largest point, median of seeds.
            Where it is large, the two correlations are those of that one point.
    """

    family: ScalarFamily
    batch_norm: bool
    width: int
    seeds: int
    beta: float
    transform_bias: float | None
    inputs: Floats
    depths: tuple[int, ...]
    gradient: Floats
    distance: Floats
    autocorrelation: Floats
    pair_depths: tuple[int, ...]
    pair_correlation: Floats
    cosine: Floats
    pair_cosine: Floats
    largest_share: Floats

    def one_point(self, place: int) -> bool:
        """Whether one point holds most of Σ|dh/dx|² in the nets of ``depths[place]``."""
        at = self.pair_depths.index(self.depths[place])
        return bool(self.largest_share[at] > 0.5)

    @property
    def title(self) -> str:
        """``residual, β = 0.1, batch norm``."""
        words: list[str] = [self.family]
        if self.family == "residual":
            words.append(f"β = {self.beta:g}")
        if self.transform_bias is not None:
            words.append(f"b_T = {self.transform_bias:g}")
        words.append("batch norm" if self.batch_norm else "no batch norm")
        return ", ".join(words)

    def half_distance(self) -> Floats:
        """(depths,): where the mean autocorrelation first is below ½.

        NaN where it never is, or means nothing (:meth:`one_point`).
        """
        one = [self.one_point(place) for place in range(len(self.depths))]
        below = (self.autocorrelation[:, 0] < 0.5) & ~np.asarray(one)[:, None]
        first = np.where(below.any(axis=1), below.argmax(axis=1), 0)
        return np.where(below.any(axis=1), self.distance[first], np.nan)

    def to_frame(self) -> pd.DataFrame:
        """A row for each depth and distance."""
        import pandas as pd

        lags = len(self.distance)
        flat = self.autocorrelation.transpose(0, 2, 1).reshape(-1, 3)
        return pd.DataFrame(
            {
                "family": self.family,
                "batch_norm": self.batch_norm,
                "depth": np.repeat(self.depths, lags),
                "distance": np.tile(self.distance, len(self.depths)),
                "autocorrelation": flat[:, 0],
                "low_10": flat[:, 1],
                "high_90": flat[:, 2],
                "cosine": self.cosine[:, 0].reshape(-1),
                "largest_share": np.repeat(
                    [self.largest_share[self.pair_depths.index(d)] for d in self.depths], lags
                ),
            }
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "family": self.family,
            "batch_norm": self.batch_norm,
            "width": self.width,
            "seeds": self.seeds,
            "beta": self.beta,
            "transform_bias": self.transform_bias,
            "inputs": self.inputs.tolist(),
            "depths": list(self.depths),
            "gradient": listed(self.gradient),
            "distance": self.distance.tolist(),
            "autocorrelation": listed(self.autocorrelation),
            "pair_depths": list(self.pair_depths),
            "pair_correlation": listed(self.pair_correlation),
            "cosine": listed(self.cosine),
            "pair_cosine": listed(self.pair_cosine),
            "largest_share": listed(self.largest_share),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ShatteredGradients:
        known = {  # what older results lack is not known
            "cosine": np.full_like(value["autocorrelation"], np.nan, dtype=np.float64),
            "pair_cosine": np.full_like(value["pair_correlation"], np.nan, dtype=np.float64),
            "largest_share": np.full(len(value["pair_depths"]), np.nan),
            **value,
        }
        names = (
            *("inputs", "gradient", "distance", "autocorrelation", "pair_correlation"),
            *("cosine", "pair_cosine", "largest_share"),
        )
        arrays = {name: np.asarray(known[name], dtype=np.float64) for name in names}
        depths = {name: tuple(int(n) for n in value[name]) for name in ("depths", "pair_depths")}
        return cls(**{**value, **arrays, **depths})
