"""The loss around a net's weights, on a plane or a line (Li18)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from explorer.errors import NotApplicableError
from explorer.results.common import Floats
from explorer.results.statistics import Statistics, kept_statistics

if TYPE_CHECKING:
    import pandas as pd

SurfaceNorm = Literal["running", "batch"]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class LossSurface:
    """Loss at θ + α·δ + β·η: θ the weights, δ and η random, filter by filter as long as θ's.

    Points that were not measured yet are NaN; a loss that overflowed is infinite.

    Attributes:
        n_images: Training images that each point was measured on, the same ones.
        seed: Of the two directions.
        norm: What batch norm normalised by: its ``running`` statistics, as in the paper, or the
            ``batch`` of those images, anew at each point.
        weights: Fingerprint of θ, so that nothing is continued with other weights.
        alphas: (columns,), ascending.
        betas: (rows,), ascending; (0,) for a line.
        loss: (rows, columns), mean cross-entropy.
        accuracy: (rows, columns), share of right answers.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    n_images: int
    seed: int
    norm: SurfaceNorm
    weights: str
    alphas: Floats
    betas: Floats
    loss: Floats
    accuracy: Floats
    statistics: Statistics | None = None

    @property
    def done(self) -> NDArray[np.bool_]:
        """(rows, columns): which points were measured."""
        return ~np.isnan(self.loss)

    @property
    def complete(self) -> bool:
        return bool(self.done.all())

    @property
    def centre(self) -> float:
        """The loss at θ itself; NaN before it was measured."""
        row, column = np.abs(self.betas).argmin(), np.abs(self.alphas).argmin()
        return float(self.loss[row, column])

    def finest(self) -> LossSurface | None:
        """The finest grid of which every point was measured; None before the first is."""
        found = None
        for rows, columns in grids(len(self.betas), len(self.alphas)):
            if not self.done[np.ix_(rows, columns)].all():
                break
            found = self._part(rows, columns)
        return found

    def _part(self, rows: Places, columns: Places) -> LossSurface:
        grid = np.ix_(rows, columns)
        return LossSurface(
            self.net,
            self.data,
            self.n_images,
            self.seed,
            self.norm,
            self.weights,
            self.alphas[columns],
            self.betas[rows],
            self.loss[grid],
            self.accuracy[grid],
            self.statistics,
        )

    def to_frame(self) -> pd.DataFrame:
        """A row for each point that was measured."""
        import pandas as pd

        rows, columns = np.nonzero(self.done)
        return pd.DataFrame(
            {
                "alpha": self.alphas[columns],
                "beta": self.betas[rows],
                "loss": self.loss[rows, columns],
                "accuracy": self.accuracy[rows, columns],
            }
        )

    def to_json(self) -> dict[str, Any]:
        """``points``: [row, column, loss, accuracy] of what was measured; loss null: infinite."""
        rows, columns = np.nonzero(self.done)
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "seed": self.seed,
            "norm": self.norm,
            "weights": self.weights,
            "alphas": self.alphas.tolist(),
            "betas": self.betas.tolist(),
            "points": [
                [
                    int(row),
                    int(column),
                    float(self.loss[row, column]) if np.isfinite(self.loss[row, column]) else None,
                    float(self.accuracy[row, column]),
                ]
                for row, column in zip(rows, columns, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LossSurface:
        """Raises :class:`NotApplicableError` where this is no such document."""
        try:
            alphas = np.asarray(value["alphas"], dtype=np.float64)
            betas = np.asarray(value["betas"], dtype=np.float64)
            loss = np.full((len(betas), len(alphas)), np.nan)
            accuracy = loss.copy()
            for row, column, point, share in value["points"]:
                loss[row, column] = math.inf if point is None else point
                accuracy[row, column] = share
            return cls(
                net=str(value["net"]),
                data=str(value["data"]),
                n_images=int(value["n_images"]),
                seed=int(value["seed"]),
                norm=value["norm"],
                weights=str(value["weights"]),
                alphas=alphas,
                betas=betas,
                loss=loss,
                accuracy=accuracy,
                statistics=kept_statistics(value),
            )
        except (KeyError, TypeError, ValueError, IndexError):
            raise NotApplicableError(
                "This is not a loss surface that could be continued: give a file that "
                "`skipscope surface --keep` wrote, or another name."
            ) from None


def levels(n: int) -> list[Places]:
    """Positions 0 … n−1 from coarse to fine: the ends and the middle, then ever the midpoints.

    Each level holds the one before; the last holds all.
    """
    level = np.unique(np.asarray([0, (n - 1) // 2, n - 1], dtype=np.int64))
    found = [level]
    while len(level) < n:
        level = np.unique(np.concatenate([level, (level[:-1] + level[1:]) // 2]))
        found.append(level)
    return found


def grids(rows: int, columns: int) -> list[tuple[Places, Places]]:
    """The levels of both axes together; a line's single row is in all of its levels."""
    by_row = levels(rows)
    return [(by_row[min(i, len(by_row) - 1)], level) for i, level in enumerate(levels(columns))]
