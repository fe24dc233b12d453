"""The loss around a net's weights, on a plane or a line (Li18)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from explorer.instruments.contract import Column, Result
from explorer.results.common import Floats
from explorer.results.statistics import Statistics

SurfaceNorm = Literal["running", "batch"]
Places = NDArray[np.int64]
Point = tuple[int, int, float, float]


@dataclass(frozen=True)
class LossSurface(Result):
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
        points: (row, column, mean cross-entropy, share of right answers) of each that was
            measured; a loss of NaN stands for one that overflowed, as null does in JSON.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    columns = (
        Column("alpha", "α"),
        Column("beta", "β"),
        Column("loss"),
        Column("accuracy", "right", unit="%", digits=1),
    )

    net: str
    data: str
    n_images: int
    seed: int
    norm: SurfaceNorm
    weights: str
    alphas: Floats
    betas: Floats
    points: tuple[Point, ...]
    statistics: Statistics | None = None

    def __post_init__(self) -> None:
        rows, columns = len(self.betas), len(self.alphas)
        for row, column, *_ in self.points:
            if not (0 <= row < rows and 0 <= column < columns):
                raise ValueError(f"a point at ({row}, {column}) of {rows} × {columns}")

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """One for each point that was measured."""
        for row, column, *_ in self.points:
            yield (
                float(self.alphas[column]),
                float(self.betas[row]),
                float(self.loss[row, column]),
                float(self.accuracy[row, column]),
            )

    @cached_property
    def loss(self) -> Floats:
        """(rows, columns): mean cross-entropy."""
        grid = self._empty()
        for row, column, loss, _ in self.points:
            grid[row, column] = math.inf if math.isnan(loss) else loss
        return grid

    @cached_property
    def accuracy(self) -> Floats:
        """(rows, columns): share of right answers."""
        grid = self._empty()
        for row, column, _, share in self.points:
            grid[row, column] = share
        return grid

    def _empty(self) -> Floats:
        return np.full((len(self.betas), len(self.alphas)), np.nan)

    def with_points(self, loss: Floats, accuracy: Floats) -> LossSurface:
        """The same with these grids' points, (rows, columns), NaN where there is none."""
        rows, columns = np.nonzero(~np.isnan(loss))
        values = loss[rows, columns], accuracy[rows, columns]
        points = zip(rows.tolist(), columns.tolist(), *(v.tolist() for v in values), strict=True)
        return replace(self, points=tuple(points))

    @property
    def by_the_batch(self) -> bool:
        return self.norm == "batch"

    def amount(self) -> int:
        """How many points were measured."""
        return len(self.points)

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
            grid = np.ix_(rows, columns)
            if not self.done[grid].all():
                break
            part = replace(self, alphas=self.alphas[columns], betas=self.betas[rows], points=())
            found = part.with_points(self.loss[grid], self.accuracy[grid])
        return found


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
