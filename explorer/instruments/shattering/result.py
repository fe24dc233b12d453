"""Input gradients of nets that map a number to a number, at initialisation (Balduzzi17)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from explorer.instruments.contract import Column, Result
from explorer.results.common import Bools, Floats

ScalarFamily = Literal["plain", "residual", "highway"]


@dataclass(frozen=True)
class ShatteredGradients(Result):
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
            words.append(f"b_T = {self.transform_bias:g}".replace("-", "−"))
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

    def told(self) -> Bools:
        """(pair_depths,): up to which depth the seeds agree that directions are alike at all.

        From the first depth on at which the 10 % percentile is not above 0, none is told: deeper
        down chance lifts it above 0 here and there.
        """
        return np.logical_and.accumulate(self.pair_cosine[:, 1] > 0)

    @classmethod
    def upgraded(cls, value: dict[str, Any]) -> dict[str, Any]:
        """What older results lack is not known."""
        return {
            "cosine": np.full_like(value["autocorrelation"], np.nan, dtype=np.float64),
            "pair_cosine": np.full_like(value["pair_correlation"], np.nan, dtype=np.float64),
            "largest_share": [None] * len(value["pair_depths"]),
            **value,
        }


@dataclass(frozen=True)
class Shattering(Result):
    """Shattered gradients of some families of scalar nets."""

    columns = (
        Column("family"),
        Column("batch_norm"),
        Column("depth"),
        Column("distance"),
        Column("autocorrelation"),
        Column("low_10"),
        Column("high_90"),
        Column("cosine"),
        Column("largest_share"),
    )

    families: tuple[ShatteredGradients, ...]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """A row for each family, depth and distance."""
        for one in self.families:
            for place, depth in enumerate(one.depths):
                share = float(one.largest_share[one.pair_depths.index(depth)])
                bands = (*one.autocorrelation[place], one.cosine[place, 0])
                for distance, *values in zip(one.distance, *bands, strict=True):
                    yield (
                        *(one.family, one.batch_norm, depth, float(distance)),
                        *map(float, values),
                        share,
                    )
